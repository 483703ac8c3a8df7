"""FVD, video Inception Score, motion and reconstruction metrics, exact under any batch size and number of processes."""

from pvdm_lightning.metrics.feature_distances import (
    KERNEL_CONVENTIONS,
    bootstrap,
    bootstrap_interval,
    bootstrap_nearest_real,
    extrapolated_frechet,
    frechet,
    inception_score,
    nearest_real,
    nearest_real_ratio,
    polynomial_mmd,
    polynomial_mmd_of_blocks,
)
from pvdm_lightning.metrics.feature_statistics import FeatureStatistics
from pvdm_lightning.metrics.frechet_video_distance import FrechetVideoDistance, frechet_distance
from pvdm_lightning.metrics.frozen_network import FrozenNetwork
from pvdm_lightning.metrics.i3d import I3D
from pvdm_lightning.metrics.inception_score import InceptionScore, VideoInceptionScore
from pvdm_lightning.metrics.lpips_alex import LPIPS_ALEXNET
from pvdm_lightning.metrics.lpips_vgg import LPIPS_VGG16
from pvdm_lightning.metrics.motion import FRAME_DIFFERENCES, motion_ratio
from pvdm_lightning.metrics.published_network import C3D_MMACTION, C3D_UCF101, STYLEGAN_V_I3D, PublishedNetwork
from pvdm_lightning.metrics.reconstruction import MeanOverVideos, VideoLPIPS, VideoPSNR, VideoSSIM
from pvdm_lightning.metrics.transnet import TRANSNETV2
from pvdm_lightning.metrics.video_vit import VIDEOMAE_SSV2, VJEPA_SSV2

__all__ = [
    "C3D_MMACTION",
    "C3D_UCF101",
    "FRAME_DIFFERENCES",
    "I3D",
    "KERNEL_CONVENTIONS",
    "LPIPS_ALEXNET",
    "LPIPS_VGG16",
    "STYLEGAN_V_I3D",
    "TRANSNETV2",
    "VIDEOMAE_SSV2",
    "VJEPA_SSV2",
    "FeatureStatistics",
    "FrechetVideoDistance",
    "FrozenNetwork",
    "InceptionScore",
    "MeanOverVideos",
    "PublishedNetwork",
    "VideoInceptionScore",
    "VideoLPIPS",
    "VideoPSNR",
    "VideoSSIM",
    "bootstrap",
    "bootstrap_interval",
    "bootstrap_nearest_real",
    "extrapolated_frechet",
    "frechet",
    "frechet_distance",
    "inception_score",
    "motion_ratio",
    "nearest_real",
    "nearest_real_ratio",
    "polynomial_mmd",
    "polynomial_mmd_of_blocks",
]
