"""The training and the validation videos of a folder."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pvdm_lightning.data.videos.build_index import load_or_build
from pvdm_lightning.data.videos.source import IndexedVideos, VideoSource
from pvdm_lightning.data.videos.video_info import VideoInfo
from pvdm_lightning.errors import InvalidArgumentError

REMEDY = "See data/README.md for how to get it, or use the generated data set of demo_ae.yaml and demo_ldm.yaml."


def existing_folder(root: str) -> Path:
    """The folder of a set; raises `InvalidArgumentError` if there is none."""
    if not Path(root).is_dir():
        raise InvalidArgumentError("DataModule.root", root, "there is no such folder", REMEDY)
    return Path(root)


def split_sources(
    root: Path,
    names: tuple[Sequence[str], Sequence[str]],
    labels: tuple[Sequence[int] | None, Sequence[int] | None],
    probe: Callable[[Path], VideoInfo],
) -> tuple[VideoSource, VideoSource]:
    """Sources of the training and of the validation videos, both from one index."""
    index = load_or_build(root, [*names[0], *names[1]], probe)
    middle = len(names[0])
    train, val = index.part(slice(None, middle)), index.part(slice(middle, None))
    return IndexedVideos(train, labels[0]), IndexedVideos(val, labels[1])
