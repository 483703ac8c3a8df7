"""The base of folder trees of videos and of frames."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pvdm_lightning.data.datamodules.clip_datamodule import ClipDataModule
from pvdm_lightning.data.datamodules.splits import REMEDY, check_val_fraction, split_sources, split_videos
from pvdm_lightning.data.index import video_tree
from pvdm_lightning.data.index.shared_videos import shared_videos
from pvdm_lightning.data.index.video_classes import read_classes
from pvdm_lightning.data.index.video_info import VideoInfo
from pvdm_lightning.data.index.video_tables import read_tables, video_key
from pvdm_lightning.data.videos.source import VideoSource
from pvdm_lightning.errors import InvalidArgumentError, check_numbers

logger = logging.getLogger(__name__)


class VideoTree(ClipDataModule):
    """Videos in a folder tree, split by list files, by a table beside them, by its folders train and val or test, or by
    a validation fraction.

    A table is a metadata.csv, metadata.jsonl or metadata.parquet with columns file_name and label, split or caption.
    Without classes in one, the folders below `root`, or below those of its splits, are classes if there are several.

    Args:
        root: The folder; any tree below it.
        val_fraction: Share of the videos to validate on, chosen by their paths. Has no effect with list files, nor
            where a table has a column split, nor where all videos are in folders train and val, validation or test.
            Copies of training videos are left out.
        train_list: Text file with the paths of the training videos, relative to root, one per line.
        val_list: As train_list, for validation; give both or neither.
        **kwargs: As in ClipDataModule.
    """

    def __init__(
        self,
        root: str,
        val_fraction: float = 0.1,
        train_list: str | None = None,
        val_list: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_numbers("DataModule", locals())
        super().__init__(**kwargs)
        check_val_fraction(val_fraction)
        if (train_list is None) != (val_list is None):
            given, lacking = ("train", "val") if val_list is None else ("val", "train")
            raise InvalidArgumentError(
                f"DataModule.{lacking}_list",
                None,
                f"is missing beside DataModule.{given}_list",
                "Give both or neither.",
            )
        self.root, self.val_fraction, self.train_list, self.val_list = root, val_fraction, train_list, val_list

    def _split_tree(
        self, root: Path, find: Callable[[Path], list[str]], what: str, probe: Callable[[Path], VideoInfo]
    ) -> tuple[VideoSource, VideoSource]:
        if self.train_list is not None and self.val_list is not None:
            train = video_tree.read_list("train_list", self.train_list)
            val = video_tree.read_list("val_list", self.val_list)
            both = shared_videos([root / name for name in val], [root / name for name in train])
            listed_twice = [video for video in both if not video.is_copy]
            if listed_twice:
                first, same = val[listed_twice[0].first], train[listed_twice[0].second]
                named = first if first == same else f"{first} (there {same})"
                problem = f"shares {len(listed_twice)} videos with DataModule.train_list, {named} for one"
                raise InvalidArgumentError("DataModule.val_list", self.val_list, problem, "Validate on others.")
            if both:
                message = "%d videos of %s are copies of training videos, such as %s of %s"
                logger.warning(message, len(both), self.val_list, val[both[0].first], train[both[0].second])
            tables = read_tables(root, [*train, *val])
        else:
            found = find(root)
            if not found:
                raise InvalidArgumentError("DataModule.root", self.root, f"there are no {what} in it", REMEDY)
            tables = read_tables(root, found)
            train, val = split_videos(root, found, self.val_fraction, tables.splits)
        keys = ((name, video_key(root, name)) for name in (*train, *val))
        self._captions = {name: tables.captions[key] for name, key in keys if key in tables.captions}
        return split_sources(root, (train, val), read_classes(root, train, val, tables.classes), probe)
