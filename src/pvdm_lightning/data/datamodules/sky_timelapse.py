"""SkyTimelapse: time lapses of the sky as folders of frames, in the layouts that are in circulation."""

from pathlib import Path
from typing import Any

from pvdm_lightning.data.datamodules.clip_datamodule import ClipDataModule
from pvdm_lightning.data.datamodules.splits import existing_folder, split_sources
from pvdm_lightning.data.index.video_tree import find_frame_folders
from pvdm_lightning.data.videos import frame_folder
from pvdm_lightning.data.videos.source import VideoSource
from pvdm_lightning.errors import InvalidArgumentError

# The archive of its authors has sky_train/video/clip/frames; copies made for video GANs have train/clip/frames.
TRAIN_FOLDERS = ("sky_train", "train")
VAL_FOLDERS = ("sky_test", "test", "val")


class SkyTimelapse(ClipDataModule):
    """SkyTimelapse: time lapses of the sky as folders of frames, in any of the published layouts.

    Args:
        root: Folder that holds train and test, or sky_train and sky_test.
        **kwargs: As in ClipDataModule.
    """

    def __init__(self, root: str = "data/sky_timelapse", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root = root

    def open_sources(self) -> tuple[VideoSource, VideoSource]:
        root = existing_folder(self.root)
        return split_sources(root, find_splits(root), None, frame_folder.probe)


def find_splits(root: Path) -> tuple[list[str], list[str]]:
    """The frame folders to train on and to validate on, relative to `root`, however deep they lie.

    Raises:
        InvalidArgumentError: A split is missing or empty.
    """
    return _find("training", root, TRAIN_FOLDERS), _find("validation", root, VAL_FOLDERS)


def _find(split: str, root: Path, candidates: tuple[str, ...]) -> list[str]:
    for candidate in candidates:
        if (root / candidate).is_dir():
            found = find_frame_folders(root / candidate)
            if found:
                return [(Path(candidate) / name).as_posix() for name in found]
    raise InvalidArgumentError(
        "DataModule.root",
        root,
        f"has no {split} frames: none of the folders {', '.join(candidates)} holds pictures",
        "See data/README.md for the layouts.",
    )
