"""A cache of latents on disk: ``cache.json`` describes it, shards hold the samples.

A shard is a safetensors file, so that it is read without being loaded. It has, for N samples of which M have a clip
before them: ``clip`` [N C L], ``previous`` [M C L] in the order of those samples, ``has_previous`` bool [N], ``label``
int64 [N] (-1 unknown), ``index`` int64 [N] (the video's position in its split), ``start`` int64 [N] (source frame at
which the sample's first window begins) and ``flipped`` bool [N]. A cache with K masks of known frames has ``known``
[N K C L] as well: for each mask, the latents of the clip whose unknown frames were filled. Its metadata name the videos
that could not be read.

Vectors that the videos are conditioned on are in a file a split, once for each video: ``context`` [V N E], and
``index`` int64 [V], rising.

The description has ``class_names`` if there are classes, and ``known_frames`` and ``known_masks`` (texts such as
``first:2`` and ``1100``) if there are masks. ``context`` is [N, E] if there are vectors.
"""

import errno
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.data.latents.encoded_videos import EncodedVideos, videos_path
from pvdm_lightning.data.latents.shard import Shard
from pvdm_lightning.errors import InvalidArgumentError, check_at_least, check_numbers
from pvdm_lightning.escaping import one_line
from pvdm_lightning.foreign_files import parse_json, read_json

FORMAT = 1
MOST = 10**7
"""Windows and shards that a description may claim."""
DESCRIPTION = "cache.json"
COLUMNS = {"has_previous": "BOOL", "label": "I64", "index": "I64", "start": "I64", "flipped": "BOOL"}
"""Columns of a shard and their types in a safetensors file."""
DTYPES = {"float32": torch.float32, "float16": torch.float16}
# Options of a data set that change how it is read, not what is read. Lists count by the videos they name.
_READING = frozenset(
    (
        *("batch_size", "val_batch_size", "num_workers", "drop_last", "max_bad_fraction", "horizontal_flip"),
        *("train_list", "val_list", "context", "lock"),
    )
)
_ANOTHER = "Name another folder, or delete this one to write it anew."


@dataclass(frozen=True)
class CacheOptions:
    """What a cache is to hold.

    Args:
        dir: Folder of the cache; made if it is not there. A cache that an interrupted run left there is finished.
        windows_per_video: Windows of each training video, spread evenly over it; fewer where it has fewer starts. Of
            a validation video there is one, from its middle.
        flips: Whether to store each training window mirrored as well.
        dtype: float32 trains as from pixels; float16 halves the space, and rounds latents by up to 2.5e-4.
        shard_size: Windows in a file; an interrupted run loses at most the file it was at.
        known_frames: Masks for a model that is given frames, such as [first:4, ends:1]. For each, a window's clip is
            stored once more, with its other frames filled from the nearest known one. Masks are first:K, last:K,
            ends:K (the first and the last K frames), every:K, frame:K (frame K alone, from 0) and all.
    """

    dir: str = "data/latents"
    windows_per_video: int = 1
    flips: bool = False
    dtype: Literal["float32", "float16"] = "float32"
    shard_size: int = 512
    known_frames: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_numbers("CacheOptions", vars(self))
        check_at_least("CacheOptions.windows_per_video", self.windows_per_video, 1)
        check_at_least("CacheOptions.shard_size", self.shard_size, 1)


def shard_path(root: Path, split: str, number: int) -> Path:
    """Where a shard lies."""
    return root / f"{split}-{number:05d}.safetensors"


def write_shard(path: Path, tensors: Mapping[str, Tensor], failures: Mapping[str, str]) -> None:
    """Write a shard atomically.

    Args:
        path: Path of the file.
        tensors: As the module says.
        failures: Videos that could not be read, and why.

    Raises:
        InvalidArgumentError: It cannot be written.
    """
    # One entry: the order of several in the file would differ from run to run.
    metadata = {"failures": json.dumps(dict(sorted(failures.items())))}
    # Not its `save_file`, which lets nobody but the owner read the file.
    _write(path, lambda partial: partial.write_bytes(save(dict(tensors), metadata)))


def context_path(root: Path, split: str) -> Path:
    """Where the vectors of the videos of a split lie."""
    return root / f"{split}-context.safetensors"


def write_context(root: Path, split: str, dtype: str, index: np.ndarray, vectors: Iterable[Tensor]) -> None:
    """Write the vectors of the videos of a split, one video after another: memory does not grow with their number.

    Args:
        root: Folder of the cache.
        split: "train" or "val".
        dtype: float32 or float16.
        index: Numbers of the videos, rising.
        vectors: The vectors of each, [N E]; all of one size.

    Raises:
        InvalidArgumentError: It cannot be written.
    """

    def write(partial: Path) -> None:
        with partial.open("wb") as file:
            for number, part in enumerate(vectors):
                if number == 0:
                    file.write(_context_header(len(index), part.shape, DTYPES[dtype]))
                    file.write(index.astype("<i8").tobytes())
                file.write(part.to(DTYPES[dtype]).numpy().tobytes())

    if len(index):
        _write(context_path(root, split), write)


