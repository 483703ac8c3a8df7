"""Sources of videos: what data sets read frames from."""

from collections.abc import Mapping, Sequence
from typing import Protocol, cast

import numpy as np
from torch import Tensor

from pvdm_lightning.data.index.check import CheckedVideo, check_index
from pvdm_lightning.data.index.video_index import VideoIndex
from pvdm_lightning.data.index.video_info import Route
from pvdm_lightning.data.videos import frame_folder
from pvdm_lightning.data.videos.frame_times import read_times
from pvdm_lightning.data.videos.reading import read_clip


class VideoSource(Protocol):
    """Some videos that can be read frame by frame; a new kind of data set is a new one of these.

    A source that gives further parts of the condition of its clips is one of `ConditionedVideos`.

    A source whose videos have classes may name them: `class_names`, a sequence in which label i has the name
    class_names[i], is taken from the source of the training videos.

    These it may have, too: `fps`, float [N], frames a second of each video, 0 if unknown; `rates`, float [N], those to
    which it was resampled, see `ResampledVideos`, 0 if it was not, which a source around it passes on;
    `frame_times(index)`, see
    `IndexedVideos`, if rates may vary within a video; `file(index)`, the file that a video lies in, if its name is not
    that; `check(progress)`, which checks each video for `pvdm check-data`.

    Attributes:
        lengths: int [N], frames in each video; 0 for broken ones.
        labels: int [N], class of each video, -1 if unknown.
        problems: What is wrong with which broken video.
    """

    lengths: np.ndarray
    problems: dict[int, str]

    @property
    def labels(self) -> np.ndarray: ...

    def name(self, index: int) -> str:
        """What messages call a video."""
        ...

    def stamps(self) -> bytes:
        """Sizes and modification times of all files: changes whenever one of them does."""
        ...

    def read(self, index: int, frames: Sequence[int], resolution: tuple[int, int]) -> Tensor:
        """Read frames of a video, cropped and resized: uint8 [3, S, height, width].

        Raises:
            DecodeError: If they cannot be had.
        """
        ...


class ConditionedVideos(VideoSource, Protocol):
    """A source that also gives further parts of the condition of its clips, such as an action per frame.

    Attributes:
        conditions: Names of the parts, as in `Denoiser.conditions`.
    """

    conditions: Sequence[str]

    def condition(self, index: int, frames: Sequence[int], flip: bool) -> Mapping[str, Tensor]:
        """The parts of a clip by name, tensors of the same sizes for all clips.

        Args:
            index: Number of the video.
            frames: Its source frames, S.
            flip: Whether the clip is mirrored.
        """
        ...


def conditions_of(source: VideoSource) -> tuple[str, ...]:
    """Names of the further parts of a condition that a source gives."""
    return tuple(getattr(source, "conditions", ()))


def condition_of(source: VideoSource, index: int, frames: Sequence[int], flip: bool) -> Mapping[str, Tensor]:
    """The further parts of a clip's condition that a source gives, see `ConditionedVideos`; none of any other."""
    return cast(ConditionedVideos, source).condition(index, frames, flip) if conditions_of(source) else {}


def fps_of(source: VideoSource) -> np.ndarray:
    """Frames a second of each video of a source, float64 [N]; 0 where they are unknown."""
    return np.array(getattr(source, "fps", np.zeros(len(source.lengths))), dtype=np.float64)


def rates_of(source: VideoSource) -> np.ndarray:
    """Frames a second to which each video of a source was resampled, float64 [N]; 0 where its frames are its own."""
    return np.array(getattr(source, "rates", np.zeros(len(source.lengths))), dtype=np.float64)


def file_of(source: VideoSource, index: int) -> str:
    """The file that a video of a source lies in; its name if the source does not say."""
    return str(getattr(source, "file", source.name)(index))


def check_source(source: VideoSource, progress: bool = True) -> list[CheckedVideo]:
    """Check each video of a source; none of a source that has nothing to check, such as videos that are drawn.

    Args:
        source: The videos.
        progress: Whether a bar shows how far it is.
    """
    check = getattr(source, "check", None)
    return [] if check is None else check(progress)


