"""Videos in arrays of numpy and HDF5 files."""

import logging
from pathlib import Path
from typing import Any

from pvdm_lightning.data.datamodules.clip_datamodule import ClipDataModule
from pvdm_lightning.data.datamodules.splits import REMEDY, check_val_fraction, existing_folder, split_videos
from pvdm_lightning.data.index.video_classes import read_classes
from pvdm_lightning.data.index.video_tables import clean_name, read_tables, video_key
from pvdm_lightning.data.index.video_tree import find_array_files, split_folders
from pvdm_lightning.data.videos.array_axes import check_axes
from pvdm_lightning.data.videos.source import VideoSource
from pvdm_lightning.data.videos.stored_arrays import SUFFIXES
from pvdm_lightning.data.videos.videos_in_arrays import (
    VideosInArrays,
    find_value_range,
    find_video_arrays,
    summarise_arrays,
)
from pvdm_lightning.errors import InvalidArgumentError, check_numbers
from pvdm_lightning.escaping import printable

logger = logging.getLogger(__name__)


class ArrayFolder(ClipDataModule):
    """Videos in .npy, .npz and HDF5 files: arrays of one video or of many, gray or in colours, uint8 or floating point.

    They are read where they lie, a clip at a time. Classes are those of an array `labels` in the same file, else of
    tables and folders as in VideoFolder. Arrays of another number of axes, such as features, are no videos.

    Args:
        root: A file, or a folder; any tree below it.
        axes: Order of the axes: N videos, T frames, H, W, C colours, such as TNHW or NTHWC. Default: what sizes and
            pictures tell, which is said; an error if they do not.
        key: Name of the arrays of videos in .npz and HDF5 files, or the last part of it. Default: all that may be some.
        value_range: Values of black and white in floating point. Default: [0, 1], or [-1, 1] if some are negative.
        val_fraction: Share of the videos to validate on, chosen by their names. Has no effect where a table has a
            column split, or all files are in folders, or have names, such as train and test.
        **kwargs: As in ClipDataModule.
    """

    def __init__(
        self,
        root: str = "data/arrays",
        axes: str | None = None,
        key: str | None = None,
        value_range: tuple[float, float] | None = None,
        val_fraction: float = 0.1,
        **kwargs: Any,
    ) -> None:
        check_numbers("DataModule", locals())
        super().__init__(**kwargs)
        check_val_fraction(val_fraction)
        if value_range is not None and not value_range[0] < value_range[1]:
            problem, remedy = "does not rise", "Give the values of black and white, such as [0,1]."
            raise InvalidArgumentError("DataModule.value_range", list(value_range), problem, remedy)
        self.root, self.key, self.val_fraction = root, key, val_fraction
        self.value_range = None if value_range is None else (float(value_range[0]), float(value_range[1]))
        self.axes = None if axes is None else check_axes(axes)

    def open_sources(self) -> tuple[VideoSource, VideoSource]:
        root, files = self._files()
        arrays, others = find_video_arrays(root, files, self.axes, self.key)
        if not arrays:
            problem = "there are no .npy, .npz or HDF5 files in it"
            if others:
                problem = f"its arrays are no videos of {'4 or 5' if self.axes is None else len(self.axes)} axes"
                problem += f"{f' called {self.key}' if self.key else ''}; {others[0]}"
            raise InvalidArgumentError("DataModule.root", self.root, problem, REMEDY)
        if others:
            logger.info("%d files hold no videos, such as %s", len(others), printable(others[0]))
        for line in summarise_arrays(arrays):
            logger.info("%s: %s", root, line)
        value_range = self.value_range or find_value_range(arrays)
        if value_range is not None:
            logger.info("%s: floating point from %g (black) to %g (white)", root, *value_range)
        places = {
            array.video_name(number): (which, number)
            for which, array in enumerate(arrays)
            for number in range(array.num_videos)
        }
        tables = read_tables(root, [*places])
        train, val = self._split(root, [*places], tables.splits)
        given = tables.classes
        if given is None and any(array.labels for array in arrays):
            given = {
                video_key(root, name): clean_name(arrays[which].labels[number])
                for name, (which, number) in places.items()
                if arrays[which].labels and arrays[which].labels[number]
            }
        if given is None:  # names of arrays in a file are no folders
            train_files, val_files = ([arrays[places[name][0]].file for name in names] for names in (train, val))
            classes = read_classes(root, train_files, val_files)
        else:
            classes = read_classes(root, train, val, given)
        self._captions = {name: text for name in places if (text := tables.captions.get(video_key(root, name)))}

        def source(names: list[str], numbers: list[int]) -> VideosInArrays:
            return VideosInArrays(root, arrays, [places[name] for name in names], value_range, numbers, classes.names)

        return source(train, classes.train), source(val, classes.val)

    def _files(self) -> tuple[Path, list[str]]:
        path = Path(self.root)
        if path.is_file():
            return path.parent, [path.name]
        return existing_folder(self.root), find_array_files(path, SUFFIXES)

    def _split(self, root: Path, names: list[str], splits: dict[str, str] | None) -> tuple[list[str], list[str]]:
        # A file train.npz counts as a folder.
        as_folders = {name: name for name in names}
        for name in names:
            first, _, rest = name.partition("/")
            stem = first.partition("[")[0]
            if stem.lower().endswith(SUFFIXES):
                as_folders[name] = f"{Path(stem).stem}/{first}{rest and '/'}{rest}"
        by_folder = {as_folders[name]: name for name in names}
        if splits is None and split_folders([*by_folder]):
            train, val = split_videos(root, [*by_folder], self.val_fraction, None)
            return [by_folder[name] for name in train], [by_folder[name] for name in val]
        return split_videos(root, names, self.val_fraction, splits)
