"""A distance of samples to held-out clips, during the training of stage two."""

from __future__ import annotations

import logging
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from pvdm_lightning.errors import InvalidArgumentError, check_at_least, check_numbers
from pvdm_lightning.metrics import TRANSNETV2, FrechetVideoDistance
from pvdm_lightning.pipeline import Sampling
from pvdm_lightning.training import LatentDiffusionModule

logger = logging.getLogger(__name__)
_AT_ONCE = 8


class ValidationDistance(Callback):
    """Logs val/frechet after each validation: the Frechet distance of samples to held-out clips, over TransNetV2.

    Clips and noise are the same each time, so that values of one run can be compared, and `Checkpoints.monitor` can
    choose by them. It is no FVD, and depends on the number of videos as all Frechet distances do.

    Args:
        num_videos: Samples, and held-out clips or as many as there are, over all processes; 0 logs none.
        num_inference_steps: Steps of DPM-Solver++ for a sample.
    """

    def __init__(self, num_videos: int = 0, num_inference_steps: int = 20) -> None:
        check_numbers("ValidationDistance", locals())
        if num_videos != 0:
            check_at_least("ValidationDistance.num_videos", num_videos, 2)
        check_at_least("ValidationDistance.num_inference_steps", num_inference_steps, 1)
        self.num_videos, self.num_inference_steps = num_videos, num_inference_steps
        self._metric: FrechetVideoDistance | None = None
        self._missing = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self.num_videos == 0 or stage not in ("fit", "validate"):
            return
        argument = "ValidationDistance.num_videos"
        if not isinstance(pl_module, LatentDiffusionModule):
            problem, remedy = "is for samples, and stage one draws none", "Give 0, or leave it out."
            raise InvalidArgumentError(argument, self.num_videos, problem, remedy)
        network = TRANSNETV2.find(None, argument)
        if network is None:
            how = TRANSNETV2.file.how_to_get()
            raise InvalidArgumentError(argument, self.num_videos, "needs TransNetV2", f"To get it: {how}.")
        self._metric = FrechetVideoDistance(network, pl_module.clip_shape[0])

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._metric is not None:
            self._metric = self._metric.to(pl_module.device)
            self._metric.reset()  # which keeps the real side, once it is known
            self._missing = 0 if self._metric.knows_real else len(self._numbers(trainer))

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self._metric is None or trainer.sanity_checking or self._missing == 0:
            return
        assert isinstance(pl_module, LatentDiffusionModule)
        for clips in batch["clip"][: self._missing].split(_AT_ONCE):
            self._metric.update(pl_module.first_stage.to_pixels(clips).to(pl_module.device), real=True)
            self._missing -= len(clips)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        metric = self._metric
        if metric is None or trainer.sanity_checking:
            return
        assert isinstance(pl_module, LatentDiffusionModule)
        numbers = self._numbers(trainer)
        sampling = Sampling(sampler="dpm_solver", num_inference_steps=self.num_inference_steps)
        with torch.no_grad(), trainer.precision_plugin.val_step_context():
            for first in range(0, len(numbers), _AT_ONCE):
                videos = pl_module.pipeline.generate(numbers[first : first + _AT_ONCE], sampling)
                metric.update(videos.to(pl_module.device), real=False)
        real = metric.real_statistics()
        if real.count < 2:
            logger.warning("val/frechet needs 2 held-out clips or more, and has %d", real.count)
            return
        pl_module.log("val/frechet", metric.compute().float(), sync_dist=True)
        if real.count == self.num_videos:  # else validation may have ended early
            metric.use_real_statistics(real)

    def _numbers(self, trainer: Trainer) -> list[int]:
        """Of the samples that this process draws."""
        return list(range(trainer.global_rank, self.num_videos, trainer.world_size))
