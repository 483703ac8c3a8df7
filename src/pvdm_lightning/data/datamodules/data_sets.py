"""The data modules by name: where each set's videos lie, which split they belong to, what their labels are."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pvdm_lightning.data.clips.video_dataset import IndexedVideos, VideoSource
from pvdm_lightning.data.datamodules.clip_datamodule import ClipDataModule
from pvdm_lightning.data.videos import frame_folder, probing, sky_timelapse, ucf101, video_tree
from pvdm_lightning.data.videos.synthetic import Backgrounds, SyntheticVideos
from pvdm_lightning.data.videos.video_index import load_or_build
from pvdm_lightning.data.videos.video_info import VideoInfo
from pvdm_lightning.errors import InvalidArgumentError, check_at_least

REMEDY = "See data/README.md for how to get it, or use the generated data set of demo_ae.yaml and demo_ldm.yaml."


def _existing(root: str) -> Path:
    """The folder of a set; raises `InvalidArgumentError` if there is none."""
    if not Path(root).is_dir():
        raise InvalidArgumentError("DataModule.root", root, "there is no such folder", REMEDY)
    return Path(root)


def _split(
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


class Synthetic(ClipDataModule):
    """Drawn videos, computed on the fly: nothing on disk, nothing to download. The class is the kind of motion.

    Args:
        num_videos: Training videos.
        num_val_videos: Validation videos; none of them is a training video.
        video_frames: Frames in each video.
        max_shapes: Each video has 1 to so many moving shapes.
        backgrounds: coloured, or grey: then nearly all there is to learn is the shapes.
        **kwargs: As in ClipDataModule.
    """

    def __init__(
        self,
        num_videos: int = 1024,
        num_val_videos: int = 64,
        video_frames: int = 64,
        max_shapes: int = 2,
        backgrounds: Backgrounds = "coloured",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for argument, value in (
            ("num_videos", num_videos),
            ("num_val_videos", num_val_videos),
            ("video_frames", video_frames),
            ("max_shapes", max_shapes),
        ):
            check_at_least(f"DataModule.{argument}", value, 1)
        self.num_videos, self.num_val_videos = num_videos, num_val_videos
        self.video_frames, self.max_shapes, self.backgrounds = video_frames, max_shapes, backgrounds

    def open_sources(self) -> tuple[VideoSource, VideoSource]:
        def videos(first: int, count: int) -> SyntheticVideos:
            return SyntheticVideos(first, count, self.video_frames, self.seed, self.max_shapes, self.backgrounds)

        # Validation starts far away: more training videos do not run into it.
        return videos(0, self.num_videos), videos(2**40, self.num_val_videos)


class UCF101(ClipDataModule):
    """UCF-101: human actions, 101 classes, with the official split files.

    Args:
        root: Folder that holds one folder a class.
        fold: Which of the three official splits: 1, 2 or 3.
        splits: Folder of the split files. Left out: ucfTrainTestlist inside root or beside it.
        **kwargs: As in ClipDataModule.
    """

    def __init__(self, root: str = "data/UCF-101", fold: int = 1, splits: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root, self.fold, self.splits = root, fold, splits

    def open_sources(self) -> tuple[VideoSource, VideoSource]:
        root = _existing(self.root)
        splits = ucf101.find_splits(root, self.splits)
        train, train_labels = ucf101.read_split(splits, "train", self.fold)
        val, val_labels = ucf101.read_split(splits, "test", self.fold)
        if not any((root / name).exists() for name in [*train, *val]):
            raise InvalidArgumentError(
                "DataModule.root", self.root, "has none of the videos that the split files name", REMEDY
            )
        return _split(root, (train, val), (train_labels, val_labels), probing.probe)


class SkyTimelapse(ClipDataModule):
    """SkyTimelapse: time lapses of the sky, as folders of frames, in either of the layouts it comes in.

    Args:
        root: Folder that holds train and test, or sky_train and sky_test.
        **kwargs: As in ClipDataModule.
    """

    def __init__(self, root: str = "data/sky_timelapse", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root = root

    def open_sources(self) -> tuple[VideoSource, VideoSource]:
        root = _existing(self.root)
        return _split(root, sky_timelapse.find_splits(root), (None, None), frame_folder.probe)


class _Tree(ClipDataModule):
    """Videos in a folder tree, parted by list files or by a held-out share.

    Args:
        root: The folder; any tree below it.
        val_fraction: Share of the videos to validate on, chosen by their paths. Has no effect with list files.
        train_list: Text file with the paths of the training videos, relative to root, one a line.
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
        super().__init__(**kwargs)
        if not 0 < val_fraction < 1:
            raise InvalidArgumentError(
                "DataModule.val_fraction", val_fraction, "is no share of the videos", "Give a number between 0 and 1."
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
        else:
            found = find(root)
            if not found:
                raise InvalidArgumentError("DataModule.root", self.root, f"there are no {what} in it", REMEDY)
            train, val = video_tree.hold_out(found, self.val_fraction)
        classes = video_tree.top_folders([*train, *val])
        labels = video_tree.folder_labels(train, classes), video_tree.folder_labels(val, classes)
        return _split(root, (train, val), labels, probe)


class VideoFolder(_Tree):
    """Any folder tree of videos (avi, mp4, mkv, mov, webm, gif and others). Top-level folders, if several, are classes.

    Args:
        root: The folder; any tree below it.
        **kwargs: As in _Tree.
    """

    def __init__(self, root: str = "data/videos", **kwargs: Any) -> None:
        super().__init__(root, **kwargs)

    def open_sources(self) -> tuple[VideoSource, VideoSource]:
        return self._split_tree(_existing(self.root), video_tree.find_videos, "video files", probing.probe)


class FrameFolder(_Tree):
    """Any tree of folders of frames (jpg, png and others); each folder with pictures is a video, in their numbers'
    order.

    Args:
        root: The folder; any tree below it.
        **kwargs: As in _Tree.
    """

    def __init__(self, root: str = "data/frames", **kwargs: Any) -> None:
        super().__init__(root, **kwargs)

    def open_sources(self) -> tuple[VideoSource, VideoSource]:
        return self._split_tree(_existing(self.root), video_tree.find_frame_folders, "pictures", frame_folder.probe)
