"""Data sets: videos of any kind, or latents of them -> batches of clips."""

from pvdm_lightning.data.clips.clip_dataset import ClipDataset
from pvdm_lightning.data.datamodules import (
    UCF101,
    CachedLatents,
    ClipDataModule,
    FrameFolder,
    SkyTimelapse,
    Synthetic,
    VideoFolder,
)
from pvdm_lightning.data.videos.source import IndexedVideos, VideoSource

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