def _context_header(videos: int, size: Sequence[int], dtype: torch.dtype) -> bytes:
    """The header of a safetensors file with ``index`` and ``context``."""
    middle = 8 * videos
    end = middle + videos * size[0] * size[1] * dtype.itemsize
    kind = {torch.float32: "F32", torch.float16: "F16"}[dtype]
    header = json.dumps(
        {
            "index": {"dtype": "I64", "shape": [videos], "data_offsets": [0, middle]},
            "context": {"dtype": kind, "shape": [videos, *size], "data_offsets": [middle, end]},
        }
    ).encode()
    header += b" " * (-len(header) % 8)  # the format aligns what follows
    return len(header).to_bytes(8, "little") + header


def read_context_index(path: Path, argument: str, size: Sequence[int]) -> np.ndarray:
    """Numbers of the videos whose vectors a file has, in their order.

    Args:
        path: Path of the file.
        argument: The option that named the cache.
        size: (N, E) that the description of the cache has.

    Raises:
        InvalidArgumentError: The file is missing or damaged.
    """
    try:
        with Shard(path) as shard:
            index, context = shard.tensor("index"), shard.tensors["context"]
            if index.dim() != 1 or index.dtype != torch.int64 or context.shape != (len(index), *size):
                raise ValueError("its vectors are not those of the cache")
            if context.kind not in ("F32", "F16") or (index.diff() <= 0).any():
                raise ValueError("its columns are not those of vectors")
            return index.numpy()
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise damaged(path, argument, error) from None


def write_description(root: Path, description: Mapping[str, Any]) -> None:
    """Make the folder of a cache and write its description.

    Raises:
        InvalidArgumentError: The folder cannot be written to.
    """
    text = json.dumps(description, indent=1, ensure_ascii=False) + "\n"
    _write(root / DESCRIPTION, lambda partial: partial.write_text(text, encoding="utf-8"))


def write_videos(root: Path, split: str, videos: EncodedVideos) -> None:
    """Record the videos of a split in a cache.

    Raises:
        InvalidArgumentError: The folder cannot be written to.
    """
    try:
        videos.write(videos_path(root, split))
    except OSError as error:
        raise _not_written(videos_path(root, split), error) from None


def _write(path: Path, write: Callable[[Path], object]) -> None:
    try:
        with atomic_write(path) as partial:
            write(partial)
    except OSError as error:
        raise _not_written(path, error) from None


def _not_written(path: Path, error: OSError) -> InvalidArgumentError:
    problem = f"{path.name} cannot be written ({error.strerror})"
    remedy = "Mend that and run the same command again: it goes on after the last whole file."
    return InvalidArgumentError("CacheOptions.dir", path.parent, problem, remedy)


def read_description(root: Path, argument: str) -> dict[str, Any]:
    """What a cache holds.

    Args:
        root: Its folder.
        argument: The option that named it.

    Raises:
        InvalidArgumentError: There is no cache, or it is of a format that this version does not read.
    """
    remedy = "Give the folder of a cache that `pvdm encode` wrote."
    if not root.is_dir():
        raise InvalidArgumentError(argument, root, "there is no such folder", remedy)
    try:
        description = read_json(root / DESCRIPTION)
        version = description["format"]
    except (OSError, ValueError, TypeError, KeyError):
        raise InvalidArgumentError(
            argument, root, f"is no cache of latents: it has no readable {DESCRIPTION}", remedy
        ) from None
    if version != FORMAT:
        raise InvalidArgumentError(
            argument, root, f"has format {one_line(version, 20)}, and this version reads {FORMAT}", "Write it anew."
        )
    if not _is_whole(description):
        raise InvalidArgumentError(argument, root, f"its {DESCRIPTION} is not one of `pvdm encode`", remedy)
    return description


