import json
import logging
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvdm_lightning.data.index import video_classes
from pvdm_lightning.data.index.video_classes import Classes, read_classes, summarise_classes
from pvdm_lightning.errors import InvalidArgumentError


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


def write_table(folder, rows, name="metadata.csv"):
    folder.mkdir(exist_ok=True)
    if name.endswith("csv"):
        text = "\n".join(",".join(row) for row in rows)
    else:
        text = "\n".join(json.dumps(dict(zip(rows[0], row))) for row in rows[1:])
    (folder / name).write_text(text + "\n")


@pytest.mark.parametrize("name", video_classes.TABLES)
@pytest.mark.parametrize("column", video_classes.CLASS_COLUMNS)
def test_a_table_comes_before_folders(folder, name, column):
    rows = [["text", "file_name", column], ["one", "b/1.mp4", "jump"], ["", "4.mp4", " run "], ["", "b/2.mp4", "jump"]]
    write_table(folder, rows, name)
    assert read_classes(folder, TRAIN, VAL) == Classes(["jump"], [0, -1], [0, -1])
    assert read_classes(folder, VAL, TRAIN) == Classes(["jump", "run"], [0, 1], [0, -1])


def test_tables_of_spreadsheets(folder):
    text = '\ufeffFile_Name, "Label"\r\n"b/1.mp4","a ""long"", name"\r\n./4.mp4,caf\u00e9\r\n\r\n'
    (folder / "metadata.csv").write_bytes(text.encode())
    assert read_classes(folder, TRAIN, VAL[1:]).names == ['a "long", name']


def test_names_that_are_no_text(folder):
    write_table(folder, [["file_name", "label"], ["b/1.mp4", "\ud800"]], "metadata.jsonl")
    assert read_classes(folder, TRAIN, VAL).names == ["\\ud800"]


def test_whole_numbers_are_sorted_by_value(folder):
    rows = [["file_name", "label"], *([f"{name}", label] for name, label in zip([*TRAIN, *VAL], [10, 9, 9, 100]))]
    write_table(folder, rows, "metadata.jsonl")
    assert read_classes(folder, [*TRAIN, *VAL], []) == Classes(["9", "10", "100"], [1, 0, 0, 2], [])


def test_each_split_may_have_a_table(tmp_path):
    for split, label in (("train", "x"), ("test", "y")):
        (tmp_path / split).mkdir()
        (tmp_path / split / "1.mp4").touch()
        write_table(tmp_path / split, [["file_name", "label"], ["1.mp4", label]])
    assert read_classes(tmp_path, ["train/1.mp4"], ["test/1.mp4"]) == Classes(["x"], [0], [-1])


def test_captions_are_no_classes(folder, caplog):
    write_table(folder, [["file_name", "text"], ["b/1.mp4", "a man jumps"]])
    with caplog.at_level(logging.INFO):
        assert read_classes(folder, TRAIN, VAL).names == ["a", "b"]
    assert "metadata.csv has no column label, class, class_name, category: no classes are taken from it" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("csv", "file_name,label\nb/1.mp4,x\n./b/1.mp4,x\n", "line 3 names ./b/1.mp4 again. Keep one line per video."),
        ("csv", "file_name,label\nb/1.mp4,\n", "line 2 has no label. Give one, or leave the line out."),
        ("csv", "file_name,label\nb/1.mp4\n", "line 2 has no label."),
        ("csv", "file_name,label\n,x\n", "line 2 has no file_name. Name the video's file."),
        (
            "csv",
            "file_name,label\nb/9.mp4,x\nb/1.mp4,x\n../b/1.mp4,x\n",
            "names 2 videos that are not there, such as b/9.mp4. Leave their lines out; names are relative to the file",
        ),
        ("csv", "video,label\nb/1.mp4,x\n", "has no column file_name. Name each video's file in one."),
        ("csv", "", "names no videos. Name each in a column file_name, or delete the file."),
        ("csv", 'file_name,label\n"b/1.mp4"x,y\n', "is not CSV after line 1 ("),
        ("csv", b"file_name,label\nb/1.mp4,\xff\n", "cannot be read (it is not UTF-8). Give a text file in UTF-8."),
        ("jsonl", '{"file_name": "b/1.mp4", "label": null}\n', "line 1 has no label."),
        ("jsonl", '\n{"file_name": "b/1.mp4", "label": [1]}\n', "line 2 has no text or whole number for label. Give"),
        ("jsonl", '{"file_name": "b/1.mp4", "label": true}\n', "line 1 has no text or whole number for label."),
        ("jsonl", '{"file_name": 3, "label": "x"}\n', "line 1 has no file_name."),
        ("jsonl", '{"file_name": "\\ud800", "label": "x"}\n', "names 1 videos that are not there, such as \\ud800."),
        ("jsonl", '{"file_name": "\\u0000", "label": "x"}\n', "names 1 videos that are not there, such as \\x00."),
        ("csv", f"file_name,label\n{'a' * 300},x\n", "names 1 videos that are not there, such as aaa"),
        ("jsonl", '["b/1.mp4"]\n', "line 1 is no JSON object. Give one object per line."),
        ("jsonl", "[" * 100_000, "line 1 is no JSON object."),
    ],
)
def test_mistakes_in_tables(folder, name, content, message):
    (folder / f"metadata.{name}").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InvalidArgumentError) as caught:
        read_classes(folder, TRAIN, VAL)
    said = str(caught.value)
    assert said.startswith(f"DataModule.root {folder}: metadata.{name} {message}") and "\n" not in said


@given(
    name=st.sampled_from(video_classes.TABLES),
    start=st.sampled_from(["", "file_name,label\n", '{"file_name": "b/1.mp4", "label": ']),
    rest=st.text(st.sampled_from('b/1.mp4,"\\\x00\n\r{}[]:é\ud800'), max_size=30),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_table_is_read_or_named(folder, name, start, rest):
    for table in video_classes.TABLES:
        (folder / table).unlink(missing_ok=True)
    (folder / name).write_bytes((start + rest).encode("utf-8", "surrogatepass"))
    try:
        classes = read_classes(folder, TRAIN, VAL)
    except InvalidArgumentError as error:
        assert "\n" not in str(error) and error.argument == "DataModule.root"
    else:
        assert sorted(set(classes.names)) == sorted(classes.names) and all(classes.names)
        assert {-1, *range(len(classes.names))} >= {*classes.train, *classes.val}


def test_two_tables_are_one_too_many(folder):
    for name in video_classes.TABLES:
        write_table(folder, [["file_name", "label"], ["4.mp4", "x"]], name)
    with pytest.raises(InvalidArgumentError, match=r"has both metadata\.csv and metadata\.jsonl in one folder\. Keep"):
        read_classes(folder, TRAIN, VAL)


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
