"""The statistics of features that FVD needs, as three sums, and their file."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.foreign_files import load_tensors

logger = logging.getLogger(__name__)


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


def statistics_path(folder: Path, protocol: Mapping[str, object]) -> Path:
    """File in `folder` for the statistics that `protocol` gives: one file for one protocol.

    Args:
        folder: Folder of such files.
        protocol: All that shapes the features, JSON-able: data set, split, count, frames, stride, resolution, crop,
            seed, feature network and its hash. What is left out is what two different runs would wrongly share.
    """
    return folder / f"{hashlib.sha256(_canonical(protocol).encode()).hexdigest()[:20]}.pt"


def save_statistics(statistics: FeatureStatistics, path: Path, protocol: Mapping[str, object]) -> None:
    """Write statistics and their protocol atomically."""
    content = {
        "protocol": _canonical(protocol),
        "total": statistics.total.cpu(),
        "outer": statistics.outer.cpu(),
        "count": statistics.count,
    }
    with atomic_write(path) as partial:
        torch.save(content, partial)


def load_statistics(path: Path, protocol: Mapping[str, object]) -> FeatureStatistics | None:
    """Statistics of exactly this protocol, or None where `path` does not hold them; a damaged file is logged."""
    if not path.is_file():
        return None
    try:
        content = load_tensors(path)
        if content["protocol"] != _canonical(protocol):
            return None
        total, outer, count = content["total"], content["outer"], content["count"]
        if outer.shape != (*total.shape, *total.shape) or not (total.isfinite().all() and outer.isfinite().all()):
            raise ValueError("sums and products are not those of features")
        return FeatureStatistics(total, outer, int(count))
    except Exception as error:  # a cache: whatever is wrong with it, the statistics can be computed again
        logger.warning("%s cannot be read and is computed again (%s)", path, error)
        return None


def _canonical(protocol: Mapping[str, object]) -> str:
    return json.dumps(dict(protocol), sort_keys=True)
