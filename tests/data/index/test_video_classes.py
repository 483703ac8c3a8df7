import os

import pytest

from pvdm_lightning.data.index import video_classes
from pvdm_lightning.data.index.video_classes import Classes, read_classes, summarise_classes


@pytest.fixture
def folder(tmp_path):
    """Four videos, of which three are in two folders."""
    for name in ("b/1.mp4", "b/2.mp4", "a/deep/3.mp4", "4.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


TRAIN, VAL = ["b/1.mp4", "a/deep/3.mp4"], ["b/2.mp4", "4.mp4"]


def test_folders_are_classes(folder):
    assert read_classes(folder, TRAIN, VAL) == Classes(["a", "b"], [1, 0], [1, -1])
    assert read_classes(folder, TRAIN[:1], VAL[:1]) == Classes([], [-1], [-1])  # a lone folder tells nothing apart
    as_listed = [[f"./{TRAIN[0]}", str(folder / TRAIN[1])], ["a/../b/2.mp4", str(folder.parent / "c/4.mp4")]]
    assert read_classes(folder, *as_listed) == Classes(["a", "b"], [1, 0], [1, -1])


@pytest.mark.parametrize("splits", [("train", "test"), ("Training", "validation"), ("train", "train")])
def test_folders_inside_of_those_of_splits_are_classes(tmp_path, splits):
    train = [f"{splits[0]}/{name}" for name in ("YoYo/1.avi", "Archery/x/2.avi", "stray.avi")]
    val = [f"{splits[1]}/{name}" for name in ("Archery/3.avi", "YoYo/4.avi")]
    assert read_classes(tmp_path, train, val) == Classes(["Archery", "YoYo"], [1, 0, -1], [0, 1])


def test_a_class_that_training_lacks_is_none_and_said_once(tmp_path, caplog):
    val = ["c/1.avi", "c/2.avi", "a/3.avi", "d/4.avi"]
    assert read_classes(tmp_path, ["a/1.avi", "b/2.avi"], val) == Classes(["a", "b"], [0, 1], [-1, -1, 0, -1])
    (record,) = caplog.records
    assert record.getMessage() == (
        "2 classes have no training video, such as c: their validation videos count as without a class"
    )


def test_names_are_the_same_on_all_platforms(tmp_path):
    composed, apart = "caf\u00e9", "cafe\u0301"  # as Linux and macOS may have it
    classes = read_classes(tmp_path, [f"{apart}/1.avi", "z/2.avi", f"{os.fsdecode(b'x' + bytes([255]))}/3.avi"], [])
    assert classes == Classes([composed, "x\\udcff", "z"], [0, 2, 1], [])


def test_a_folder_per_video_is_no_class(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(video_classes, "MOST_CLASSES", 3)
    train = [f"{number}/clip" for number in range(4)]
    assert read_classes(tmp_path, train, ["0/other"]) == Classes([], [-1] * 4, [-1])
    assert "folders of 4 names are more than the 3 classes that there may be: none is one" in caplog.text


def test_the_summary_is_one_line():
    assert summarise_classes([], [-1]) == ""
    assert summarise_classes(["a", "b"], [1, 1, 0, -1, 1]) == "2 classes: a 1, b 3; 1 videos without one"
    assert summarise_classes(["\x1b[31m"], [0]) == "1 class: \\x1b[31m 1"
    many = summarise_classes([f"c{i}" for i in range(20)], [i for i in range(20) for _ in range(i + 1)])
    assert many == (
        "20 classes: c19 20, c18 19, c17 18, c16 17, c15 16, c14 15, ..., c5 6, c4 5, c3 4, c2 3, c1 2, c0 1"
    )
