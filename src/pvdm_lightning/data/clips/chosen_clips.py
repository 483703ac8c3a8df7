"""Clips of a list, prepared as an evaluation asks for."""

from __future__ import annotations

import torch
from torch.utils.data import Dataset

from pvdm_lightning.data.clips.clip_choice import ClipList
from pvdm_lightning.data.clips.clip_dataset import Key, Sample
from pvdm_lightning.data.clips.codecs import round_trip
from pvdm_lightning.data.clips.transforms import FramePreparation, prepared
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.data.videos.source import VideoSource

DEFAULT = FramePreparation()


class ChosenClips(Dataset[Sample]):
    """The clips of a list, one sample each.

    A sample holds ``clip`` uint8 [3, S, H, W] (float32 in 0..255 where the preparation does not round), ``label`` int64
    (-1 unknown), ``index`` int64 (of the video in the source) and ``number`` int64 (of the clip in the list).

    Args:
        source: The videos.
        windows: Frames and stride of a clip.
        resolution: (height, width) of the pictures.
        clips: Which clips.
        preparation: How decoded frames become pixels.

    Raises:
        InvalidArgumentError: The codec of the preparation cannot hold pictures of this size.
    """

    seed = 0  # nothing is drawn when samples are read

    def __init__(
        self,
        source: VideoSource,
        windows: Windows,
        resolution: tuple[int, int],
        clips: ClipList,
        preparation: FramePreparation = DEFAULT,
    ) -> None:
        preparation.check(resolution)
        self.source, self.windows, self.resolution = source, windows, resolution
        self.clips, self.preparation = clips, preparation
        self.videos = clips.videos

    def __len__(self) -> int:
        return len(self.clips)

    def name(self, position: int) -> str:
        """What messages call the video of a sample."""
        return self.source.name(int(self.videos[position]))

    def __getitem__(self, key: int | Key) -> Sample:
        """The clip at a position of the list.

        Args:
            key: The position, or (epoch, position, attempt); of these only the position counts.

        Raises:
            DecodeError: If the video cannot be read.
        """
        number = key[1] if isinstance(key, tuple) else key
        index, start = int(self.videos[number]), int(self.clips.starts[number])
        with prepared(self.preparation):
            clip = self.source.read(index, self.windows.clip_frames(start), self.resolution)
        if self.preparation.rounding == "none":
            clip = clip.float()  # also of a source that draws its pictures in uint8
        return {
            "clip": round_trip(clip, self.preparation.codec),
            "label": torch.tensor(int(self.source.labels[index])),
            "index": torch.tensor(index),
            "number": torch.tensor(number),
        }
