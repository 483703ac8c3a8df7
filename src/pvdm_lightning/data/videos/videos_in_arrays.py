"""Videos in arrays of numpy and HDF5 files: one video or many in an array, gray or coloured, as bytes or floats."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped]

from pvdm_lightning.data.clips.transforms import crop_and_resize
from pvdm_lightning.data.index.check import CheckedVideo
from pvdm_lightning.data.index.video_info import DecodeError, one_line, stamp_of
from pvdm_lightning.data.videos.array_axes import find_axes, picture, problem_of
from pvdm_lightning.data.videos.stored_arrays import HDF5_SUFFIXES, StoredArray, arrays_in, read_labels
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.escaping import printable

logger = logging.getLogger(__name__)

LABELS = ("labels", "label", "classes")
"""Arrays beside the videos of a file that hold their classes, first one first."""
_LOOKED_AT = 64
"""Arrays, and pictures of each, that tell the range of values in floating point."""
_BEYOND = 0.01
"""Share of the range that values may lie beyond it, as resized pictures do."""


@dataclass(frozen=True)
class VideoArray:
    """An array of videos, or a file that has none that can be read.

    Attributes:
        stored: The array; None if there is a problem.
        axes: Order of its axes.
        file: Path of its file relative to the root.
        name: `file`, with the name of the array in it.
        num_videos: How many videos; 1 if there is a problem.
        labels: Class of each video, "" if it has none; empty if the file tells none.
        problem: What is wrong with the file.
    """

    stored: StoredArray | None
    axes: str
    file: str
    name: str
    num_videos: int = 1
    labels: Sequence[str] = ()
    problem: str = ""

    @property
    def frames(self) -> int:
        return 0 if self.stored is None else self.stored.shape[self.axes.index("T")]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        shape = (0, 0) if self.stored is None else self.stored.shape
        return (0, 0) if self.stored is None else (shape[self.axes.index("H")], shape[self.axes.index("W")])

    def video_name(self, number: int) -> str:
        """Name of a video: of the array, with its number if there are several."""
        return f"{self.name}[{number}]" if "N" in self.axes else self.name


def find_video_arrays(
    root: Path, files: Sequence[str], axes: str | None, key: str | None
) -> tuple[list[VideoArray], list[str]]:
    """The arrays of videos in some files.

    Args:
        root: Folder that the files are relative to.
        files: Names of the files.
        axes: Order of the axes of all of them; None finds it for each.
        key: Name of the arrays in .npz and HDF5 files, or the last part of it; None takes each array that may be one.

    Returns:
        The arrays, and what there is else in the files that have none, one line for each.

    Raises:
        InvalidArgumentError: The order of the axes is not certain, labels do not fit, or h5py is missing.
    """
    found: list[VideoArray] = []
    others: list[str] = []
    for file in files:
        try:
            arrays = arrays_in(root / file)
        except InvalidArgumentError:
            raise
        except (OSError, ValueError) as error:
            found.append(VideoArray(None, "", file, file, problem=one_line(error)))
            continue
        named = [array for array in arrays if not key or not array.key or key in (array.key, Path(array.key).name)]
        videos = [video for array in named if (video := _look_at(file, array, axes)) is not None]
        if not videos:
            there = ", ".join(f"{a.key or 'it'} is {a.dtype} {list(a.shape)}" for a in arrays[:3])
            others.append(f"{file}: {there or 'has no arrays of numbers'}")
        found += _with_labels(root, file, videos, arrays)
    return found, others


def _look_at(file: str, array: StoredArray, axes: str | None) -> VideoArray | None:
    """An array as one of videos; None if it is something else, such as features or labels."""
    if array.key.rpartition("/")[2] in LABELS or len(array.shape) not in ((4, 5) if axes is None else (len(axes),)):
        return None
    name = f"{file}/{array.key}" if array.key else file
    if not (array.dtype == np.uint8 or (array.dtype.kind == "f" and array.dtype.itemsize <= 8)):
        return VideoArray(
            None, "", file, name, problem=f"is {array.dtype} {list(array.shape)}, not uint8 or floating point"
        )
    if axes is None:
        try:
            with array.open() as opened:
                orders = find_axes(opened)
        except DecodeError as error:
            return VideoArray(None, "", file, name, problem=str(error))
        if len(orders) > 1:
            problem = f"is needed: {name} is {array.dtype} {list(array.shape)}, which may be {' or '.join(orders)}"
            remedy = "Give the order, N videos, T frames, H, W and C colours, such as TNHW."
            raise InvalidArgumentError("DataModule.axes", None, problem, remedy)
        if not orders:
            return None
        axes = orders[0]
    if problem := problem_of(array.shape, axes):
        return VideoArray(None, "", file, name, problem=problem)
    sizes = dict(zip(axes, array.shape))
    pictures = sizes.get("N", 1) * sizes["T"]
    if array.path.suffix.lower() in HDF5_SUFFIXES and pictures > array.path.stat().st_size:
        return VideoArray(None, "", file, name, problem=f"claims {pictures:,} pictures, more than the file has bytes")
    return VideoArray(array, axes, file, name, sizes.get("N", 1))


def _with_labels(root: Path, file: str, videos: list[VideoArray], arrays: Sequence[StoredArray]) -> list[VideoArray]:
    """The arrays of one file with the classes that it gives; a lone video has the name of its file."""
    if len(videos) == 1 and "N" not in videos[0].axes and videos[0].stored is not None:
        videos = [replace(videos[0], name=file)]
    by_name = {array.key: array for array in arrays}
    array = next((by_name[name] for name in LABELS if name in by_name), None)
    if array is None or not videos:
        return videos
    try:
        labels = read_labels(array)
    except (DecodeError, ValueError) as error:
        problem = f"{file}: {array.key} {one_line(error)}"
        raise InvalidArgumentError("DataModule.root", root, problem, "Write them as int64 [N].") from error
    total = sum(video.num_videos for video in videos)
    if len(labels) != total:
        problem = f"{file}: {array.key} has {len(labels)} entries for {total} videos"
        raise InvalidArgumentError("DataModule.root", root, problem, "Give one for each video, or leave them out.")
    with_labels = []
    for video in videos:
        own, labels = labels[: video.num_videos], labels[video.num_videos :]
        with_labels.append(replace(video, labels=own))
    return with_labels


def find_value_range(arrays: Sequence[VideoArray]) -> tuple[float, float] | None:
    """The range of the values in floating point, [0, 1] or [-1, 1], by a look at some; None if there are none.

    Raises:
        InvalidArgumentError: They have another range.
    """
    floats = [array for array in arrays if array.stored is not None and array.stored.dtype.kind == "f"]
    low, high, where = np.inf, -np.inf, ""
    for number in np.unique(np.linspace(0, len(floats) - 1, _LOOKED_AT).astype(int)) if floats else ():
        array = floats[number]
        assert array.stored is not None
        spots = np.arange(_LOOKED_AT) * (array.frames * array.num_videos - 1) // max(_LOOKED_AT - 1, 1)
        try:
            with array.stored.open() as opened:
                for spot in np.unique(spots):
                    pixels = picture(opened, array.axes, *divmod(int(spot), array.frames))
                    if pixels.max() > high or pixels.min() < low:
                        where = array.name
                    low, high = min(low, float(pixels.min())), max(high, float(pixels.max()))
        except DecodeError:
            continue  # named when it is read
    if low > high:
        return None
    for start in (0.0, -1.0):
        margin = _BEYOND * (1 - start)
        if low >= start - margin and high <= 1 + margin:
            return start, 1.0
    problem = f"is needed: values in floating point are from {low:.4g} to {high:.4g}, as in {where}"
    remedy = "Give the values of black and white, such as [0,255]."
    raise InvalidArgumentError("DataModule.value_range", None, problem, remedy)


def to_uint8(pixels: np.ndarray, value_range: tuple[float, float] | None) -> np.ndarray:
    """Pixels uint8 [H W 3] of a picture [H W 1 or 3].

    Args:
        pixels: uint8, or floating point.
        value_range: The values of black and white in floating point.

    Raises:
        DecodeError: A value is not finite or beyond the range.
    """
    if pixels.dtype != np.uint8:
        low, high = value_range or (0.0, 1.0)
        scaled = (pixels.astype(np.float64) - low) / (high - low)
        if not (scaled.min() >= -_BEYOND and scaled.max() <= 1 + _BEYOND):  # nor if one is not finite
            problem = f"has values from {pixels.min():.4g} to {pixels.max():.4g}, beyond the range [{low:g}, {high:g}]"
            raise DecodeError(problem)
        pixels = np.rint(scaled.clip(0, 1) * 255).astype(np.uint8)
    return np.array(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


class VideosInArrays:
    """A source of videos in arrays.

    Args:
        root: Folder that the arrays' names are relative to.
        arrays: The arrays.
        chosen: Which videos, by (array, number in it).
        value_range: The values of black and white in floating point.
        labels: Class of each; None if unknown.
        class_names: Names of the classes; none if there are no classes.
    """

    def __init__(
        self,
        root: Path,
        arrays: Sequence[VideoArray],
        chosen: Sequence[tuple[int, int]],
        value_range: tuple[float, float] | None,
        labels: Sequence[int] | None = None,
        class_names: Sequence[str] = (),
    ) -> None:
        self.root, self.arrays, self.value_range, self.class_names = root, arrays, value_range, class_names
        self.chosen = np.asarray(chosen, dtype=np.int64).reshape(-1, 2)
        self.lengths = np.array([array.frames for array in arrays], dtype=np.int64)[self.chosen[:, 0]]
        self.labels = np.full(len(chosen), -1) if labels is None else np.asarray(labels, dtype=np.int64)
        self.problems = {
            row: arrays[which].problem for row, (which, _) in enumerate(self.chosen.tolist()) if arrays[which].problem
        }

    def key(self, index: int) -> str:
        """Name of a video below the root of the set."""
        which, number = self.chosen[index].tolist()
        return self.arrays[which].video_name(number)

    def name(self, index: int) -> str:
        return str(self.root / self.key(index))

    def file(self, index: int) -> str:
        """The file that a video lies in."""
        return str(self.root / self.arrays[self.chosen[index, 0]].file)

    def stamps(self) -> bytes:
        # The same bytes are other pictures by another order of axes or range.
        arrays = [self.arrays[which] for which in np.unique(self.chosen[:, 0])]
        stamps = np.array([stamp_of(self.root / array.file) for array in arrays], dtype=np.int64)
        return stamps.tobytes() + repr(([array.axes for array in arrays], self.value_range)).encode()

    def read(self, index: int, frames: Sequence[int], resolution: tuple[int, int]) -> Tensor:
        which, number = self.chosen[index].tolist()
        array = self.arrays[which]
        if array.stored is None:
            raise DecodeError(array.problem)
        with array.stored.open() as opened:
            pictures = [self._picture(opened, array, number, frame) for frame in frames]
        return torch.stack([crop_and_resize(pixels, resolution) for pixels in pictures], dim=1)

    def _picture(self, opened: Any, array: VideoArray, number: int, frame: int) -> np.ndarray:
        try:
            return to_uint8(picture(opened, array.axes, number, frame), self.value_range)
        except DecodeError as error:
            raise DecodeError(f"frame {frame} {error}") from error

    def check(self, progress: bool = True) -> list[CheckedVideo]:
        """Read every picture of every video."""
        rows = tqdm(range(len(self.lengths)), "checking videos", unit="video", disable=not progress)
        return [self._check(row) for row in rows]

    def _check(self, row: int) -> CheckedVideo:
        which, number = self.chosen[row].tolist()
        array, problem = self.arrays[which], self.problems.get(row, "")
        if array.stored is not None:
            try:
                with array.stored.open() as opened:
                    for frame in range(array.frames):
                        self._picture(opened, array, number, frame)
            except DecodeError as error:
                problem = str(error)
        height, width = array.size
        return CheckedVideo(
            path=self.name(row),
            status="broken" if problem else "good",
            reason=problem,
            frames=array.frames,
            height=height,
            width=width,
            fps=0.0,
            codec="" if array.stored is None else f"{array.stored.dtype} {array.axes}",
            route="broken" if problem else "array",
        )


def summarise_arrays(arrays: Sequence[VideoArray]) -> list[str]:
    """What arrays there are, in a line for each order of axes and type."""
    kinds: dict[str, list[VideoArray]] = {}
    for array in arrays:
        if array.stored is not None:
            colours = "colours" if dict(zip(array.axes, array.stored.shape)).get("C", 1) == 3 else "gray"
            kinds.setdefault(f"{array.axes} in {array.stored.dtype}, {colours}", []).append(array)
    lines = []
    for kind, same in kinds.items():
        first, videos = same[0], sum(array.num_videos for array in same)
        assert first.stored is not None
        line = f"{len(same)} arrays of {videos} videos have the axes {kind}"
        lines.append(f"{line}, such as {printable(first.name)} with {list(first.stored.shape)}")
    return lines
