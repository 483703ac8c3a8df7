"""Vectors that videos are conditioned on, such as embeddings of their captions: files of them, and videos with them.

A file is one of safetensors with a tensor [N E] for each video, by the video's path below the root of its data set. N
is the same for all: attention gives weight to rows of zeros beside others, so that padding them here would change what
the others say. Vectors that are all zero say that a video has no context.
"""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.data.index.check import CheckedVideo
from pvdm_lightning.data.latents.shard import Shard
from pvdm_lightning.data.videos.npz import map_npy
from pvdm_lightning.data.videos.source import (
    VideoSource,
    check_source,
    condition_of,
    conditions_of,
    file_of,
    fps_of,
    rates_of,
)
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.escaping import one_line

FLOATS = ("F64", "F32", "F16", "BF16")
"""Types of vectors, as safetensors calls them."""
MOST_AT_ONCE = 2**28
"""Numbers that the vectors of one video, or of all videos to sample, may have."""
_REMEDY = "Give a safetensors file with vectors [N E] for each video, by its path below DataModule.root."


def write_contexts(path: str | Path, contexts: Mapping[str, Tensor]) -> None:
    """Write vectors of videos to a file for `DataModule.context`.

    Args:
        path: The file. Several in one folder, written one after another, serve as well: give the folder.
        contexts: Vectors [N E] in floating point, by the path of the video below the root of its data set.

    Raises:
        InvalidArgumentError: They are not in floating point, not finite, or not [N E] of one N and E.
    """
    argument, shape = "write_contexts.contexts", None
    for name, vectors in contexts.items():
        shape = shape or vectors.shape
        if not vectors.is_floating_point() or vectors.dim() != 2 or vectors.shape != shape or 0 in shape:
            given = f"{str(vectors.dtype).removeprefix('torch.')} {list(vectors.shape)}"
            problem = f"{name} is not [N E] in floating point, of the same sizes as the others"
            raise InvalidArgumentError(argument, given, problem, "Pad or cut them, as text encoders do.")
        if not vectors.isfinite().all():
            raise InvalidArgumentError(argument, name, "is not finite", "Compute it again.")
    with atomic_write(Path(path)) as partial:
        partial.write_bytes(save({name: vectors.contiguous() for name, vectors in contexts.items()}))


class Contexts:
    """Vectors [N E] of videos by name, read when they are asked for.

    Args:
        path: A safetensors file, or a folder of such files.
        argument: The option that named it.

    Attributes:
        names: Names of the videos, sorted.
        size: (N, E).

    Raises:
        InvalidArgumentError: There is no such file, or it has something else than vectors of one size.
    """

    def __init__(self, path: str | Path, argument: str = "DataModule.context") -> None:
        self.path, self._argument = Path(path), argument
        self._files = sorted(self.path.glob("*.safetensors")) if self.path.is_dir() else [self.path]
        self._open: dict[int, Shard] = {}
        self._places: dict[str, tuple[int, str]] = {}
        if not self.path.exists():
            raise self._error("there is no such file or folder", _REMEDY)
        sizes: dict[tuple[int, ...], str] = {}
        for number in range(len(self._files)):
            for name, stored in self._shard(number).tensors.items():
                key = _normalized(name)
                if key in self._places:
                    raise self._error(f"has {name} twice", "Keep one of them.")
                if stored.kind not in FLOATS or len(stored.shape) != 2 or 0 in stored.shape:
                    problem = f"{name} is {stored.kind} {list(stored.shape)}, not vectors [N E] in floating point"
                    raise self._error(problem, _REMEDY)
                self._places[key] = number, name
                sizes.setdefault(stored.shape, name)
        if not self._places:
            raise self._error("has no vectors", _REMEDY)
        if len(sizes) > 1:
            (one, first), (other, second) = list(sizes.items())[:2]
            problem = f"has vectors {list(one)} for {first} and {list(other)} for {second}"
            raise self._error(problem, "Write as many for each video, padded or cut as the text encoder does.")
        self.names = sorted(self._places)
        count, channels = next(iter(sizes))
        self.size = count, channels
        if count * channels > MOST_AT_ONCE:
            raise self._error(f"has vectors {list(self.size)} for each video", "Give fewer.")

    def __contains__(self, name: str) -> bool:
        return _normalized(name) in self._places

    def read(self, name: str) -> Tensor:
        """The vectors of a video, float32 [N E].

        Raises:
            InvalidArgumentError: They are not finite, or the file was cut meanwhile.
        """
        number, stored = self._places[_normalized(name)]
        try:
            vectors = self._shard(number).tensor(stored).float()
        except ValueError as error:
            raise self._error(f"is damaged ({one_line(error, 80)})", "Write it anew.") from None
        if not vectors.isfinite().all():
            raise self._error(f"the vectors of {name} are not finite", "Compute them again.")
        return vectors

    def _shard(self, number: int) -> Shard:
        if number not in self._open:
            try:
                self._open[number] = Shard(self._files[number])
            except (OSError, ValueError) as error:
                reason = one_line(getattr(error, "strerror", None) or error, 80)
                raise self._error(f"cannot be read ({self._files[number].name}: {reason})", _REMEDY) from None
        return self._open[number]

    def _error(self, problem: str, remedy: str) -> InvalidArgumentError:
        return InvalidArgumentError(self._argument, self.path, problem, remedy)

    def __getstate__(self) -> dict[str, Any]:
        # Open files do not travel to worker processes, which open their own.
        return {**self.__dict__, "_open": {}}


