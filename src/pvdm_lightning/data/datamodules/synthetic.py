"""Generated videos."""

from typing import Any

from pvdm_lightning.data.datamodules.clip_datamodule import ClipDataModule
from pvdm_lightning.data.videos.source import VideoSource
from pvdm_lightning.data.videos.synthetic import Backgrounds, SyntheticVideos
from pvdm_lightning.errors import check_at_least, check_numbers
from pvdm_lightning.memory import check_memory

BYTES_A_VIDEO = 40
"""Of what is kept of each: length, label, and its place in the order of an epoch."""


class Synthetic(ClipDataModule):
    """Videos of moving shapes, generated on the fly, without any files. The class is the kind of the first shape.

    Args:
        num_videos: Training videos.
        num_val_videos: Validation videos; none of them is a training video.
        video_frames: Frames in each video.
        max_shapes: Each video has 1 to so many moving shapes.
        backgrounds: coloured, or plain: one dark colour, so that nearly all there is to learn is the shapes.
        **kwargs: As in ClipDataModule.
    """

    def __init__(
        self,
        num_videos: int = 1024,
        num_val_videos: int = 64,
        video_frames: int = 64,
        max_shapes: int = 2,
        backgrounds: Backgrounds = "coloured",
        **kwargs: Any,
    ) -> None:
        check_numbers("DataModule", locals())
        super().__init__(**kwargs)
        for argument, value in (
            ("num_videos", num_videos),
            ("num_val_videos", num_val_videos),
            ("video_frames", video_frames),
            ("max_shapes", max_shapes),
        ):
            check_at_least(f"DataModule.{argument}", value, 1)
        for argument, value in (("num_videos", num_videos), ("num_val_videos", num_val_videos)):
            check_memory(f"DataModule.{argument}", value, BYTES_A_VIDEO * value, "the table of its videos")
        self.num_videos, self.num_val_videos = num_videos, num_val_videos
        self.video_frames, self.max_shapes, self.backgrounds = video_frames, max_shapes, backgrounds

    def open_sources(self) -> tuple[VideoSource, VideoSource]:
        def videos(first: int, count: int) -> SyntheticVideos:
            return SyntheticVideos(first, count, self.video_frames, self.seed, self.max_shapes, self.backgrounds)

        # Validation starts far away: more training videos do not run into it.
        return videos(0, self.num_videos), videos(2**40, self.num_val_videos)
