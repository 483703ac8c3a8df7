"""The training and the validation videos of a folder."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from pvdm_lightning.data.index.build_index import load_or_build
from pvdm_lightning.data.index.shared_videos import shared_videos
from pvdm_lightning.data.index.video_classes import Classes
from pvdm_lightning.data.index.video_info import VideoInfo
from pvdm_lightning.data.videos.source import IndexedVideos, VideoSource
from pvdm_lightning.errors import InvalidArgumentError

logger = logging.getLogger(__name__)

REMEDY = "See data/README.md for how to get it, or use the generated data set of demo_ae.yaml and demo_ldm.yaml."


def existing_folder(root: str) -> Path:
    """The folder of a set; raises `InvalidArgumentError` if there is none."""
    if not Path(root).is_dir():
        raise InvalidArgumentError("DataModule.root", root, "there is no such folder", REMEDY)
    return Path(root)


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
