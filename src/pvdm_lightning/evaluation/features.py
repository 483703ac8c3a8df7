"""Feature vectors of clips, with the clips that they are of: what every distance is computed from, now and later.

A file is one of safetensors: `features` float32 [N D], `clips` int64 [N 4] with the video, the first frame, the stride
and the frames of each clip; in the header `videos`, the name and the hash of each video, with its frames per second if
it was resampled, and `record`, all that shapes the vectors, both as JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.checksum import file_sha256
from pvdm_lightning.data.latents.shard import Shard
from pvdm_lightning.data.videos.frame_folder import image_names
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.foreign_files import parse_json

WHOLE = 2**26
"""Bytes up to which a file is hashed whole."""
ENDS = 2**20
"""Bytes at the start and at the end that are hashed of a larger one."""
MOST_VALUES = 8192
"""Values in a feature vector: a covariance has the square of it."""
MOST_CLIPS = 10**7


class ClipId(NamedTuple):
    """The clip that a feature vector is of.

    Attributes:
        video: Name of its file, or number of a generated video.
        hash: The file's, see `file_identity`; for a generated video, that of all that shapes it but its number.
        start: First frame.
        stride: Source frames from one frame to the next.
        frames: How many.
        fps: Frames per second to which the video was resampled, at which its frames are counted; 0 for its own frames.
    """

    video: str
    hash: str
    start: int
    stride: int
    frames: int
    fps: float = 0.0


@dataclass(frozen=True)
class ClipFeatures:
    """Features of clips.

    Attributes:
        values: float32 [N D], or log-probabilities of classes.
        clips: N clips, in the order of `values`.
        record: All that shapes the values: side, network, frames, preparation, data, count.
    """

    values: Tensor
    clips: Sequence[ClipId]
    record: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.values.dim() != 2 or len(self.values) != len(self.clips):
            raise ValueError(f"features {list(self.values.shape)} of {len(self.clips)} clips")

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def list_hash(self) -> str:
        """A hash of 20 hexadecimal digits over the clips, whatever their order and the names of their files."""
        lines = sorted(json.dumps([clip.hash, *clip[2:5], *_rate(clip.fps)]) for clip in self._anonymous())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:20]

    def _anonymous(self) -> Iterator[ClipId]:
        """The clips; of generated videos the name is their number, and part of what they are."""
        for clip in self.clips:
            named = clip.hash.startswith(_NAMED)
            yield clip._replace(hash=f"{clip.hash} {clip.video}") if named else clip

    def save(self, path: Path) -> None:
        """Write the file atomically."""
        named = [(clip.video, clip.hash, *_rate(clip.fps)) for clip in self.clips]
        places = {video: place for place, video in enumerate(dict.fromkeys(named))}
        rows = [[places[video], *clip[2:5]] for video, clip in zip(named, self.clips)]
        tensors = {
            "features": self.values.detach().float().cpu().contiguous(),
            "clips": torch.tensor(rows, dtype=torch.int64).reshape(-1, 4),
        }
        texts = {"videos": json.dumps([*places]), "record": json.dumps(dict(self.record), sort_keys=True)}
        content = save(tensors, texts)
        with atomic_write(path) as partial:
            partial.write_bytes(content)

    @classmethod
    def load(cls, path: str | Path, argument: str = "ClipFeatures.path") -> ClipFeatures:
        """Read a file, which may come from anybody.

        Args:
            path: The file.
            argument: The option that named it.

        Raises:
            InvalidArgumentError: It is missing, or is no such file.
        """
        try:
            return cls._read(Path(path))
        except FileNotFoundError:
            problem, remedy = "there is no such file", "Give a file of features, as evaluations write them."
        except OSError as error:
            problem, remedy = f"cannot be read ({error.strerror})", "Give a file of features."
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            reason = " ".join(str(error).split())[:120]
            problem, remedy = f"is no file of features ({reason})", "Give one that an evaluation has written."
        raise InvalidArgumentError(argument, path, problem, remedy) from None

    @classmethod
    def _read(cls, path: Path) -> ClipFeatures:
        with Shard(path) as file:
            for name, kind in (("features", "F32"), ("clips", "I64")):
                if name not in file.tensors or file.tensors[name].kind != kind or len(file.tensors[name].shape) != 2:
                    raise ValueError(f"it has no {name} as {kind} of two axes")
            shape, rows = file.tensors["features"].shape, file.tensors["clips"].shape
            if rows != (shape[0], 4) or shape[0] > MOST_CLIPS or not 0 < shape[1] <= MOST_VALUES:
                raise ValueError(f"features {list(shape)} of clips {list(rows)}")
            values, clips = file.tensor("features"), file.tensor("clips")
            videos, record = parse_json(file.metadata["videos"]), parse_json(file.metadata["record"])
        if not isinstance(record, dict) or not isinstance(videos, list):
            raise ValueError("its record is no table")
        named = [(str(name), str(digest), float(*rate)) for name, digest, *rate in videos]  # 0.0 without a rate
        if any(not 0 <= rate < float("inf") for _, _, rate in named):
            raise ValueError("its frame rates are none")
        if values.isnan().any() or values.isposinf().any():
            raise ValueError("its features are no finite numbers")
        if ((clips[:, 0] < 0) | (clips[:, 0] >= len(named))).any():
            raise ValueError("its clips name videos that are not listed")
        if (clips[:, 1] < 0).any() or (clips[:, 2:] < 1).any():
            raise ValueError("its clips are none")
        ids = []
        for place, start, stride, frames in clips.tolist():
            name, digest, rate = named[place]
            ids.append(ClipId(name, digest, start, stride, frames, rate))
        return cls(values, ids, record)


_NAMED = "generated:"


def _rate(fps: float) -> tuple[float, ...]:
    """What a rate adds to what a clip is: nothing where its frames are the video's own."""
    return (fps,) if fps else ()


