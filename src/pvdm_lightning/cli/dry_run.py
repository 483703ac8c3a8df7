"""`pvdm fit --dry_run`: a few steps, then what the run will take."""

from __future__ import annotations

import shutil
import statistics
import time
from pathlib import Path
from typing import Any

import torch
import yaml  # type: ignore[import-untyped]
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from pvdm_lightning.callbacks import Checkpoints, RunProgress
from pvdm_lightning.callbacks.monitoring import peak_memory
from pvdm_lightning.cli.console.output import duration, say
from pvdm_lightning.cli.run.summary import networks
from pvdm_lightning.cli.shipped_configs import config_folder
from pvdm_lightning.data.datamodules.cached_latents import CachedLatents
from pvdm_lightning.data.datamodules.synthetic import Synthetic
from pvdm_lightning.training import AutoencoderModule

STEPS = 6
"""Steps taken; of stage one the second half is adversarial, if the run has such a phase. The first of each warms up."""


class DryRun(Callback):
    """Measures some steps and prints time, memory and disk space of the whole run; nothing is written.

    Args:
        folder: Where the run would write.
        planned: max_steps of the run.
    """

    def __init__(self, folder: Path, planned: int) -> None:
        self.folder, self.planned = folder, planned
        self._seconds: list[float] = []  # of each optimizer step, which may take several batches
        self._of_step = self._since = 0.0

    @staticmethod
    def trainer_options() -> dict[str, Any]:
        """Arguments of the Trainer for a run that leaves nothing behind."""
        return {"logger": False, "num_sanity_val_steps": 0, "limit_val_batches": 0}

    def attach(self, trainer: Trainer) -> None:
        """Take the place of the callbacks that write or draw."""
        writing = (Checkpoints, RunProgress)
        kept = [callback for callback in trainer.callbacks if not isinstance(callback, writing)]  # type: ignore[attr-defined]
        trainer.callbacks = [*kept, self]  # type: ignore[attr-defined]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._adversarial_start = getattr(pl_module, "adversarial_start", None)
        if isinstance(pl_module, AutoencoderModule) and self._adversarial_start is not None:
            pl_module.adversarial_start = STEPS // 2

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            self._batch = {key: value for key, value in batch.items() if isinstance(value, Tensor)}
        self._since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize(pl_module.device)
        self._of_step += time.perf_counter() - self._since
        if trainer.global_step == len(self._seconds):
            return  # gradients of more batches are accumulated
        self._seconds.append(self._of_step)
        self._of_step = 0.0
        if len(self._seconds) == STEPS or trainer.global_step == trainer.max_steps:
            trainer.should_stop = True
            trainer.fit_loop.epoch_loop.max_steps = trainer.global_step
            if trainer.is_global_zero:
                self._report(trainer, pl_module)

    def _report(self, trainer: Trainer, module: LightningModule) -> None:
        half = STEPS // 2 if self._adversarial_start is not None else STEPS
        first, second = self._seconds[:half], self._seconds[half:]
        step = statistics.median(first[1:] or first)
        later = statistics.median(second[1:] or second) if second else step
        rows = [
            ("batch", ", ".join(f"{key} {_shape(value)}" for key, value in self._batch.items() if value.dim() > 1)),
            ("latents", _latents(module)),
            ("parameters", networks(module)),
            ("memory", f"{peak_memory(module.device) / 2**30:.2f} GiB at the peak of {len(self._seconds)} steps"),
            ("step", f"{step:.3g} s" + (f", {later:.3g} s in the adversarial phase" if second else "")),
        ]
        total = self.planned
        if total > 0:
            adversarial = max(0, total - self._adversarial_start) if self._adversarial_start is not None else 0
            seconds = (total - adversarial) * step + adversarial * later
            rows.append(("run", f"{total} steps: {duration(seconds)} on this machine, without validations"))
        size = checkpoint_bytes(trainer, module)
        disk = shutil.disk_usage(next(folder for folder in self.folder.absolute().parents if folder.exists()))
        rows.append(("checkpoint", f"{size / 2**20:.3g} MiB each; {disk.free / 2**30:.3g} GiB are free for them"))
        preset = preset_for_small_sets(trainer, module)
        if preset is not None:
            rows.append(("preset", f"--config {preset} is for small sets of 64 x 64 in minutes on a CPU"))
        rows.append(("dry run", f"nothing was written; without --dry_run the run goes into {self.folder.parent}"))
        say(rows)


def checkpoint_bytes(trainer: Trainer, module: nn.Module) -> int:
    """Of weights and optimizer states, as a checkpoint holds them."""
    tensors = list(module.state_dict().values())
    for optimizer in trainer.optimizers:
        tensors += [value for state in optimizer.state.values() for value in state.values() if torch.is_tensor(value)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def preset_for_small_sets(trainer: Trainer, module: LightningModule) -> str | None:
    """The preset that suits a CPU and videos that are not generated, unless the run has its networks."""
    data = getattr(trainer, "datamodule", None)
    encoded = data.encoded_data["class_path"] if isinstance(data, CachedLatents) else ""
    if module.device.type != "cpu" or isinstance(data, Synthetic) or encoded.endswith(f".{Synthetic.__name__}"):
        return None
    stage, part = ("ae", "autoencoder") if isinstance(module, AutoencoderModule) else ("ldm", "denoiser")
    preset = f"model/{stage}_64.yaml"
    settings = yaml.safe_load((config_folder() / preset).read_text())["model"]["init_args"][part]["init_args"]
    config = getattr(module, part).config
    return preset if any(_plain(name, config.get(name)) != _plain(name, settings[name]) for name in settings) else None


def _plain(name: str, value: Any) -> Any:
    """A setting as YAML or a network has it, in one form."""
    if name == "resolution" and isinstance(value, int):
        return [value, value]
    return list(value) if isinstance(value, tuple) else value


def _shape(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _latents(module: LightningModule) -> str:
    autoencoder: Any = module.autoencoder if isinstance(module, AutoencoderModule) else module.first_stage.autoencoder  # type: ignore[union-attr]
    shape, channels = autoencoder.latent_shape, autoencoder.latent_channels
    sides = zip(("z_s", "z_h", "z_w"), shape.planes)
    return ", ".join(f"{name} {channels}x{rows}x{columns}" for name, (rows, columns) in sides)
