"""Data modules: the only part of the data package that knows Lightning."""

from pvdm_lightning.data.datamodules.cached_latents import CachedLatents
from pvdm_lightning.data.datamodules.clip_datamodule import ClipDataModule
from pvdm_lightning.data.datamodules.data_sets import UCF101, FrameFolder, SkyTimelapse, Synthetic, VideoFolder
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
