"""Data modules: the only part of the data package that knows Lightning."""

from pvdm_lightning.data.datamodules.cached_latents import CachedLatents
from pvdm_lightning.data.datamodules.clip_datamodule import ClipDataModule
from pvdm_lightning.data.datamodules.frame_folder import FrameFolder
from pvdm_lightning.data.datamodules.sky_timelapse import SkyTimelapse
from pvdm_lightning.data.datamodules.synthetic import Synthetic
from pvdm_lightning.data.datamodules.ucf101 import UCF101
from pvdm_lightning.data.datamodules.video_folder import VideoFolder
from pvdm_lightning.data.datamodules.windows_to_encode import WindowsToEncode

__all__ = [
    "UCF101",
    "CachedLatents",
    "ClipDataModule",
    "FrameFolder",
    "SkyTimelapse",
    "Synthetic",
    "VideoFolder",
    "WindowsToEncode",
]
