"""LeRobot data sets of robots, as one of their cameras shows them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pvdm_lightning.data.datamodules.clip_datamodule import ClipDataModule
from pvdm_lightning.data.datamodules.splits import check_val_fraction, existing_folder
from pvdm_lightning.data.index import probing
from pvdm_lightning.data.index.build_index import load_or_build
from pvdm_lightning.data.index.video_classes import Classes, read_classes
from pvdm_lightning.data.index.video_tree import SPLITS, hold_out
from pvdm_lightning.data.videos.episodes import Episodes
from pvdm_lightning.data.videos.lerobot import Episode, LeRobotFolder
from pvdm_lightning.data.videos.source import IndexedVideos, VideoSource
from pvdm_lightning.errors import check_numbers


class LeRobot(ClipDataModule):
    """A LeRobot data set of version 2 or 3; each episode is a video; its task is its caption and, if there
    are several tasks, its class.

    Args:
        root: Folder that holds meta and videos.
        camera: Which camera, such as observation.images.top. Default: the only one.
        val_fraction: Share of the training episodes to validate on, chosen by their numbers. Has no effect where
            meta/info.json has a split to validate on.
        **kwargs: As in ClipDataModule.
    """

    def __init__(
        self, root: str = "data/lerobot", camera: str | None = None, val_fraction: float = 0.1, **kwargs: Any
    ) -> None:
        check_numbers("DataModule", locals())
        super().__init__(**kwargs)
        check_val_fraction(val_fraction)
        self.root, self.camera, self.val_fraction = root, camera, val_fraction

    def open_sources(self) -> tuple[VideoSource, VideoSource]:
        root = existing_folder(self.root)
        folder = LeRobotFolder(root)
        splits = self._split(folder, folder.episodes(folder.camera(self.camera)))
        files = list(dict.fromkeys(episode.file for episodes in splits for episode in episodes))
        rows = {file: row for row, file in enumerate(files)}
        videos = IndexedVideos(load_or_build(root, files, probing.probe))
        classes = _classes(root, *splits)
        train, val = (
            Episodes(
                videos,
                [rows[episode.file] for episode in episodes],
                [episode.first for episode in episodes],
                [episode.frames for episode in episodes],
                [episode.number for episode in episodes],
                labels,
                classes.names,
            )
            for episodes, labels in zip(splits, (classes.train, classes.val))
        )
        self._captions = {
            source.key(place): episode.task
            for source, episodes in zip((train, val), splits)
            for place, episode in enumerate(episodes)
            if episode.task
        }
        return train, val

    def _split(self, folder: LeRobotFolder, episodes: list[Episode]) -> tuple[list[Episode], list[Episode]]:
        def of(split: str) -> list[Episode]:
            name = next((name for name in SPLITS[split] if name in folder.splits), None)
            first, end = folder.splits.get(name, (0, 0)) if name else (0, 0)
            return [episode for episode in episodes if first <= episode.number < end]

        train = of("train") or episodes
        numbers = {episode.number for episode in train}
        val = [episode for episode in of("val") if episode.number not in numbers]
        if not val:
            by_name = {f"episode_{episode.number:06d}": episode for episode in train}
            train, val = ([by_name[name] for name in names] for names in hold_out(list(by_name), self.val_fraction))
        return train, val


def _classes(root: Path, train: Sequence[Episode], val: Sequence[Episode]) -> Classes:
    """Tasks as classes; none if all training episodes are of one task."""
    tasks = {str(episode.number): episode.task for episode in (*train, *val) if episode.task}
    if len({episode.task for episode in train} - {""}) < 2:
        return Classes([], [-1] * len(train), [-1] * len(val))
    names = [[str(episode.number) for episode in episodes] for episodes in (train, val)]
    return read_classes(root, names[0], names[1], tasks)
