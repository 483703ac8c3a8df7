"""`pvdm validate`: the validation of a checkpoint."""

from __future__ import annotations

from pvdm_lightning.cli.console.next_steps import after_training
from pvdm_lightning.cli.console.output import say
from pvdm_lightning.cli.parts import Parts


def validate(parts: Parts) -> None:
    """Run the validation of a checkpoint, and print what to type next."""
    parts.trainer.validate(parts.model, datamodule=parts.data)
    if parts.trainer.is_global_zero:
        checkpoint = parts.request.checkpoint
        assert checkpoint is not None
        encoded = getattr(parts.data, "encoded_data", None)
        recorded = checkpoint.contents.get("data_config")
        say(after_training(parts.model, checkpoint.name, parts.data_section, recorded, encoded))
