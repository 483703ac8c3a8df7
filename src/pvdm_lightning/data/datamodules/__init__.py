"""Data modules: the only part of the data package that knows Lightning."""

from pvdm_lightning.data.datamodules.clip_datamodule import ClipDataModule
from pvdm_lightning.data.datamodules.data_sets import UCF101, FrameFolder, SkyTimelapse, Synthetic, VideoFolder

__all__ = ["UCF101", "ClipDataModule", "FrameFolder", "SkyTimelapse", "Synthetic", "VideoFolder"]
