import json
import logging
import sys

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from pvdm_lightning.data.index import video_tables
from pvdm_lightning.data.index.video_classes import Classes, read_classes
from pvdm_lightning.data.index.video_tables import read_tables, summarise_captions
from pvdm_lightning.errors import InvalidArgumentError


@pytest.fixture
def folder(tmp_path):
    """Four videos, of which three are in two folders."""
    for name in ("b/1.mp4", "b/2.mp4", "a/deep/3.mp4", "4.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


TRAIN, VAL = ["b/1.mp4", "a/deep/3.mp4"], ["b/2.mp4", "4.mp4"]


def classes_of(root, train, val):
    return read_classes(root, train, val, read_tables(root, [*train, *val]).classes)


def write_table(folder, rows, name="metadata.csv"):
    folder.mkdir(exist_ok=True)
    if name.endswith("parquet"):
        columns = {key: [row[place] for row in rows[1:]] for place, key in enumerate(rows[0])}
        parquet.write_table(pyarrow.table(columns), folder / name)
        return
    if name.endswith("csv"):
        text = "\n".join(",".join(row) for row in rows)
    else:
        text = "\n".join(json.dumps(dict(zip(rows[0], row))) for row in rows[1:])
    (folder / name).write_text(text + "\n")


@pytest.mark.parametrize("name", video_tables.TABLES)
@pytest.mark.parametrize("column", video_tables.CLASS_COLUMNS)
def test_a_table_comes_before_folders(folder, name, column):
    rows = [["text", "file_name", column], ["one", "b/1.mp4", "jump"], ["", "4.mp4", " run "], ["", "b/2.mp4", "jump"]]
    write_table(folder, rows, name)
    assert classes_of(folder, TRAIN, VAL) == Classes(["jump"], [0, -1], [0, -1])
    assert classes_of(folder, VAL, TRAIN) == Classes(["jump", "run"], [0, 1], [0, -1])


def test_tables_of_spreadsheets(folder):
    text = '\ufeffFile_Name, "Label"\r\n"b/1.mp4","a ""long"", name"\r\n./4.mp4,caf\u00e9\r\n\r\n'
    (folder / "metadata.csv").write_bytes(text.encode())
    assert classes_of(folder, TRAIN, VAL[1:]).names == ['a "long", name']


def test_names_that_are_no_text(folder):
    write_table(folder, [["file_name", "label"], ["b/1.mp4", "\ud800"]], "metadata.jsonl")
    assert classes_of(folder, TRAIN, VAL).names == ["\\ud800"]


def test_whole_numbers_are_sorted_by_value(folder):
    rows = [["file_name", "label"], *([f"{name}", label] for name, label in zip([*TRAIN, *VAL], [10, 9, 9, 100]))]
    write_table(folder, rows, "metadata.jsonl")
    assert classes_of(folder, [*TRAIN, *VAL], []) == Classes(["9", "10", "100"], [1, 0, 0, 2], [])


def test_each_split_may_have_a_table(tmp_path):
    for split, label in (("train", "x"), ("test", "y")):
        (tmp_path / split).mkdir()
        (tmp_path / split / "1.mp4").touch()
        write_table(tmp_path / split, [["file_name", "label"], ["1.mp4", label]])
    assert classes_of(tmp_path, ["train/1.mp4"], ["test/1.mp4"]) == Classes(["x"], [0], [-1])


def test_captions_are_no_classes(folder, caplog):
    write_table(folder, [["file_name", "text"], ["b/1.mp4", "a man jumps"]])
    with caplog.at_level(logging.INFO):
        assert classes_of(folder, TRAIN, VAL).names == ["a", "b"]
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
        classes_of(folder, TRAIN, VAL)
    said = str(caught.value)
    assert said.startswith(f"DataModule.root {folder}: metadata.{name} {message}") and "\n" not in said


@given(
    name=st.sampled_from(video_tables.TABLES),
    start=st.sampled_from(["", "file_name,label\n", '{"file_name": "b/1.mp4", "label": ']),
    rest=st.text(st.sampled_from('b/1.mp4,"\\\x00\n\r{}[]:é\ud800'), max_size=30),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_table_is_read_or_named(folder, name, start, rest):
    for table in video_tables.TABLES:
        (folder / table).unlink(missing_ok=True)
    (folder / name).write_bytes((start + rest).encode("utf-8", "surrogatepass"))
    try:
        classes = classes_of(folder, TRAIN, VAL)
    except InvalidArgumentError as error:
        assert "\n" not in str(error) and error.argument == "DataModule.root"
    else:
        assert sorted(set(classes.names)) == sorted(classes.names) and all(classes.names)
        assert {-1, *range(len(classes.names))} >= {*classes.train, *classes.val}


def test_two_tables_are_one_too_many(folder):
    for name in video_tables.TABLES[::2]:
        write_table(folder, [["file_name", "label"], ["4.mp4", "x"]], name)
    with pytest.raises(
        InvalidArgumentError, match=r"has both metadata\.csv and metadata\.parquet in one folder\. Keep"
    ):
        read_tables(folder, TRAIN)


@pytest.mark.parametrize("name", video_tables.TABLES)
def test_splits_and_captions(folder, name):
    rows = [["file_name", "split", "text"], ["b/1.mp4", "train", " a man jumps "], ["./4.mp4", "test", ""]]
    write_table(folder, rows, name)
    tables = read_tables(folder, [*TRAIN, *VAL])
    assert tables.classes is None and tables.splits == {"b/1.mp4": "train", "4.mp4": "test"}
    assert tables.captions == {"b/1.mp4": "a man jumps"}


def test_a_line_without_a_split(folder):
    write_table(folder, [["file_name", "split"], ["b/1.mp4", ""]])
    with pytest.raises(
        InvalidArgumentError, match=r"metadata\.csv line 2 has no split\. Give one, or leave the line out"
    ):
        read_tables(folder, TRAIN)


def test_the_summary_of_captions_is_one_short_line():
    assert summarise_captions({}, 3) == ""
    said = summarise_captions({"a\x1b.mp4": "line\n" + "x" * 500, "b.mp4": "y"}, 3)
    assert said.startswith("captions of 2 of 3 videos, such as line xxx") and said.endswith("... (a\\x1b.mp4)")
    assert len(said) < 150


PARQUET = {
    "whole numbers are classes": ({"label": [3, 12]}, None),
    "text of another column is not read": ({"label": ["a", "b"], "note": [[1], [2]]}, None),
    "lists of captions are not read": ({"label": ["a", "b"], "text": [["x"], ["y"]]}, None),
    "text may be a dictionary": ({"label": pyarrow.array(["a", "b"]).dictionary_encode()}, None),
    "nothing is no class": ({"label": ["a", None]}, "row 2 has no label. Give one"),
    "lists are no classes": ({"label": [["a"], ["b"]]}, "cannot be read (column label has values of type list<"),
    "bytes are no text": ({"label": [b"a", b"b"]}, "cannot be read (column label has values of type binary"),
    "numbers with a point are no classes": ({"label": [0.5, 1.5]}, "row 1 has no text or whole number for label."),
    "a long text may stand for many": ({"label": ["a" * 2**17] * 2}, "cannot be read (a text has more than 65,536 byt"),
}


@pytest.mark.parametrize("case", PARQUET)
def test_what_parquet_columns_hold(folder, case):
    columns, message = PARQUET[case]
    table = pyarrow.table({"file_name": ["b/1.mp4", "4.mp4"], **columns})
    parquet.write_table(table, folder / "metadata.parquet")
    if message is None:
        assert classes_of(folder, TRAIN, VAL).val == [-1, -1] and read_tables(folder, VAL).classes == {
            name: str(label) for name, label in zip(["b/1.mp4", "4.mp4"], columns["label"])
        }
    else:
        with pytest.raises(InvalidArgumentError) as caught:
            read_tables(folder, TRAIN)
        said = str(caught.value)
        assert said.startswith(f"DataModule.root {folder}: metadata.parquet {message}") and "\n" not in said


def test_a_damaged_parquet_file_is_named(folder):
    write_table(folder, [["file_name", "label"], ["b/1.mp4", "x" * 300]], "metadata.parquet")
    whole = (folder / "metadata.parquet").read_bytes()
    for content in (b"", whole[: len(whole) // 2], whole[:60] + bytes(40) + whole[100:]):
        (folder / "metadata.parquet").write_bytes(content)
        with pytest.raises(InvalidArgumentError, match=r"metadata\.parquet cannot be read \(.*\)\. Write it anew"):
            read_tables(folder, TRAIN)


def test_parquet_texts_have_a_limit(folder, monkeypatch):
    monkeypatch.setattr(video_tables, "MOST_IN_LIST", 2**20)
    rows = [[f"{number}.mp4", "x" * 2**12] for number in range(500)]
    write_table(folder, [["file_name", "label"], *rows], "metadata.parquet")
    assert (folder / "metadata.parquet").stat().st_size < 2**15
    with pytest.raises(InvalidArgumentError, match=r"cannot be read \(it has more than 1,048,576 bytes of text\)"):
        read_tables(folder, TRAIN)


def test_a_missing_package_is_named(folder, monkeypatch):
    write_table(folder, [["file_name", "label"], ["b/1.mp4", "x"]], "metadata.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    message = (
        r"metadata\.parquet needs the package pyarrow, .*\. Install it: pip install 'pvdm-lightning\[parquet\]'; or"
    )
    with pytest.raises(InvalidArgumentError, match=message):
        read_tables(folder, TRAIN)
