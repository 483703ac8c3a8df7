"""Any folder tree of video files."""

from typing import Any

from pvdm_lightning.data.datamodules.splits import existing_folder
from pvdm_lightning.data.datamodules.video_tree import VideoTree
from pvdm_lightning.data.index import probing, video_tree
from pvdm_lightning.data.videos.source import VideoSource


class VideoFolder(VideoTree):
    """Any folder tree of videos (avi, mp4, mkv, mov, webm, gif and others). Top-level folders, if several, are classes.

    Args:
        root: The folder; any tree below it.
        **kwargs: As in VideoTree.
    """

    def __init__(self, root: str = "data/videos", **kwargs: Any) -> None:
        super().__init__(root, **kwargs)

    def open_sources(self) -> tuple[VideoSource, VideoSource]:
        return self._split_tree(existing_folder(self.root), video_tree.find_videos, "video files", probing.probe)
