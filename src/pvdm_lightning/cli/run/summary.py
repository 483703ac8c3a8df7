"""What `pvdm fit` says of a run before its first step and after its last."""

from __future__ import annotations

import logging
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from pvdm_lightning.callbacks import Checkpoints, SaveDataConfig
from pvdm_lightning.callbacks.checkpoints import last_checkpoint
from pvdm_lightning.callbacks.monitoring import networks_of
from pvdm_lightning.cli.console.next_steps import after_training, shell_path
from pvdm_lightning.cli.console.output import duration, relative, say
from pvdm_lightning.cli.run.folder import RunFolder

logger = logging.getLogger(__name__)


def networks(module: LightningModule) -> str:
    """The networks with their numbers of parameters: autoencoder 1.2 M, discriminators 3.4 M."""
    sizes = {name: sum(weight.numel() for weight in net.parameters()) for name, net in networks_of(module).items()}
    return ", ".join(f"{name} {size / 1e6:.3g} M" for name, size in sizes.items() if size)


def introduce(trainer: Trainer, module: LightningModule, data: Any, folder: RunFolder | None) -> None:
    """Log the run's folder, networks, device, precision and batch."""
    if not trainer.is_global_zero:
        return
    device = trainer.strategy.root_device.type
    batch = getattr(data, "batch_size", None)
    batches = "" if batch is None else f", batches of {batch}"
    if batch is not None and trainer.world_size > 1:
        batches += f" on each of {trainer.world_size} processes"
    logger.info("run: %s", folder.path if folder else trainer.default_root_dir)
    logger.info("parameters: %s", networks(module))
    logger.info("%s, %s%s", device, trainer.precision, batches)


def conclude(
    trainer: Trainer, module: LightningModule, folder: RunFolder | None, first_step: int, seconds: float
) -> None:
    """Print where the run's results are, and what to type next."""
    if not trainer.is_global_zero or folder is None:
        return
    steps = trainer.global_step - first_step
    rows = [("trained", f"{steps} steps in {duration(seconds)}, to step {trainer.global_step}")]
    last = last_checkpoint(trainer)
    callback = trainer.checkpoint_callback
    if isinstance(callback, Checkpoints) and callback.best_model_path and callback.best_model_score is not None:
        score = f"{callback.monitor} {float(callback.best_model_score):.4g}"
        rows.append(("best", f"{relative(callback.best_model_path)} ({score})"))
    if last:
        rows.append(("last", str(relative(last))))
    if any(isinstance(run_logger, TensorBoardLogger) for run_logger in trainer.loggers):
        rows.append(("dashboard", f"tensorboard --logdir {shell_path(folder.runs)}"))
    if last:
        data = next((one.data for one in trainer.callbacks if isinstance(one, SaveDataConfig)), None)  # type: ignore[attr-defined]
        encoded = getattr(getattr(trainer, "datamodule", None), "encoded_data", None)
        rows += after_training(module, last, data, data, encoded)
    say(rows)
