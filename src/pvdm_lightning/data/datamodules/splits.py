"""The training and the validation videos of a folder."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pvdm_lightning.data.index.build_index import load_or_build
from pvdm_lightning.data.index.shared_videos import shared_videos
from pvdm_lightning.data.index.video_classes import Classes
from pvdm_lightning.data.index.video_info import VideoInfo
from pvdm_lightning.data.index.video_tables import video_key
from pvdm_lightning.data.index.video_tree import SPLITS, hold_out, split_by_folders
from pvdm_lightning.data.videos.source import IndexedVideos, VideoSource
from pvdm_lightning.errors import InvalidArgumentError

logger = logging.getLogger(__name__)

REMEDY = "See data/README.md for how to get it, or use the generated data set of demo_ae.yaml and demo_ldm.yaml."


def existing_folder(root: str) -> Path:
    """The folder of a set; raises `InvalidArgumentError` if there is none."""
    if not Path(root).is_dir():
        raise InvalidArgumentError("DataModule.root", root, "there is no such folder", REMEDY)
    return Path(root)


def check_val_fraction(val_fraction: float) -> None:
    """Raise `InvalidArgumentError` unless this is a share of the videos that leaves some to train on."""
    if not 0 < val_fraction < 1:
        problem = "is not a fraction of the videos"
        raise InvalidArgumentError("DataModule.val_fraction", val_fraction, problem, "Give a number between 0 and 1.")


def split_videos(
    root: Path, found: Sequence[str], val_fraction: float, splits: Mapping[str, str] | None
) -> tuple[list[str], list[str]]:
    """The videos to train on and those to validate on: by a table, else by the folders of splits, else a fraction.

    Args:
        root: Folder that the names are relative to.
        found: Names of all videos.
        val_fraction: Share to validate on where neither a table nor folders say which.
        splits: Split of each video in tables, by `video_key`; None if they have none.

    Raises:
        InvalidArgumentError: The tables have no video to train on.
    """
    if splits is None:
        train, val = split_by_folders(found) or hold_out(found, val_fraction)
    else:
        train, val = _split_by_table(root, found, splits)
        if not val:
            train, val = hold_out(train, val_fraction)
    if unused := len({*found} - {*train, *val}):
        logger.info("%d videos of %s are in %s and are not used", unused, root, _elsewhere(splits))
    return without_training_videos(root, train, val)


def _elsewhere(splits: Mapping[str, str] | None) -> str:
    return "folders of other splits" if splits is None else "other splits or none"


def _split_by_table(root: Path, found: Sequence[str], splits: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Training and validation videos; of several splits to validate on, the first of `SPLITS` is taken."""
    split_of = {name: splits.get(video_key(root, name), "").lower() for name in found}
    names = {*split_of.values()} - {""}
    if not names & {*SPLITS["train"]}:
        there = ", ".join(sorted(names)[:4]) or "no video that is there"
        problem = f"its tables of videos have no split train, but {there}"
        remedy = "Write train, and validation or test, into the column split."
        raise InvalidArgumentError("DataModule.root", root, problem, remedy)
    chosen = next((name for name in SPLITS["val"] if name in names), None)
    train = [name for name in found if split_of[name] in SPLITS["train"]]
    return train, [name for name in found if split_of[name] == chosen]


def without_training_videos(root: Path, train: list[str], val: list[str]) -> tuple[list[str], list[str]]:
    """Training and validation videos without those validation videos that are training videos by another name.

    Args:
        root: Folder that the names are relative to.
        train: Names of the training videos.
        val: Names of the validation videos; all stay if all are training videos, as a lone video is.
    """
    both = shared_videos([root / name for name in val], [root / name for name in train])
    if not both or train == val:
        return train, val
    first, same = val[both[0].first], train[both[0].second]
    copies = {video.first for video in both}
    kept = [name for place, name in enumerate(val) if place not in copies]
    logger.warning(
        "%d validation videos are training videos, too, such as %s, which is %s%s",
        *(len(both), first, same, "" if kept else ": all of them, so that validation tells nothing"),
    )
    return train, kept or val


def split_sources(
    root: Path,
    names: tuple[Sequence[str], Sequence[str]],
    classes: Classes | None,
    probe: Callable[[Path], VideoInfo],
) -> tuple[VideoSource, VideoSource]:
    """Sources of the training and of the validation videos, both from one index.

    Args:
        root: Folder that the names are relative to.
        names: Training and validation videos.
        classes: Their classes; None if they have none.
        probe: Finds out what has to be known of a video.
    """
    index = load_or_build(root, [*names[0], *names[1]], probe)
    middle = len(names[0])
    train, val = index.part(slice(None, middle)), index.part(slice(middle, None))
    if classes is None:
        return IndexedVideos(train), IndexedVideos(val)
    return IndexedVideos(train, classes.train, classes.names), IndexedVideos(val, classes.val, classes.names)
