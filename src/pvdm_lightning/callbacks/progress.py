"""Progress bars on a terminal, and lines in a log file: of a run, and of sampling."""

from __future__ import annotations

import sys
import time
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ProgressBar
from tqdm import tqdm  # type: ignore[import-untyped]

from pvdm_lightning.callbacks.monitoring import peak_memory
from pvdm_lightning.training import LatentDiffusionModule

REFRESH = 0.5
"""Seconds from one refresh to the next on a terminal: a GPU may be waited for in each."""
OF_TRAINING = ("train/loss", "psnr")
"""Shown while training, and read at a refresh alone: of what is logged for a bar, `prog_bar=True`, Lightning reads each
batch's, for which a GPU is waited for."""
LINE_EVERY = 30.0
"""Seconds from one line to the next in a log file."""


def interval() -> float:
    """Seconds from one state of a bar to the next."""
    return REFRESH if sys.stderr.isatty() else LINE_EVERY


def stream() -> dict[str, Any]:
    """Arguments of tqdm."""
    common: dict[str, Any] = {"mininterval": interval(), "maxinterval": float("inf")}
    if sys.stderr.isatty():
        return {**common, "file": sys.stderr, "dynamic_ncols": True}
    return {**common, "file": _Lines(), "ncols": 120}


class _Lines:
    """A log file, or a pipe: each state of a bar is a line."""

    def write(self, text: str) -> None:
        if line := text.strip("\r\n "):
            sys.stderr.write(f"{line}\n")

    def flush(self) -> None:
        sys.stderr.flush()


_FIT = "{desc}: {percentage:3.0f}%|{bar:24}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"


class RunProgress(ProgressBar):
    """Shows step of max_steps, remaining time, losses, clips per second and peak memory; in a log file, as lines.

    Validations inside of training are shown in the same bar. Other commands have a bar of their batches.
    """

    def __init__(self) -> None:
        super().__init__()
        self._bar: tqdm[Any] | None = None
        self._enabled = True
        self._refreshed = 0.0

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print above the bar."""
        tqdm.write(" ".join(map(str, args)), file=sys.stderr)

    def _open(self, trainer: Trainer, total: float | None, what: str, unit: str, initial: int = 0) -> None:
        if not self._enabled or not trainer.is_global_zero:
            return
        finite = None if total is None or total == float("inf") else int(total)
        self._bar = tqdm(
            total=finite,
            initial=initial,
            desc=what,
            unit=unit,
            smoothing=0,  # the mean rate, in which validations count: else the remaining time jumps at each
            bar_format=_FIT if unit == "step" and finite is not None else None,
            **stream(),
        )

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    # Training

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        total: float = trainer.max_steps
        if total == -1:
            total = trainer.estimated_stepping_batches / getattr(pl_module, "accumulate_grad_batches", 1)
        self._open(trainer, total, "training", "step", trainer.global_step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        bar = self._bar
        if bar is None:
            return
        if trainer.max_steps >= 0:
            bar.total = trainer.max_steps  # a budget of time may have changed it
        ends = bar.total is not None and trainer.global_step >= bar.total
        # Drawn by this clock alone: by the bar's own, the figures would be those of the time before.
        if time.monotonic() - self._refreshed >= interval() or ends:
            self._draw(trainer, pl_module)

    def _draw(self, trainer: Trainer, pl_module: LightningModule, what: str = "training") -> None:
        if self._bar is not None:
            self._refreshed = time.monotonic()
            self._bar.n = trainer.global_step
            self._bar.set_description_str(what, refresh=False)
            self._bar.set_postfix_str(self._figures(trainer, pl_module))

    def _figures(self, trainer: Trainer, pl_module: LightningModule) -> str:
        known = trainer.callback_metrics
        metrics = {name: float(known[name]) for name in OF_TRAINING if name in known}
        metrics.update(self.get_metrics(trainer, pl_module))  # type: ignore[arg-type]
        shown = {name.removeprefix("train/"): value for name, value in metrics.items() if name != "v_num"}
        texts = [f"{name} {value:.4g}" for name, value in shown.items() if isinstance(value, float)]
        rate = trainer.callback_metrics.get("train/clips_per_second")
        if rate is not None:
            texts.append(f"{float(rate):.3g} clips/s")
        texts.append(f"{peak_memory(pl_module.device) / 2**30:.1f} GiB")
        return ", ".join(texts)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._close()

    # Validation, inside of training or alone

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "validate":
            self._open(trainer, sum(trainer.num_val_batches), "validation", "batch")
        else:
            self._draw(trainer, pl_module, "validating")

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        if self._bar is not None and trainer.state.fn == "validate":
            self._bar.update()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "validate":
            self._close()
        else:
            self._draw(trainer, pl_module)

    # Other commands

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._open(trainer, sum(trainer.num_test_batches), "test", "batch")

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        if self._bar is not None:
            self._bar.update()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._open(trainer, sum(trainer.num_predict_batches), "batches", "batch")

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        if self._bar is not None:
            self._bar.update()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()


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
        batches = sum(int(count) for count in trainer.num_predict_batches)
        steps = batches * pl_module.pipeline.num_steps(sampling, continues=pl_module.given.previous is not None)
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
