"""Which files the latents of a cache were made of, kept beside them: files that changed since are known by it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.checksum import file_sha256
from pvdm_lightning.data.index.build_index import num_cores
from pvdm_lightning.data.index.video_info import stamp_of
from pvdm_lightning.data.output.names import Names
from pvdm_lightning.data.videos.frame_folder import image_names
from pvdm_lightning.errors import InvalidArgumentError

Stamp = tuple[int, int]
"""Bytes, and time of the last change in nanoseconds; of a folder the sum and the latest of its frames."""
_MISSING: Stamp = (-1, -1)


@dataclass(frozen=True)
class EncodedVideos:
    """The videos of a split, as they were when they were encoded.

    Attributes:
        names: Absolute paths.
        stamps: Stamp of each.
        hashes: SHA-256 of the content of each.
    """

    names: Sequence[str]
    stamps: Sequence[Stamp]
    hashes: Sequence[bytes]

    @classmethod
    def look_at(cls, paths: Iterable[str], known: EncodedVideos | None = None) -> EncodedVideos:
        """Videos as they are now; those that are unchanged since `known` was made are not read again."""
        names = [str(Path(path).absolute()) for path in paths]
        before = {} if known is None else {n: (s, h) for n, s, h in zip(known.names, known.stamps, known.hashes)}
        with ThreadPoolExecutor(max_workers=num_cores()) as pool:
            stamps = list(pool.map(_stamp, names))

            def hashed(name: str, stamp: Stamp) -> bytes:
                return before[name][1] if before.get(name, (None,))[0] == stamp else _content(name)

            return cls(names, stamps, list(pool.map(hashed, names, stamps)))

    def digest(self) -> str:
        """A hash over names and contents; times have no part in it."""
        names = "\0".join(self.names).encode("utf-8", "surrogateescape")
        return hashlib.sha256(b"".join([names, *self.hashes])).hexdigest()

    def changed(self) -> list[str]:
        """Names of the videos whose content is another one now; those that are gone are not among them."""
        with ThreadPoolExecutor(max_workers=num_cores()) as pool:
            now = list(pool.map(_stamp, self.names))
            moved = [place for place, stamp in enumerate(now) if stamp not in (_MISSING, self.stamps[place])]

            def differs(place: int) -> bool:
                # One of another size need not be read.
                return now[place][0] != self.stamps[place][0] or _content(self.names[place]) != self.hashes[place]

            return [self.names[place] for place, other in zip(moved, pool.map(differs, moved)) if other]

    def write(self, path: Path) -> None:
        """Write them to a file of a cache; raises `OSError` if that cannot be done."""
        names = Names(self.names)
        tensors = {
            "names": torch.from_numpy(names.block.copy()),
            "ends": torch.from_numpy(names.ends),
            "stamps": torch.tensor(self.stamps, dtype=torch.int64).reshape(-1, 2),
            "hashes": torch.from_numpy(np.frombuffer(b"".join(self.hashes), np.uint8).copy()).reshape(-1, 32),
        }
        with atomic_write(path) as partial:
            partial.write_bytes(save(tensors))

    @classmethod
    def read(cls, path: Path, argument: str) -> EncodedVideos | None:
        """What `write` wrote; None if there is no such file.

        Raises:
            InvalidArgumentError: It is damaged.
        """
        if not path.is_file():
            return None
        try:
            tensors = load(path.read_bytes())
            names = Names([])
            names.block, names.ends = tensors["names"].numpy(), tensors["ends"].numpy()
            stamps = [(size, time) for size, time in tensors["stamps"].tolist()]
            hashes = [row.tobytes() for row in tensors["hashes"].numpy()]
            steps = np.diff(names.ends, prepend=0)
            if not len(names.ends) == len(stamps) == len(hashes) or (steps < 0).any() or names.block.dtype != np.uint8:
                raise ValueError("its columns are not of one length")
            return cls(names[:], stamps, hashes)
        except (SafetensorError, OSError, ValueError, TypeError, KeyError, IndexError) as error:
            problem = f"{path.name} is damaged ({str(error)[:80]})"
            raise InvalidArgumentError(
                argument, path.parent, problem, "Delete it and run `pvdm encode` again."
            ) from None


def videos_path(root: Path, split: str) -> Path:
    """Where the videos of a split are recorded in a cache."""
    return root / f"{split}-videos.safetensors"


def check_unchanged(root: Path, split: str) -> None:
    """Raise `InvalidArgumentError` if videos that a cache was made of lie there with another content now."""
    encoded = EncodedVideos.read(videos_path(root, split), "DataModule.root")
    changed = [] if encoded is None else encoded.changed()
    if changed:
        problem = f"holds latents of {len(changed)} videos that have changed since, such as {changed[0]}"
        raise InvalidArgumentError("DataModule.root", root, problem, "Run `pvdm encode` on them into another folder.")


def _files(video: str) -> list[Path]:
    path = Path(video)
    return [path / name for name in image_names(path)] if path.is_dir() else [path]


def _stamp(video: str) -> Stamp:
    try:
        stamps = [stamp_of(file) for file in _files(video) if file.is_file()]
    except OSError:
        return _MISSING
    return (sum(size for size, _ in stamps), max(time for _, time in stamps)) if stamps else _MISSING


def _content(video: str) -> bytes:
    """SHA-256 of a file, or over names and contents of the frames of a folder; zeros if it cannot be read."""
    try:
        files = _files(video)
        if not all(file.is_file() for file in files):
            return bytes(32)
        if not Path(video).is_dir():
            return bytes.fromhex(file_sha256(files[0]))
        digest = hashlib.sha256()
        for file in files:
            digest.update(os.fsencode(file.name) + b"\0" + bytes.fromhex(file_sha256(file)))
        return digest.digest()
    except OSError:
        return bytes(32)