def generated_clips(numbers: Iterable[int], generation: str, frames: int, stride: int = 1) -> list[ClipId]:
    """The clips of generated videos, from their first frame.

    Args:
        numbers: The videos' numbers.
        generation: Hash of all that shapes the videos but their number.
        frames: Frames of a clip.
        stride: From one to the next.
    """
    return [ClipId(str(number), _NAMED + generation, 0, stride, frames) for number in numbers]


def file_clips(clips: Sequence[tuple[str, int, float]], stride: int, frames: int) -> list[ClipId]:
    """Clips of files.

    Args:
        clips: Path of the video, first frame, and frames per second to which it was resampled (0: its own) of each.
        stride: Source frames from one frame of a clip to the next.
        frames: Frames of a clip.
    """
    hashes = {name: file_identity(Path(name)) for name in dict.fromkeys(name for name, *_ in clips)}
    return [ClipId(name, hashes[name], start, stride, frames, fps) for name, start, fps in clips]


def file_identity(path: Path) -> str:
    """A hash of a video that does not depend on where it is and when it was written, and what it is a hash of.

    - ``sha256:``, of a file of up to 64 MiB: its content.
    - ``sha256-ends:``, of a larger one: its size, and its first and last MiB. It tells videos apart and does not prove
      that they are equal.
    - ``sha256-frames:``, of a folder of pictures: their names and sizes, and the contents of the first and the last.
    - ``name:``, of what is no file of its own, such as a drawn video: its name.
    """
    try:
        stat = path.stat()
        return _identity(path, stat.st_size, stat.st_mtime_ns)
    except OSError:
        return "name:" + hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()


@lru_cache(maxsize=2**16)  # several clips are of one file
def _identity(path: Path, size: int, mtime_ns: int) -> str:
    if path.is_dir():
        names = image_names(path)
        if not names:
            raise FileNotFoundError(path)
        sizes = [(path / name).stat().st_size for name in names]
        digest = hashlib.sha256(json.dumps([names, sizes]).encode("utf-8", "surrogateescape"))
        for name in (names[0], names[-1]):
            digest.update(bytes.fromhex(file_sha256(path / name)))
        return f"sha256-frames:{digest.hexdigest()}"
    if size <= WHOLE:
        return f"sha256:{file_sha256(path)}"
    with path.open("rb") as file:
        digest = hashlib.sha256(size.to_bytes(8, "little"))
        digest.update(file.read(ENDS))
        file.seek(-ENDS, 2)
        digest.update(file.read(ENDS))
    return f"sha256-ends:{digest.hexdigest()}"


class FeatureParts:
    """Features on their way to the disk, batch by batch: memory does not grow with the number of videos.

    Each process appends to a file of its own; the first one reads them all in the end, in the order of the clips, so
    that neither batches nor processes change the result.

    Args:
        path: The file of this process; others' have another `rank`.
        width: Values in a vector.
    """

    def __init__(self, path: Path, width: int) -> None:
        self.path, self._type = path, np.dtype([("number", "<i8"), ("values", "<f4", (width,))])
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb")

    def add(self, values: Tensor, numbers: Tensor) -> None:
        """Append vectors [B D], and the numbers of their clips int64 [B]."""
        rows = np.empty(len(values), self._type)
        rows["number"], rows["values"] = numbers.cpu().numpy(), values.float().cpu().numpy()
        self._file.write(rows.tobytes())

    def close(self) -> None:
        """Bring all to the disk."""
        self._file.close()

    def merged(self, paths: Sequence[Path]) -> tuple[Tensor, list[int]]:
        """The vectors of several parts, float32 [N D], and the numbers of their clips, ascending, each once."""
        rows = np.concatenate([np.fromfile(path, self._type) for path in paths])
        numbers, first = np.unique(rows["number"], return_index=True)
        return torch.from_numpy(np.ascontiguousarray(rows["values"][first])), numbers.tolist()
