"""Videos in tar shards and zip files, which are not unpacked."""

import logging
from pathlib import Path
from typing import Any

from pvdm_lightning.data.datamodules.splits import existing_folder, split_sources, without_training_videos
from pvdm_lightning.data.datamodules.video_tree import VideoTree
from pvdm_lightning.data.index import probing
from pvdm_lightning.data.index.video_classes import Classes, read_classes
from pvdm_lightning.data.index.video_tree import hold_out, read_list, split_by_folders
from pvdm_lightning.data.videos.source import VideoSource
from pvdm_lightning.data.videos.web_dataset import ArchivedVideos, find_archived_videos
from pvdm_lightning.errors import InvalidArgumentError

logger = logging.getLogger(__name__)


class WebDataset(VideoTree):
    """Videos in plain tar shards, as WebDataset writes them, or in zip files; read in place, in any order.

    The name of a video is that of its archive, relative to root, and that of the member: ``train-000.tar/0007.mp4``.
    Its class is the text of ``label``, ``class``, ``class_name`` or ``category`` in the .json of its stem, else the
    number there or in its .cls; if no video has one, classes are the folders within the archives. Shards whose names
    start with train and val, validation or test, and folders of these names, are the split.

    Args:
        root: Folder of the archives; any tree below it.
        **kwargs: As in VideoTree.
    """

    def __init__(self, root: str = "data/shards", **kwargs: Any) -> None:
        super().__init__(root, **kwargs)

    def open_sources(self) -> tuple[VideoSource, VideoSource]:
        root = existing_folder(self.root)
        videos = find_archived_videos(root)
        if self.train_list is not None and self.val_list is not None:
            train, val = self._listed(videos, "train_list"), self._listed(videos, "val_list")
            if both := sorted({*train} & {*val}):
                problem = f"shares {len(both)} videos with DataModule.train_list, {both[0]} for one"
                raise InvalidArgumentError("DataModule.val_list", self.val_list, problem, "Validate on others.")
        else:
            train, val = self._split(root, videos)
        return split_sources(root, (train, val), _classes(root, videos, train, val), probing.probe, videos.spans)

    def _listed(self, videos: ArchivedVideos, argument: str) -> list[str]:
        path = getattr(self, argument)
        names = read_list(argument, path)
        if missing := [name for name in names if name not in videos.spans]:
            problem = f"names {len(missing)} videos that are in no archive, such as {missing[0]}"
            remedy = f"Name the archive and the member, such as {next(iter(videos.spans))}."
            raise InvalidArgumentError(f"DataModule.{argument}", path, problem, remedy)
        return names

    def _split(self, root: Path, videos: ArchivedVideos) -> tuple[list[str], list[str]]:
        by_place: dict[str, list[str]] = {}  # stems may start anew in each shard
        for name, place in videos.unpacked.items():
            by_place.setdefault(place, []).append(name)
        split = split_by_folders(list(by_place))
        if split is None:
            train, val = hold_out(list(videos.spans), self.val_fraction)
        else:
            train, val = ([name for place in places for name in by_place[place]] for places in split)
            if unused := len(videos.spans) - len(train) - len(val):
                logger.info("%d videos of %s are in archives of other splits and are not used", unused, root)
        return without_training_videos(root, train, val, videos.spans)


def _classes(root: Path, videos: ArchivedVideos, train: list[str], val: list[str]) -> Classes:
    """The classes that samples or folders give, in the order of their numbers if they have some."""
    if not videos.classes:
        places = [[videos.unpacked[name] for name in names] for names in (train, val)]
        return read_classes(root, places[0], places[1])
    names, *labels = read_classes(root, train, val, videos.classes)
    numbers = [videos.numbers[name] for name in names]
    if not all(len(number) == 1 for number in numbers):
        return Classes(names, *labels)
    order = sorted(range(len(names)), key=lambda label: min(numbers[label]))
    place = {label: number for number, label in enumerate(order)} | {-1: -1}
    return Classes([names[label] for label in order], *([place[label] for label in some] for some in labels))
