"""UCF-101: 13,320 videos of 101 human actions, with three official splits into train and test."""

from pathlib import Path

from pvdm_lightning.data.videos.video_tree import MOST_IN_LIST
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.foreign_files import read_bytes

SPLITS_FOLDER = "ucfTrainTestlist"


def find_splits(root: Path, splits: str | None) -> Path:
    """The folder of the split files: as given, or inside the set's folder or beside it, wherever the archives were
    unpacked.

    Raises:
        InvalidArgumentError: If it is at none of these places.
    """
    if splits is not None:
        if not (Path(splits) / "classInd.txt").is_file():
            raise InvalidArgumentError(
                "DataModule.splits", splits, "has no classInd.txt", "Give the folder ucfTrainTestlist."
            )
        return Path(splits)
    for folder in (root / SPLITS_FOLDER, root.parent / SPLITS_FOLDER, root):
        if (folder / "classInd.txt").is_file():
            return folder
    raise InvalidArgumentError(
        "DataModule.splits",
        None,
        f"there is no {SPLITS_FOLDER}/classInd.txt in {root} or beside it",
        "Unpack UCF101TrainTestSplits-RecognitionTask.zip there (see data/README.md).",
    )


def read_lines(path: Path) -> list[str]:
    """The non-blank lines of a text file, with any line ending."""
    return [line.strip() for line in read_bytes(path, MOST_IN_LIST).decode("utf-8-sig").splitlines() if line.strip()]


def read_classes(splits: Path) -> dict[str, int]:
    """Class name -> label from 0 on, as classInd.txt numbers them (from 1 on)."""
    pairs = (line.split(maxsplit=1) for line in read_lines(splits / "classInd.txt"))
    return {name: int(number) - 1 for number, name in pairs}


def read_split(splits: Path, split: str, fold: int) -> tuple[list[str], list[int]]:
    """The videos of a split.

    Args:
        splits: Folder of the split files.
        split: "train" or "test".
        fold: 1, 2 or 3.

    Returns:
        Paths relative to the set's folder, and their labels.

    Raises:
        InvalidArgumentError: If the list is not there, or names a class that classInd.txt does not.
    """
    path = splits / f"{split}list{fold:02d}.txt"
    if not path.is_file():
        raise InvalidArgumentError("DataModule.fold", fold, f"there is no {path}", "The folds are 1, 2 and 3.")
    classes = read_classes(splits)
    names = [line.split()[0] for line in read_lines(path)]  # the training lists repeat the label after the name
    unknown = sorted({name.split("/")[0] for name in names} - set(classes))
    if unknown:
        raise InvalidArgumentError(
            "DataModule.splits",
            splits,
            f"{path.name} has a class {unknown[0]} that classInd.txt lacks",
            "Unpack it anew.",
        )
    return names, [classes[name.split("/")[0]] for name in names]
