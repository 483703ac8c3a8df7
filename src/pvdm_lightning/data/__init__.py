"""Data sets: videos of any kind, or latents of them -> batches of clips."""

from pvdm_lightning.data.clips.video_dataset import ClipDataset, IndexedVideos, VideoSource
from pvdm_lightning.data.datamodules import (
    UCF101,
    CachedLatents,
    ClipDataModule,
    FrameFolder,
    SkyTimelapse,
    Synthetic,
    VideoFolder,
)

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
