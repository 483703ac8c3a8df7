"""The Frechet distance of two sets of features."""

from torch import Tensor

from pvdm_lightning.metrics import FeatureStatistics, frechet_distance


def distance(one: Tensor, other: Tensor) -> float:
    """Frechet distance of two sets of features [N F]."""
    first, second = FeatureStatistics.of(one), FeatureStatistics.of(other)
    return frechet_distance(first.mean(), first.covariance(), second.mean(), second.covariance()).item()
