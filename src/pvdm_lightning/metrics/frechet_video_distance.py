"""Frechet video distance: how far the features of generated videos lie from those of real ones.

Unterthiner et al., "Towards Accurate Generative Models of Video", arXiv 1812.01717, equation 2.
"""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from pvdm_lightning.errors import check_at_least, check_numbers, check_videos
from pvdm_lightning.metrics.feature_statistics import FeatureStatistics
from pvdm_lightning.metrics.frozen_network import FrozenNetwork


def frechet_distance(mean_x: Tensor, cov_x: Tensor, mean_y: Tensor, cov_y: Tensor) -> Tensor:
    """|mean_x - mean_y|^2 + tr(cov_x + cov_y - 2 (cov_x cov_y)^(1/2)), a float64 scalar.

    With factors cov = L L^T from an eigen-decomposition, tr (cov_x cov_y)^(1/2) is the sum of the singular values of
    L_y^T L_x. No square root of a computed eigenvalue is taken beyond the factors' own, so rank-deficient and
    ill-conditioned covariances keep full accuracy, and the distance of a set to itself is zero to rounding.

    Args:
        mean_x: Mean of one set of features, [F].
        cov_x: Its covariance, [F F], symmetric, positive semi-definite up to rounding.
        mean_y: Mean of the other set.
        cov_y: Its covariance.
    """
    mean_x, cov_x, mean_y, cov_y = (value.double() for value in (mean_x, cov_x, mean_y, cov_y))
    cross = torch.linalg.svdvals(_factor(cov_y).T @ _factor(cov_x)).sum()
    distance = (mean_x - mean_y).square().sum() + cov_x.trace() + cov_y.trace() - 2 * cross
    return distance.clamp(min=0)  # of equal sets, rounding leaves some -1e-11


def _factor(cov: Tensor) -> Tensor:
    """L with L L^T = cov."""
    values, vectors = torch.linalg.eigh(cov)
    return vectors * values.clamp(min=0).sqrt()


class FrechetVideoDistance(Metric):
    """FVD between the real and the generated videos it has seen, exact under any number of processes.

    Memory is fixed: F + F^2 + 1 numbers a side, float64. Videos may come in batches of any size and on any process.

    Args:
        network: Maps videos to features [B F].
        num_frames: Frames of a video that are measured. FVD at 16 and at 128 frames are different metrics; longer
            videos are cut after the frames needed.
        frame_step: Takes every `frame_step`-th frame. 8, with `num_frames` 16 on videos of 128 frames, is the
            subsampled FVD of StyleGAN-V (arXiv 2112.14683).
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    real_total: Tensor
    real_outer: Tensor
    real_count: Tensor
    generated_total: Tensor
    generated_outer: Tensor
    generated_count: Tensor

    def __init__(self, network: FrozenNetwork, num_frames: int = 16, frame_step: int = 1, **kwargs: Any) -> None:
        check_numbers("FrechetVideoDistance", locals())
        super().__init__(**kwargs)
        for argument, value in (("num_frames", num_frames), ("frame_step", frame_step)):
            check_at_least(f"FrechetVideoDistance.{argument}", value, 1)
        self.network, self.num_frames, self.frame_step = network, num_frames, frame_step
        self._known_real: FeatureStatistics | None = None
        F = network.num_outputs
        for side in ("real", "generated"):
            self.add_state(f"{side}_total", torch.zeros(F, dtype=torch.float64), dist_reduce_fx="sum")
            self.add_state(f"{side}_outer", torch.zeros(F, F, dtype=torch.float64), dist_reduce_fx="sum")
            self.add_state(f"{side}_count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, videos: Tensor, real: bool) -> None:
        """Add videos uint8 [B 3 T H W] in 0..255 to one side.

        Raises:
            ValueError: The videos are too short, or the real side was given by `use_real_statistics`.
        """
        if real and self._known_real is not None:
            raise ValueError("the real side's statistics were given; more real videos would count twice")
        check_videos("videos", videos, "[B 3 T H W]")
        needed = (self.num_frames - 1) * self.frame_step + 1
        if videos.shape[2] < needed:
            raise ValueError(f"FVD of {self.num_frames} frames needs {needed} of a video, which has {videos.shape[2]}")
        added = FeatureStatistics.from_features(self.network(videos[:, :, : needed : self.frame_step]))
        if real:
            self.real_total += added.total
            self.real_outer += added.outer
            self.real_count += added.count
        else:
            self.generated_total += added.total
            self.generated_outer += added.outer
            self.generated_count += added.count

    def compute(self) -> Tensor:
        """The distance, a float64 scalar.

        Raises:
            ValueError: A side has fewer than 2 videos.
        """
        real, generated = self._real(), self._generated()
        for side, statistics in (("real", real), ("generated", generated)):
            if statistics.count < 2:
                raise ValueError(f"FVD needs at least 2 {side} videos, and has {statistics.count}")
        device = generated.total.device
        return frechet_distance(
            real.mean().to(device), real.covariance().to(device), generated.mean(), generated.covariance()
        )

    def use_real_statistics(self, statistics: FeatureStatistics) -> None:
        """Use known statistics of all real videos, on every process; `reset` keeps them."""
        self._known_real = statistics

    @property
    def knows_real(self) -> bool:
        """Whether the real side was given."""
        return self._known_real is not None

    def real_statistics(self) -> FeatureStatistics:
        """Statistics of the real videos of all processes, for storing or another metric; all processes must call it."""
        with self.sync_context():
            return self._real()

    def generated_statistics(self) -> FeatureStatistics:
        """Statistics of the generated videos of all processes; all processes must call it."""
        with self.sync_context():
            return self._generated()

    def set_dtype(self, dst_type: str | torch.dtype) -> "FrechetVideoDistance":
        """Keep float64: the covariance is a difference of large sums."""
        return self

    def _real(self) -> FeatureStatistics:
        if self._known_real is not None:
            return self._known_real
        return FeatureStatistics(self.real_total.clone(), self.real_outer.clone(), int(self.real_count))

    def _generated(self) -> FeatureStatistics:
        return FeatureStatistics(self.generated_total.clone(), self.generated_outer.clone(), int(self.generated_count))
