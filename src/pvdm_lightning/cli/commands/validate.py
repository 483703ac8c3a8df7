"""`pvdm validate`: the validation of a checkpoint."""

from __future__ import annotations

from pvdm_lightning.cli.console.next_steps import after_training
from pvdm_lightning.cli.console.output import say
from pvdm_lightning.cli.pvdm_cli import PvdmCLI


def validate(cli: PvdmCLI) -> None:
    """Run the validation of a checkpoint, and print what to type next."""
    cli.trainer.validate(cli.model, datamodule=cli.datamodule)
    if cli.trainer.is_global_zero:
        checkpoint = cli.request.checkpoint
        assert checkpoint is not None
        encoded = getattr(cli.datamodule, "encoded_data", None)
        recorded = checkpoint.contents.get("data_config")
        say(after_training(cli.model, checkpoint.name, cli.data_section, recorded, encoded))
