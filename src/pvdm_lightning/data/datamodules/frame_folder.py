"""Any folder tree of frames."""

from typing import Any

from pvdm_lightning.data.datamodules.splits import existing_folder
from pvdm_lightning.data.datamodules.video_tree import VideoTree
from pvdm_lightning.data.index import video_tree
from pvdm_lightning.data.videos import frame_folder
from pvdm_lightning.data.videos.source import VideoSource


class FrameFolder(VideoTree):
    """Any tree of folders of frames (jpg, png and others); each folder with pictures is a video, in their numbers'
    order.

    Args:
        root: The folder; any tree below it.
        **kwargs: As in VideoTree.
    """

    def __init__(self, root: str = "data/frames", **kwargs: Any) -> None:
        super().__init__(root, **kwargs)

    def open_sources(self) -> tuple[VideoSource, VideoSource]:
        return self._split_tree(
            existing_folder(self.root), video_tree.find_frame_folders, "pictures", frame_folder.probe
        )
