"""The base of folder trees of videos and of frames."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pvdm_lightning.data.datamodules.clip_datamodule import ClipDataModule
from pvdm_lightning.data.datamodules.splits import REMEDY, split_sources
from pvdm_lightning.data.videos import video_tree
from pvdm_lightning.data.videos.source import VideoSource
from pvdm_lightning.data.videos.video_info import VideoInfo
from pvdm_lightning.errors import InvalidArgumentError, check_numbers


class VideoTree(ClipDataModule):
    """Videos in a folder tree, split by list files or by a validation fraction.

    Args:
        root: The folder; any tree below it.
        val_fraction: Share of the videos to validate on, chosen by their paths. Has no effect with list files.
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
        if not 0 < val_fraction < 1:
            raise InvalidArgumentError(
                "DataModule.val_fraction",
                val_fraction,
                "is not a fraction of the videos",
                "Give a number between 0 and 1.",
            )
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
            both = sorted({*train} & {*val})
            if both:
                problem = f"shares {len(both)} videos with DataModule.train_list, {both[0]} for one"
                raise InvalidArgumentError("DataModule.val_list", self.val_list, problem, "Validate on others.")
        else:
            found = find(root)
            if not found:
                raise InvalidArgumentError("DataModule.root", self.root, f"there are no {what} in it", REMEDY)
            train, val = video_tree.hold_out(found, self.val_fraction)
        classes = video_tree.top_folders([*train, *val])
        labels = video_tree.folder_labels(train, classes), video_tree.folder_labels(val, classes)
        return split_sources(root, (train, val), labels, probe)
