"""Guards of training: gradients that are NaN or infinite, and an adversarial phase that diverges."""

from __future__ import annotations

import logging
from typing import Any, Literal, NamedTuple

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn.utils import get_total_norm

from pvdm_lightning.callbacks.checkpoints import Checkpoints, last_checkpoint
from pvdm_lightning.errors import InvalidArgumentError, check_at_least, check_numbers
from pvdm_lightning.training import AutoencoderModule

logger = logging.getLogger(__name__)


class NonFiniteError(InvalidArgumentError):
    """The gradient of a step is NaN or infinite."""


class _Gradient(NamedTuple):
    """The norm of a step's gradient, and what a message says of it.

    Attributes:
        step: Optimizer steps before it.
        samples: Their numbers, int64 [B].
        norm: Float32 [].
        written: What the host waits for until a GPU has written the norm; None if it is known.
    """

    step: int
    samples: Tensor | None
    norm: Tensor
    written: torch.cuda.Event | None

    def is_finite(self) -> bool:
        if self.written is not None:
            self.written.synchronize()
        return bool(self.norm.isfinite())


class FiniteTraining(Callback):
    """Looks at the gradient before each optimizer step; weights that are NaN are neither made nor saved.

    With several processes the gradient is that of all of them, so that they decide alike. On a GPU a fused optimizer
    skips the step by itself, and the host hears of it a step later: it would have to wait for the GPU in each step.

    Args:
        action: What a gradient that is NaN or infinite does: stop ends the run, skip leaves the step out.
        max_skipped: Steps that may be skipped in a row before the run ends after all.
    """

    def __init__(self, action: Literal["stop", "skip"] = "stop", max_skipped: int = 10) -> None:
        check_numbers("FiniteTraining", locals())
        check_at_least("FiniteTraining.max_skipped", max_skipped, 1)
        self.action, self.max_skipped = action, max_skipped
        self._skipped = 0
        self._index: Tensor | None = None
        self._unread: _Gradient | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._unread = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._index = batch.get("index") if isinstance(batch, dict) else None

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        if scaler is not None:  # float16: the scaler itself skips steps and lowers its scale
            return
        everything = [weight for group in optimizer.param_groups for weight in group["params"]]
        parameters = [weight for weight in everything if weight.grad is not None]
        norm = get_total_norm([weight.grad for weight in parameters])
        index = next((i for i, one in enumerate(trainer.optimizers) if one is optimizer), 0)
        name = "grad_norm" if index == 0 else "grad_norm_discriminators"  # before it is clipped
        pl_module.log(f"train/{name}", norm.detach(), rank_zero_only=True)
        if skips_by_itself(optimizer):
            optimizer.found_inf = norm.isfinite().logical_not().float()  # type: ignore[attr-defined]
            before, self._unread = self._unread, self._send(trainer, norm)
            if before is not None:
                self._look_at(trainer, before)
        elif not self._look_at(trainer, _Gradient(trainer.global_step, self._index, norm, None)):
            for weight in parameters:
                weight.grad = None  # optimizers leave out weights without a gradient

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._unread is not None:
            self._look_at(trainer, self._unread)

    def _send(self, trainer: Trainer, norm: Tensor) -> _Gradient:
        written = torch.cuda.Event() if norm.device.type == "cuda" else None
        on_host = norm.detach().to("cpu", non_blocking=True)
        if written is not None:
            written.record()
        return _Gradient(trainer.global_step, self._index, on_host, written)

    def _look_at(self, trainer: Trainer, gradient: _Gradient) -> bool:
        """Whether a gradient is finite; raises `NonFiniteError` where it ends the run."""
        if gradient.is_finite():
            self._skipped = 0
            return True
        self._skipped += 1
        if self.action == "stop" or self._skipped > self.max_skipped:
            raise self._error(trainer, gradient)
        if trainer.is_global_zero:
            logger.warning("step %d is skipped: its gradient is %s", gradient.step, float(gradient.norm))
        return False

    def _error(self, trainer: Trainer, gradient: _Gradient) -> NonFiniteError:
        names = getattr(getattr(trainer, "datamodule", None), "names", None)
        batch = ""
        if gradient.samples is not None and names is not None:
            batch = f"; its batch: {', '.join(names(gradient.samples.tolist())[:8])}"
        skipped = f" after {self._skipped - 1} skipped steps" if self._skipped > 1 else ""
        last = last_checkpoint(trainer)
        kept = f"Go on from {last} with" if last else "Start again with"
        return NonFiniteError(
            "FiniteTraining.action",
            self.action,
            f"the gradient of step {gradient.step} is {float(gradient.norm)}{skipped}{batch}",
            f"{kept} a lower learning rate or --trainer.precision 32-true, or skip such steps with "
            "FiniteTraining.action skip.",
        )


def skips_by_itself(optimizer: torch.optim.Optimizer) -> bool:
    """Whether an optimizer leaves out a step by a flag, and the flag is on a GPU: then the host need not read it."""
    weight = optimizer.param_groups[0]["params"][0]
    fused = all(group.get("fused") for group in optimizer.param_groups)
    return fused and weight.device.type == "cuda" and not isinstance(weight, DTensor)


class DivergenceGuard(Callback):
    """Watches val/psnr of stage one in its adversarial phase, and ends training where it falls far.

    The phase costs a few dB for sharper pictures, so that the best checkpoint by another metric is kept as it is.

    Args:
        max_psnr_drop: dB below the best validation so far at which training ends; null never ends it.
    """

    def __init__(self, max_psnr_drop: float | None = 6.0) -> None:
        check_numbers("DivergenceGuard", locals())
        self.max_psnr_drop = max_psnr_drop
        self.best = float("-inf")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        psnr = trainer.callback_metrics.get("val/psnr")
        if psnr is None or trainer.sanity_checking or not isinstance(pl_module, AutoencoderModule):
            return
        self.best = max(self.best, float(psnr))
        start = pl_module.adversarial_start
        if self.max_psnr_drop is None or start is None or trainer.global_step < start or trainer.state.fn != "fit":
            return
        # Written so that NaN, which compares as false, ends it too.
        if not float(psnr) >= self.best - self.max_psnr_drop:
            trainer.should_stop = True
            kept = next((c.best_model_path for c in trainer.callbacks if isinstance(c, Checkpoints)), "")  # type: ignore[attr-defined]
            logger.warning(
                "the adversarial phase diverges: val/psnr is %.2f dB at step %d, and was %.2f. Training ends; %s",
                float(psnr),
                trainer.global_step,
                self.best,
                f"the best checkpoint is {kept}" if kept else "no checkpoint was kept as best",
            )

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = float(state_dict["best"])