class IndexedVideos:
    """A source of video files, members of archives, or frame folders.

    Args:
        index: Their index.
        labels: Class of each; None if unknown.
        class_names: Names of the classes; none if there are no classes.
    """

    def __init__(self, index: VideoIndex, labels: Sequence[int] | None = None, class_names: Sequence[str] = ()) -> None:
        self.index, self.class_names = index, class_names
        usable = index.lines["route"] != Route.BROKEN
        self.lengths = np.where(usable, index.lines["frames"], 0)
        self.fps = index.lines["fps"].astype(np.float64)
        self.labels = np.full(len(index), -1) if labels is None else np.asarray(labels, dtype=np.int64)
        self.problems = {int(row): index.problem(int(row)) for row in np.flatnonzero(~usable)}

    def name(self, index: int) -> str:
        return str(self.index.path(index))

    def key(self, index: int) -> str:
        """Path of a video below the root of the set; as it is listed if it lies elsewhere."""
        return str(self.index.names[index])

    def file(self, index: int) -> str:
        """The file or frame folder that a video is, or the archive that it lies in."""
        spans = self.index.spans
        return self.name(index) if spans is None else str(spans[index].path)

    def check(self, progress: bool = True) -> list[CheckedVideo]:
        """Check every video, see `check_index`."""
        return check_index(self.index, progress)

    def stamps(self) -> bytes:
        lines = self.index.lines
        # A folder's own time stays when a picture in it is written again.
        folders = np.flatnonzero(lines["route"] == Route.IMAGES)
        pictures = b"".join(frame_folder.stamps(self.index.path(int(row))) for row in folders)
        return lines["size"].tobytes() + lines["mtime_ns"].tobytes() + pictures

    def frame_times(self, index: int) -> np.ndarray | None:
        """Times of a video's frames in seconds after its first; None if frame i is at i / fps.

        They are read from the file. None are left where it has no time stamps.
        """
        line = self.index.lines[index]
        if line["pts_step"] or line["route"] in (Route.BROKEN, Route.IMAGES) or line["frames"] < 2:
            return None
        times = read_times(self.index.place(index), int(line["frames"]))
        return np.zeros(0) if times is None else times

    def read(self, index: int, frames: Sequence[int], resolution: tuple[int, int]) -> Tensor:
        return read_clip(self.index.place(index), self.index.info(index), frames, resolution)


class ConcatVideos:
    """Several sources in a row, as one.

    Args:
        sources: At least one.
    """

    def __init__(self, sources: Sequence[VideoSource]) -> None:
        self.sources = sources
        self.ends = np.cumsum([len(source.lengths) for source in sources])
        self.lengths = np.concatenate([source.lengths for source in sources])
        self.labels = np.concatenate([source.labels for source in sources])
        self.fps = np.concatenate([fps_of(source) for source in sources])
        self.rates = np.concatenate([rates_of(source) for source in sources])
        starts = [0, *self.ends[:-1]]
        self.problems = {
            int(start) + index: text
            for start, source in zip(starts, sources)
            for index, text in source.problems.items()
        }
        self.conditions = conditions_of(sources[0])

    def _find(self, index: int) -> tuple[VideoSource, int]:
        which = int(np.searchsorted(self.ends, index, side="right"))
        return self.sources[which], index - int(self.ends[which - 1] if which else 0)

    def name(self, index: int) -> str:
        source, place = self._find(index)
        return source.name(place)

    def file(self, index: int) -> str:
        """The file that a video lies in."""
        return file_of(*self._find(index))

    def stamps(self) -> bytes:
        return b"".join(source.stamps() for source in self.sources)

    def read(self, index: int, frames: Sequence[int], resolution: tuple[int, int]) -> Tensor:
        source, place = self._find(index)
        return source.read(place, frames, resolution)

    def frame_times(self, index: int) -> np.ndarray | None:
        """As `IndexedVideos.frame_times`."""
        source, place = self._find(index)
        return getattr(source, "frame_times", lambda _: None)(place)

    def condition(self, index: int, frames: Sequence[int], flip: bool) -> Mapping[str, Tensor]:
        source, place = self._find(index)
        return condition_of(source, place, frames, flip)
