import pytest
import torch

from pvdm_lightning.metrics import FeatureStatistics


def test_one_video_has_no_covariance():
    with pytest.raises(ValueError, match="at least 2 videos, not 1"):
        FeatureStatistics.from_features(torch.ones(1, 3)).covariance()
