"""What a data set holds, video by video, in a file: whoever trains or evaluates later finds out whether it is the same.

Contents are hashed whole, by SHA-256. To do so at each start would take long: a video whose size and time of change are
those of the last look on this machine is not read again, which a record in the cache folder is kept for.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.data.latents.encoded_videos import EncodedVideos
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.escaping import one_line
from pvdm_lightning.foreign_files import read_json
from pvdm_lightning.pretrained import usable_cache_folder

logger = logging.getLogger(__name__)

FORMAT = 1
MOST = 2**28
"""Bytes of a lock: a million videos."""
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class LockedVideo:
    """A video as it was.

    Attributes:
        split: That it belongs to; "" if there are none.
        name: Path below the root of the set, or what the set calls it.
        frames: How many can be read; 0 of a broken one.
        bytes: Size of its file, or of all frames in its folder.
        sha256: Hash of the content, hexadecimal; of a folder over the names and contents of its frames.
    """

    split: str
    name: str
    frames: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class DataLock:
    """The videos of a data set.

    Attributes:
        videos: Sorted by split and name.
    """

    videos: Sequence[LockedVideo]

    @classmethod
    def look_at(cls, videos: Sequence[tuple[str, str, int, str]]) -> DataLock:
        """Videos as they are now.

        Args:
            videos: Split, name, number of frames and path of each.
        """
        paths = sorted({path for *_, path in videos})
        record = _record_of(paths)
        known = None
        if record is not None:
            try:
                known = EncodedVideos.read(record, "DataModule.lock")
            except InvalidArgumentError:  # damaged: all are read anew
                known = None
        if known is None:
            logger.info("hashing the contents of %d videos", len(paths))
        now = EncodedVideos.look_at(paths, known)
        if record is not None:
            try:
                now.write(record)
            except OSError as error:
                logger.warning("the hashes of the videos cannot be kept (%s) and are taken anew each time", error)
        found = {path: (max(stamp[0], 0), content.hex()) for path, stamp, content in zip(paths, now.stamps, now.hashes)}
        return cls(sorted((LockedVideo(s, n, f, *found[p]) for s, n, f, p in videos), key=_key))

    def list_sha256(self) -> str:
        """SHA-256 of the list: split, name, frames, bytes and content of each video."""
        lines = ("\0".join(map(str, asdict(video).values())) for video in self.videos)
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()

    def write(self, path: Path) -> None:
        """Write it as JSON, a video a line; raises `OSError` if that cannot be done."""
        splits = {split: sum(video.split == split for video in self.videos) for split in self._splits()}
        head = {"format": FORMAT, "videos_by_split": splits, "list_sha256": self.list_sha256()}
        # Names that are no text come back by os.fsencode from what json.loads gives.
        lines = ",\n".join(json.dumps(asdict(video)) for video in self.videos)
        with atomic_write(path) as partial:
            partial.write_text(f'{json.dumps(head)[:-1]}, "videos": [\n{lines}\n]}}\n', encoding="ascii")

    def _splits(self) -> list[str]:
        return sorted({video.split for video in self.videos})

    @classmethod
    def read(cls, path: str | Path, argument: str) -> DataLock:
        """What `write` wrote.

        Raises:
            InvalidArgumentError: There is no such file, it is none, or was changed.
        """
        remedy = "Give a file that `pvdm check-data --lock FILE` wrote."
        try:
            content = read_json(path, MOST)
            if not isinstance(content, Mapping) or content.get("format") != FORMAT:
                raise ValueError("it is no lock, or of another version")
            lock = cls([_video(entry) for entry in content["videos"]])
            if lock.list_sha256() != content.get("list_sha256"):
                raise ValueError("its list was changed by hand, or is damaged")
            return lock
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = getattr(error, "strerror", None) or one_line(error, 100)
            raise InvalidArgumentError(argument, path, f"cannot be read ({reason})", remedy) from None

    def without_splits(self) -> DataLock:
        """The videos that can be read, each once."""
        return DataLock([*{v.name: replace(v, split="") for v in self.videos if v.frames}.values()])

    def differences(self, now: DataLock) -> str:
        """What is another now, as clauses with counts and examples; "" if nothing is."""
        before, after = ({_key(video): video for video in lock.videos} for lock in (self, now))
        gone, new = before.keys() - after.keys(), after.keys() - before.keys()
        new_names = {name for _, name in new}
        moved = sorted(name for _, name in gone if name in new_names)
        groups: list[tuple[str, list[str]]] = [
            ("missing", sorted({name for _, name in gone} - set(moved))),
            ("new", sorted(new_names - set(moved))),
            ("changed", sorted({key[1] for key in before.keys() & after.keys() if before[key] != after[key]})),
            ("in another split", moved),
        ]
        return ", ".join(f"{len(names)} {what} ({_examples(names)})" for what, names in groups if names)


def check_lock(
    path: str, argument: str, where: object, look: Callable[[], DataLock], by_split: bool = True
) -> DataLock:
    """Compare a data set with a lock.

    Args:
        path: The lock.
        argument: The option that named it.
        where: The data set, for the message.
        look: Gives the data set as it is now.
        by_split: Whether splits count; otherwise only videos that can be read do.

    Raises:
        InvalidArgumentError: The lock cannot be read, or videos are missing, new or changed.
    """
    lock = DataLock.read(path, argument)
    if differences := (lock if by_split else lock.without_splits()).differences(look()):
        problem = f"does not hold for {where}: {differences}"
        remedy = "Restore these videos, or write a new lock with `pvdm check-data --lock FILE`."
        raise InvalidArgumentError(argument, path, problem, remedy)
    logger.info("%s holds: %d videos, list %s", path, len(lock.videos), lock.list_sha256()[:12])
    return lock


def _record_of(paths: Sequence[str]) -> Path | None:
    """Where the hashes of these files are kept on this machine; None if there is no place."""
    cache = usable_cache_folder()
    names = "\0".join(str(Path(path).absolute()) for path in paths).encode("utf-8", "surrogateescape")
    return None if cache is None else cache / f"hashes-{hashlib.sha256(names).hexdigest()[:16]}.safetensors"


def _key(video: LockedVideo) -> tuple[str, str]:
    return video.split, video.name


def _video(entry: Any) -> LockedVideo:
    video = LockedVideo(**entry)
    texts, numbers = (video.split, video.name, video.sha256), (video.frames, video.bytes)
    if not all(isinstance(text, str) for text in texts) or not _SHA256.fullmatch(video.sha256):
        raise ValueError("an entry is no video's")
    if any(isinstance(number, bool) or not isinstance(number, int) or number < 0 for number in numbers):
        raise ValueError("an entry is no video's")
    return video


def _examples(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
