"""Data sets: videos of any kind, or latents of them -> batches of clips. The data modules are names of the package."""

from pvdm_lightning.data.clips.clip_dataset import ClipDataset
from pvdm_lightning.data.datamodules.clip_datamodule import ClipDataModule
from pvdm_lightning.data.videos.source import IndexedVideos, VideoSource

__all__ = ["ClipDataModule", "ClipDataset", "IndexedVideos", "VideoSource"]
