"""UCF-101: 13,320 videos of 101 human actions, with three official splits into train and test."""

from pathlib import Path

from pvdm_lightning.data.index.video_info import one_line
from pvdm_lightning.data.index.video_tree import MOST_IN_LIST
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.foreign_files import read_bytes

SPLITS_FOLDER = "ucfTrainTestlist"
MOST_CLASSES = 10_000


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


def read_classes(splits: Path) -> dict[str, int]:
    """Class name -> label from 0 on, as classInd.txt numbers them (from 1 on).

    Raises:
        InvalidArgumentError: A line is not ``number name``, or a number or a name comes twice.
    """
    classes: dict[str, int] = {}
    for number, line in read_numbered_lines(splits / "classInd.txt"):
        label, _, name = line.partition(" ")
        name = name.strip()
        if not (label.isascii() and label.isdecimal() and len(label) < 6 and 1 <= int(label) <= MOST_CLASSES and name):
            raise _damaged(splits, f"line {number} of classInd.txt is not a number and a name ({_short(line)})")
        if name in classes or int(label) - 1 in classes.values():
            raise _damaged(splits, f"line {number} of classInd.txt repeats a number or a name ({_short(line)})")
        classes[name] = int(label) - 1
    return classes


def class_names(splits: Path) -> list[str]:
    """Names of the classes by their labels; a number that classInd.txt leaves out gets a name of its own.

    Raises:
        InvalidArgumentError: As `read_classes`.
    """
    names = {label: name for name, label in read_classes(splits).items()}
    return [names.get(label, f"unused {label + 1}") for label in range(max(names) + 1)]


def read_split(splits: Path, split: str, fold: int) -> tuple[list[str], list[int]]:
    """The videos of a split.

    Args:
        splits: Folder of the split files.
        split: "train" or "test".
        fold: 1, 2 or 3.

    Returns:
        Paths relative to the set's folder, and their labels.

    Raises:
        InvalidArgumentError: If the list is not there or empty, or does not agree with classInd.txt.
    """
    path = splits / f"{split}list{fold:02d}.txt"
    if not path.is_file():
        raise InvalidArgumentError("DataModule.fold", fold, f"there is no {path}", "The folds are 1, 2 and 3.")
    classes = read_classes(splits)
    names, labels = [], []
    for number, line in read_numbered_lines(path):
        name, _, label = line.partition(" ")  # the training lists repeat the label after the name
        known = classes.get(name.split("/")[0])
        if known is None or "/" not in name:
            found = name.split("/")[0]
            raise _damaged(splits, f"line {number} of {path.name} has a class {_short(found)} that classInd.txt lacks")
        if label.strip() not in ("", str(known + 1)):
            raise _damaged(
                splits, f"line {number} of {path.name} gives {_short(label)} where classInd.txt has {known + 1}"
            )
        names.append(name)
        labels.append(known)
    return names, labels


def read_numbered_lines(path: Path) -> list[tuple[int, str]]:
    """The non-blank lines of a text file with their numbers, with any line ending and single spaces.

    Raises:
        InvalidArgumentError: It cannot be read, or there is nothing in it.
    """
    try:
        text = read_bytes(path, MOST_IN_LIST).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else one_line(error)
        raise _damaged(path.parent, f"{path.name} cannot be read ({reason})") from error
    lines = [(number, " ".join(line.split())) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise _damaged(path.parent, f"{path.name} is empty")
    return lines


def _damaged(splits: Path, problem: str) -> InvalidArgumentError:
    return InvalidArgumentError("DataModule.splits", splits, problem, "Unpack it anew.")


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
