"""The clips of one side that are measured at one length, and what a report says of them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pvdm_lightning.data.clips.chosen_clips import ChosenClips
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.data.index.video_info import DecodeError
from pvdm_lightning.data.videos.source import VideoSource, rates_of
from pvdm_lightning.evaluation.clip_options import FramePreparation, GeneratedClips, RealClips, Side
from pvdm_lightning.evaluation.features import ClipId, file_clips


@dataclass(frozen=True)
class MeasuredClips:
    """Clips of one side, of one length.

    Attributes:
        side: real or generated.
        options: That chose them.
        dataset: The clips.
        asked: How many were asked for.
    """

    side: Side
    options: RealClips | GeneratedClips
    dataset: ChosenClips
    asked: int | str

    @classmethod
    def real(
        cls,
        source: VideoSource,
        windows: Windows,
        resolution: tuple[int, int],
        options: RealClips,
        preparation: FramePreparation,
        reconstructions: bool = False,
    ) -> MeasuredClips:
        """Clips of real videos.

        Args:
            source: The videos.
            windows: Frames and stride of a clip.
            resolution: (height, width).
            options: Which clips.
            preparation: How their frames are prepared.
            reconstructions: Whether the defaults are those for reconstructions.
        """
        options = replace(options, choice=options.choice or ("centre" if reconstructions else "random"))
        clips = options.choose(source, windows, reconstructions)
        dataset = ChosenClips(source, windows, resolution, clips, preparation)
        return cls("real", options, dataset, options.asked(reconstructions))

    @classmethod
    def generated(
        cls,
        source: VideoSource,
        frames: int,
        resolution: tuple[int, int],
        options: GeneratedClips,
        preparation: FramePreparation,
    ) -> MeasuredClips:
        """Clips of generated videos; arguments as of `real`."""
        windows = Windows(frames, options.stride)
        clips = options.choose(source, windows)
        dataset = ChosenClips(source, windows, resolution, clips, options.preparation(preparation))
        return cls("generated", options, dataset, options.asked())

    @property
    def frames(self) -> int:
        """Frames of a clip."""
        return self.dataset.windows.frames

    def key(self, draw: int = 0) -> str:
        """Name of its record in a report, which is also of the draw."""
        return f"{self.side}_{self.frames}" + (f"_draw_{draw + 1}" if draw else "")

    def __len__(self) -> int:
        return len(self.dataset)

    def clips(self) -> list[tuple[str, int]]:
        """The name of the video and the first frame of each clip, in the order of their numbers."""
        source, chosen = self.dataset.source, self.dataset.clips
        names = {index: source.name(index) for index in set(chosen.videos.tolist())}
        return [(names[index], start) for index, start in zip(chosen.videos.tolist(), chosen.starts.tolist())]

    def clip_ids(self) -> list[ClipId]:
        """What features of the clips are stored with, in the order of their numbers."""
        rates = self._rates()
        clips = [(name, start, rate) for (name, start), rate in zip(self.clips(), rates)]
        return file_clips(clips, self.dataset.windows.stride, self.frames)

    def _rates(self) -> list[float]:
        """Frames per second to which the video of each clip was resampled; 0 for its own."""
        rates: list[float] = rates_of(self.dataset.source)[self.dataset.clips.videos].tolist()
        return rates

    def record(self) -> dict[str, Any]:
        """Everything that decides which pixels are measured, as plain values."""
        dataset, options = self.dataset, asdict(self.options)
        return {
            **options,
            "num": self.asked,
            "frames": self.frames,
            "stride": dataset.windows.stride,
            **({"fps": rate} if (rate := max(self._rates(), default=0.0)) else {}),
            "resolution": list(dataset.resolution),
            "preparation": asdict(dataset.preparation),
            "count": len(dataset),
            "videos": dataset.clips.num_videos,
            "usable_videos": dataset.clips.usable,
            "too_short": dataset.clips.short,
            "list": self.list_hash(),
            "fingerprint": fingerprint(dataset),
        }

    def list_hash(self) -> str:
        """A hash of 20 hexadecimal digits over names of videos, first frames and frame rates, in any order.

        It does not depend on where the common folder of the videos lies.
        """
        clips, rates = self.clips(), self._rates()
        inside = len(_common_folder([name for name, _ in clips]))
        windows = f"{self.dataset.windows.stride}\t{self.frames}"
        lines = [
            f"{name[inside:]}\t{start}\t{windows}" + (f"\t{rate}\n" if rate else "\n")
            for (name, start), rate in zip(clips, rates)
        ]
        return hashlib.sha256("".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest()[:20]

    def notes(self) -> list[str]:
        """What a reader must know of the list, beside its record."""
        chosen = self.dataset.clips
        what = f"{self.side} clips of {self.frames} frames"
        notes = [f"{what}: {note}" for note in chosen.notes]
        wanted = self.asked if isinstance(self.asked, int) else None
        if wanted is None and self.asked != "all":
            wanted = int(str(self.asked).split()[0])
        if wanted is not None and len(self) < wanted:
            asked = "were asked for" if isinstance(self.asked, int) else "are usual"
            notes.insert(0, f"{what}: {wanted:,} {asked}, {len(self):,} are measured: there are no more.")
        if chosen.num_videos < len(self):
            notes.append(f"{what}: they are of {chosen.num_videos:,} videos.")
        return notes


def _common_folder(names: Sequence[str]) -> str:
    """The innermost folder that all names lie in; "" if there is none."""
    return os.path.commonpath([Path(name).parent for name in names]) if names else ""


def fingerprint(dataset: ChosenClips) -> str:
    """A hash of 20 hexadecimal digits over the names, lengths and files of the videos and the pixels of one clip."""
    digest = hashlib.sha256()
    source = dataset.source
    digest.update(dataset.clips.videos.tobytes())
    digest.update(dataset.clips.starts.tobytes())
    digest.update(source.lengths.tobytes())
    digest.update(source.stamps())
    for index in range(len(source.lengths)):
        digest.update(source.name(index).encode("utf-8", "surrogateescape"))
    digest.update(json.dumps(asdict(dataset.preparation)).encode())
    if len(dataset):
        try:
            # Also a decoder or a drawing that changed shows here.
            digest.update(dataset[0]["clip"].numpy().tobytes())
        except DecodeError as error:
            digest.update(str(error).encode())
    return digest.hexdigest()[:20]
