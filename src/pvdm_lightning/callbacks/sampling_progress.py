"""A progress bar that counts evaluations of the denoiser."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from tqdm import tqdm  # type: ignore[import-untyped]

from pvdm_lightning.callbacks.progress_stream import stream
from pvdm_lightning.training import LatentDiffusionModule


class SamplingProgress(Callback):
    """Shows the progress of `pvdm predict` on rank 0, in place of Lightning's bar of batches."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._wanted = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        bar = trainer.progress_bar_callback
        self._wanted = bar is not None and trainer.is_global_zero and isinstance(pl_module, LatentDiffusionModule)
        if bar is not None and isinstance(pl_module, LatentDiffusionModule):
            bar.disable()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._wanted or not isinstance(pl_module, LatentDiffusionModule):
            return
        sampling = pl_module.sampling
        first, later = sampling.steps(pl_module.schedule)
        clips = sampling.num_clips(pl_module.clip_shape[0])
        batches = sum(int(count) for count in trainer.num_predict_batches)
        steps = batches * (first + (clips - 1) * later)
        self._bar = bar = tqdm(total=steps, desc="sampling", unit="step", **stream())
        pl_module.on_sampling_step = lambda *_: bar.update()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close(pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._close(pl_module)

    def _close(self, pl_module: LightningModule) -> None:
        if self._bar is not None and isinstance(pl_module, LatentDiffusionModule):
            self._bar.close()
            self._bar, pl_module.on_sampling_step = None, None
