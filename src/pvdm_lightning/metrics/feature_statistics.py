"""The statistics of features that FVD needs, as three sums."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class FeatureStatistics:
    """Sums over N feature vectors, in float64.

    Attributes:
        total: Sum of the vectors, [F].
        outer: Sum of their outer products, [F F].
        count: N.
    """

    total: Tensor
    outer: Tensor
    count: int

    @classmethod
    def from_features(cls, features: Tensor) -> "FeatureStatistics":
        """Statistics of features [N F] of any float dtype."""
        wide = features.double()
        return cls(wide.sum(dim=0), wide.T @ wide, len(features))

    def mean(self) -> Tensor:
        """The mean vector, [F]."""
        return self.total / self.count

    def covariance(self) -> Tensor:
        """The unbiased covariance, [F F]: divided by N - 1.

        Raises:
            ValueError: N < 2.
        """
        if self.count < 2:
            raise ValueError(f"a covariance needs at least 2 videos, not {self.count}")
        mean = self.mean()
        return (self.outer - self.count * torch.outer(mean, mean)) / (self.count - 1)
