"""UCF-101."""

import os
from typing import Any

from pvdm_lightning.data.datamodules.clip_datamodule import ClipDataModule
from pvdm_lightning.data.datamodules.splits import REMEDY, existing_folder, split_sources
from pvdm_lightning.data.index import probing
from pvdm_lightning.data.index.video_classes import Classes
from pvdm_lightning.data.videos import ucf101
from pvdm_lightning.data.videos.source import VideoSource
from pvdm_lightning.errors import InvalidArgumentError, check_numbers


class UCF101(ClipDataModule):
    """UCF-101: human actions, 101 classes, with the official split files.

    Args:
        root: Folder with one folder per class.
        fold: Which of the three official splits: 1, 2 or 3.
        splits: Folder of the split files. Default: ucfTrainTestlist inside root or beside it.
        **kwargs: As in ClipDataModule.
    """

    def __init__(self, root: str = "data/UCF-101", fold: int = 1, splits: str | None = None, **kwargs: Any) -> None:
        check_numbers("DataModule", locals())
        super().__init__(**kwargs)
        self.root, self.fold, self.splits = root, fold, splits

    def open_sources(self) -> tuple[VideoSource, VideoSource]:
        root = existing_folder(self.root)
        splits = ucf101.find_splits(root, self.splits)
        train, train_labels = ucf101.read_split(splits, "train", self.fold)
        val, val_labels = ucf101.read_split(splits, "test", self.fold)
        if not any((root / name).exists() for name in [*train, *val]):
            raise InvalidArgumentError(
                "DataModule.root", self.root, "has none of the videos that the split files name", REMEDY
            )
        both = sorted({*map(os.path.normpath, train)} & {*map(os.path.normpath, val)})
        if both:
            problem = f"{len(both)} videos are in both lists of fold {self.fold}, {both[0]} for one"
            raise InvalidArgumentError("DataModule.splits", splits, problem, "Unpack the official lists anew.")
        classes = Classes(ucf101.class_names(splits), train_labels, val_labels)
        return split_sources(root, (train, val), classes, probing.probe)
