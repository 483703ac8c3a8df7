"""Data sets: videos of any kind, or latents of them -> batches of clips."""

from pvdm_lightning.data.datamodules import (
    UCF101,
    CachedLatents,
    ClipDataModule,
    FrameFolder,
    SkyTimelapse,
    Synthetic,
    VideoFolder,
)
from pvdm_lightning.data.video_dataset import ClipDataset, IndexedVideos, VideoSource

__all__ = [
    "UCF101",
    "CachedLatents",
    "ClipDataModule",
    "ClipDataset",
    "FrameFolder",
    "IndexedVideos",
    "SkyTimelapse",
    "Synthetic",
    "VideoFolder",
    "VideoSource",
]
