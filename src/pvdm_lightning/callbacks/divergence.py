"""Ends an adversarial phase that destroys what the autoencoder had learned."""

from __future__ import annotations

import logging
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from pvdm_lightning.callbacks.checkpoints import Checkpoints
from pvdm_lightning.errors import check_numbers
from pvdm_lightning.training import AutoencoderModule

logger = logging.getLogger(__name__)


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