def _is_whole(description: dict[str, Any]) -> bool:
    """Whether a description has what readers use of it, each of its type and possible."""
    splits, shape, autoencoder = (description.get(key) for key in ("splits", "clip_shape", "autoencoder"))
    return (
        isinstance(splits, dict)
        and set(splits) == {"train", "val"}
        and all(
            isinstance(about, dict) and all(_is_count(about.get(key)) for key in ("shards", "broken_videos"))
            for about in splits.values()
        )
        and isinstance(shape, list)
        and len(shape) == 3
        and all(_is_count(side) and side > 0 for side in shape)
        and isinstance(autoencoder, dict)
        and isinstance(autoencoder.get("fingerprint"), str)
        and isinstance(description.get("data"), dict)
        and isinstance(description["data"].get("init_args") or {}, dict)
        and all(_are_texts(description.get(key, [])) for key in ("class_names", "known_frames", "known_masks"))
        and len(description.get("known_frames", [])) == len(description.get("known_masks", []))
        and all(len(mask) == shape[0] and set(mask) <= set("01") for mask in description.get("known_masks", []))
        and _is_size(description.get("context", [1, 1]))
    )


def _is_size(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_is_count(side) and side > 0 for side in value)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST


def missing_shards(root: Path, description: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Split and number of each missing shard."""
    there = {entry.name for entry in os.scandir(root)} if root.is_dir() else set()
    every = ((split, number) for split, about in description["splits"].items() for number in range(about["shards"]))
    return [(split, number) for split, number in every if shard_path(root, split, number).name not in there]


def read_table(path: Path, argument: str, num_masks: int = 0) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The table of a shard, without latents, and the videos that could not be read.

    Args:
        path: Path of the shard.
        argument: The option that named the cache.
        num_masks: Masks of known frames in the cache.

    Raises:
        InvalidArgumentError: The file is damaged.
    """
    try:
        with Shard(path) as shard:
            failures = parse_json(shard.metadata["failures"])
            _check_table(shard, failures, num_masks)
            return {name: shard.tensor(name) for name in COLUMNS}, failures
    except (ValueError, TypeError, KeyError, OSError, RecursionError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        raise damaged(path, argument, error) from None


def damaged(path: Path, argument: str, error: Exception) -> InvalidArgumentError:
    """What to say of a shard that cannot be read."""
    problem = f"{path.name} is damaged ({one_line(error, 80)})"
    return InvalidArgumentError(argument, path.parent, problem, "Delete it and run `pvdm encode` again.")


def _check_table(shard: Shard, failures: object, num_masks: int) -> None:
    """Raise `ValueError` unless a shard has all columns, of their types and lengths."""
    latents = ("clip", "previous", *(["known"] if num_masks else []))
    stored = {name: shard.tensors[name] for name in (*COLUMNS, *latents)}
    clip = stored["clip"].shape
    if (
        len(clip) != 3
        or any(stored[name].shape != clip[:1] or stored[name].kind != kind for name, kind in COLUMNS.items())
        or stored["previous"].shape != (int(shard.tensor("has_previous").sum()), *clip[1:])
        or (num_masks and stored["known"].shape != (clip[0], num_masks, *clip[1:]))
        or any(stored[name].kind not in ("F32", "F16") for name in latents)
    ):
        raise ValueError("its columns are not those of a shard")
    if not isinstance(failures, dict) or not all(isinstance(text, str) for text in failures.values()):
        raise ValueError("its list of broken videos is none")


def check_same_cache(root: Path, there: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise `InvalidArgumentError` if the cache in a folder is not the one that is to be written there.

    One of an earlier version has labels and no names of classes: those it is not asked for. Vectors of videos may be
    added or be others, as they are in files of their own.
    """
    now = {key: value for key, value in now.items() if key != "class_names" or key in there}
    there, now = ({k: v for k, v in about.items() if k != "context"} for about in (there, now))
    before, after = (dict(_flat("", _without_reading(description))) for description in (there, now))
    differing = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    if "autoencoder.fingerprint" in differing:
        raise InvalidArgumentError("CacheOptions.dir", root, "holds latents of another autoencoder", _ANOTHER)
    if differing:
        key = differing[0]
        problem = f"was begun with other settings ({key} was {before.get(key)}, and is {after.get(key)})"
        if any(key.endswith(".files") for key in differing):
            problem = "holds latents of videos whose files, or whose choice, have changed since"
            raise InvalidArgumentError("CacheOptions.dir", root, problem, _ANOTHER)
        if key == "class_names":
            problem = "was begun when the data set had other classes"
        if key.startswith("splits."):
            problem = "was begun when the data set had other videos"
        raise InvalidArgumentError("CacheOptions.dir", root, problem, f"Repeat the command as it was. {_ANOTHER}")


def _without_reading(description: Mapping[str, Any]) -> dict[str, Any]:
    data = description["data"]
    init_args = {key: value for key, value in (data.get("init_args") or {}).items() if key not in _READING}
    return {**description, "data": {**data, "init_args": init_args}}


def _flat(prefix: str, tree: Mapping[str, Any]) -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for key, value in tree.items():
        flat += _flat(f"{prefix}{key}.", value) if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return flat
