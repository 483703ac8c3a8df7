"""`pvdm validate`: the validation of a checkpoint."""

from __future__ import annotations

from pvdm_lightning.cli.next_steps import after_stage_one, after_stage_two, say
from pvdm_lightning.cli.parts import Parts
from pvdm_lightning.training import AutoencoderModule


def validate(parts: Parts) -> None:
    """Run the validation of a checkpoint, and print what to type next."""
    parts.trainer.validate(parts.model, datamodule=parts.data)
    if parts.trainer.is_global_zero:
        assert parts.request.checkpoint is not None
        path = parts.request.checkpoint.name
        say(after_stage_one(path) if isinstance(parts.model, AutoencoderModule) else after_stage_two(path))