class VideosWithContext:
    """A source of videos together with vectors that they are conditioned on.

    Args:
        videos: The videos.
        contexts: Vectors of each, by its path below the root, or by its name if it is no file.

    Raises:
        InvalidArgumentError: A video has no vectors.
    """

    def __init__(self, videos: VideoSource, contexts: Contexts) -> None:
        self.videos, self.contexts = videos, contexts
        self.lengths, self.problems = videos.lengths, videos.problems
        self.fps, self.rates = fps_of(videos), rates_of(videos)
        self.class_names = getattr(videos, "class_names", ())
        self.conditions = ("context", *(name for name in conditions_of(videos) if name != "context"))
        self._key = getattr(videos, "key", videos.name)
        keys = (self._key(index) for index in np.flatnonzero(videos.lengths).tolist())
        missing = [key for key in keys if key not in contexts]
        if missing:
            problem = f"has no vectors of {len(missing)} videos, such as {missing[0]}"
            remedy = f"Add them; zeros where a video has none. Its own names are such as {contexts.names[0]}."
            raise InvalidArgumentError("DataModule.context", contexts.path, problem, remedy)

    @property
    def labels(self) -> np.ndarray:
        return self.videos.labels

    def name(self, index: int) -> str:
        return self.videos.name(index)

    def file(self, index: int) -> str:
        """The file that a video lies in."""
        return file_of(self.videos, index)

    def check(self, progress: bool = True) -> list[CheckedVideo]:
        """Check every video."""
        return check_source(self.videos, progress)

    def stamps(self) -> bytes:
        return self.videos.stamps()

    def read(self, index: int, frames: Sequence[int], resolution: tuple[int, int]) -> Tensor:
        return self.videos.read(index, frames, resolution)

    def context(self, index: int) -> Tensor:
        """The vectors of a video, float32 [N E]."""
        return self.contexts.read(self._key(index))

    def condition(self, index: int, frames: Sequence[int], flip: bool) -> dict[str, Tensor]:
        return {**condition_of(self.videos, index, frames, flip), "context": self.context(index)}


def read_context(path: str | Path, argument: str = "Sampling.context") -> Tensor:
    """Vectors to sample with, float32 [videos N E].

    Args:
        path: A .npy file with [N E] or [videos N E]; or a safetensors file, each of whose tensors is one or the other,
            in the order of their names.
        argument: The option that named it.

    Raises:
        InvalidArgumentError: There is no such file, or it has no vectors of one size, or some that are not finite.
    """
    path, remedy = Path(path), "Give a .npy or .safetensors file with vectors [N E], or [videos N E]."

    def wrong(problem: str) -> InvalidArgumentError:
        return InvalidArgumentError(argument, path, problem, remedy)

    if not path.exists():
        raise wrong("there is no such file")
    try:
        parts = _read_npy(path) if path.suffix == ".npy" else _read_safetensors(path)
    except (OSError, ValueError) as error:
        raise wrong(f"cannot be read ({one_line(getattr(error, 'strerror', None) or error, 80)})") from None
    parts = [part if part.dim() == 3 else part[None] for part in parts]
    if not parts or any(part.dim() != 3 or 0 in part.shape or part.shape[1:] != parts[0].shape[1:] for part in parts):
        shapes = " and ".join(str(list(part.shape)) for part in parts[:2]) or "nothing"
        raise wrong(f"has {shapes}, and not vectors of one size")
    context = torch.cat(parts)
    if not context.isfinite().all():
        raise wrong("is not finite")
    return context


def _read_npy(path: Path) -> list[Tensor]:
    array = map_npy(path)
    if array.dtype.kind != "f" or array.size > MOST_AT_ONCE:
        raise ValueError(f"it is {array.dtype} {list(array.shape)}")
    return [torch.from_numpy(array.astype(np.float32))]


def _read_safetensors(path: Path) -> list[Tensor]:
    with Shard(path) as shard:
        for name, stored in shard.tensors.items():
            if stored.kind not in FLOATS:
                raise ValueError(f"{name} is {stored.kind}")
        if sum(torch.Size(stored.shape).numel() for stored in shard.tensors.values()) > MOST_AT_ONCE:
            raise ValueError("it has more vectors than fit into memory at once")
        return [shard.tensor(name).float() for name in sorted(shard.tensors)]


def _normalized(name: str) -> str:
    """The same text for a path below a root, however it is written: macOS may split accented letters."""
    return unicodedata.normalize("NFC", posixpath.normpath(name))
