"""Data sets: videos of any kind, or latents of them -> batches of clips. The data modules are names of the package."""

from pvdm_lightning.data.clips.clip_dataset import ClipDataset
from pvdm_lightning.data.datamodules.clip_datamodule import ClipDataModule
from pvdm_lightning.data.videos.contexts import write_contexts
from pvdm_lightning.data.videos.source import ConditionedVideos, IndexedVideos, VideoSource

__all__ = ["ClipDataModule", "ClipDataset", "ConditionedVideos", "IndexedVideos", "VideoSource", "write_contexts"]
