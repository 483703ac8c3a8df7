"""SkyTimelapse."""

from typing import Any

from pvdm_lightning.data.datamodules.clip_datamodule import ClipDataModule
from pvdm_lightning.data.datamodules.splits import existing_folder, split_sources
from pvdm_lightning.data.videos import frame_folder, sky_timelapse
from pvdm_lightning.data.videos.source import VideoSource


class SkyTimelapse(ClipDataModule):
    """SkyTimelapse: time lapses of the sky as folders of frames, in any of the published layouts.

    Args:
        root: Folder that holds train and test, or sky_train and sky_test.
        **kwargs: As in ClipDataModule.
    """

    def __init__(self, root: str = "data/sky_timelapse", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root = root

    def open_sources(self) -> tuple[VideoSource, VideoSource]:
        root = existing_folder(self.root)
        return split_sources(root, sky_timelapse.find_splits(root), (None, None), frame_folder.probe)
