import gzip
import io
import json
import logging
import tarfile
import zipfile

import pytest
import torch

from pvdm_lightning import VideoFolder, WebDataset
from pvdm_lightning.errors import InvalidArgumentError

HERE = {"frames": 4, "resolution": (16, 24), "clips_per_sample": 1, "num_workers": 0, "batch_size": 2}


@pytest.fixture(scope="module")
def films(playable):
    """Contents of a few videos that differ."""
    return [(playable / name).read_bytes() for name in ("mpeg4.avi", "h264.mp4", "b_frames.avi", "UPPER.MKV")]


def write(path, files):
    """A tar or zip file with these contents."""
    path.parent.mkdir(parents=True, exist_ok=True)
    contents = {name: text if isinstance(text, bytes) else str(text).encode() for name, text in files.items()}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
        return
    with tarfile.open(path, "w") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def named(module):
    """Names and class names of the training and of the validation videos."""
    sources = module._open()
    classes = [*module.class_names, None]
    return [
        {source.key(place): classes[label] for place, label in enumerate(source.labels.tolist())} for source in sources
    ]


def test_clips_are_those_of_the_unpacked_files(tmp_path, films):
    for shard in range(2):
        pair = films[2 * shard : 2 * shard + 2]
        write(tmp_path / f"shards/{shard}.tar", {f"{n}.avi": film for n, film in enumerate(pair)})
        for number, film in enumerate(pair):
            (tmp_path / f"files/{shard}.tar").mkdir(parents=True, exist_ok=True)
            (tmp_path / f"files/{shard}.tar/{number}.avi").write_bytes(film)
    how = {**HERE, "clips_per_sample": 2, "val_fraction": 0.3}
    packed, unpacked = WebDataset(str(tmp_path / "shards"), **how), VideoFolder(str(tmp_path / "files"), **how)
    for module in (packed, unpacked):
        module.setup()
    assert named(packed)[1].keys() == named(unpacked)[1].keys()
    for split in ("train", "val"):
        clips, same = packed.clips(split), unpacked.clips(split)
        assert len(clips) == len(same) > 0
        assert clips.source.fps.tolist() == same.source.fps.tolist() == [25.0] * len(clips)
        for number in range(len(clips)):
            for epoch in range(3):
                a, b = clips[epoch, number, 0], same[epoch, number, 0]
                assert torch.equal(a["clip"], b["clip"]) and torch.equal(a["previous"], b["previous"])


def test_classes_are_in_json_or_cls_files(tmp_path, films):
    film = dict(zip("abcd", films))
    write(tmp_path / "train-000.tar", {"000.mp4": film["a"], "000.cls": 7, "001.mp4": film["b"], "001.cls": "\n2\n"})
    write(tmp_path / "val-000.tar", {"000.mp4": film["c"], "000.cls": 7, "x/001.avi": film["d"], "001.cls": 2})
    module = WebDataset(str(tmp_path), **HERE)
    assert named(module) == [
        {"train-000.tar/000.mp4": "7", "train-000.tar/001.mp4": "2"},
        {"val-000.tar/000.mp4": "7", "val-000.tar/x/001.avi": None},  # 001.cls is of another stem
    ]
    assert module.class_names == ["2", "7"]
    # Names in the JSON, in the order of their numbers.
    write(
        tmp_path / "train-000.tar",
        {
            **{"000.mp4": film["a"], "000.cls": 7, "000.json": '{"caption": "a b", "class_name": "apple"}'},
            **{"001.left.mp4": film["b"], "001.json": '{"label": 2, "class": " zebra "}', "001.cls": 2},
        },
    )
    write(tmp_path / "val-000.tar", {"9.mp4": film["c"], "9.json": '{"class": "zebra"}', "8.mp4": film["d"]})
    module = WebDataset(str(tmp_path), **HERE)
    assert named(module) == [
        {"train-000.tar/000.mp4": "apple", "train-000.tar/001.left.mp4": "zebra"},
        {"val-000.tar/9.mp4": "zebra", "val-000.tar/8.mp4": None},
    ]
    assert module.class_names == ["zebra", "apple"]


@pytest.mark.parametrize("text", ["[]", "{", '{"label": null}', '{"label": -1}', '{"label": [1]}', "[" * 10**5, "\xff"])
def test_what_is_no_class_is_none(tmp_path, films, text):
    write(tmp_path / "a.tar", {"0.mp4": films[0], "0.json": text.encode("latin-1"), "1.mp4": films[1], "1.cls": ""})
    module = WebDataset(str(tmp_path), **HERE)
    assert module.class_names == [] and set(module.labels().values()) == {-1}


@pytest.mark.parametrize(
    ("archives", "train", "val"),
    [
        (["train/a.tar:0.avi", "test/a.tar:1.avi"], {"train/a.tar/0.avi"}, {"test/a.tar/1.avi"}),
        (["TRAIN_1.tar:0.avi", "Validation.tar:1.avi"], {"TRAIN_1.tar/0.avi"}, {"Validation.tar/1.avi"}),
        (["a.zip:UCF/train/0.avi", "a.zip:UCF/val/1.avi"], {"a.zip/UCF/train/0.avi"}, {"a.zip/UCF/val/1.avi"}),
        (
            ["train.zip:0.avi", "train.zip:2.avi", "val.zip:1.avi", "test.zip:3.avi"],
            {"train.zip/0.avi", "train.zip/2.avi"},
            {"val.zip/1.avi"},
        ),
    ],
)
def test_archives_and_folders_named_like_splits_are_these(tmp_path, films, archives, train, val):
    contents: dict[str, dict[str, bytes]] = {}
    for place in archives:
        archive, name = place.split(":")
        contents.setdefault(archive, {})[name] = films[int(name[-5])]
    for archive, files in contents.items():
        write(tmp_path / archive, files)
    assert [set(split) for split in named(WebDataset(str(tmp_path), **HERE))] == [train, val]


def test_other_archives_are_no_splits(tmp_path, films):
    for name, film in zip(("trains", "testify", "valley"), films):
        write(tmp_path / f"{name}.tar", {"0.avi": film})
    train, val = named(WebDataset(str(tmp_path), val_fraction=0.3, **HERE))
    assert len(train) + len(val) == 3 and train and val


def test_folders_in_archives_are_classes(tmp_path, films):
    files = {f"HMDB/{name}.avi": film for name, film in zip(("run/0", "run/1", "jump/0", "jump/1"), films)}
    write(tmp_path / "HMDB.zip", files)
    for argument, number in (("train_list", 0), ("val_list", 1)):
        (tmp_path / argument).write_text("".join(f"HMDB.zip/HMDB/{name}/{number}.avi\n" for name in ("run", "jump")))
    lists = {name: str(tmp_path / name) for name in ("train_list", "val_list")}
    train, val = named(WebDataset(str(tmp_path), **lists, **HERE))
    assert {**train, **val} == {f"HMDB.zip/{name}": name.split("/")[1] for name in files}


def test_lists_name_archives_and_members(tmp_path, films):
    write(tmp_path / "a.tar", {f"{number}.avi": film for number, film in enumerate(films)})
    (tmp_path / "train.txt").write_text("a.tar/3.avi\na.tar/1.avi\n")
    (tmp_path / "val.txt").write_text("a.tar/0.avi\n")
    lists = {"train_list": str(tmp_path / "train.txt"), "val_list": str(tmp_path / "val.txt")}
    assert list(map(list, named(WebDataset(str(tmp_path), **lists, **HERE)))) == [
        ["a.tar/3.avi", "a.tar/1.avi"],
        ["a.tar/0.avi"],
    ]
    (tmp_path / "val.txt").write_text("a.tar/1.avi\n")
    with pytest.raises(InvalidArgumentError, match=r"val_list .* shares 1 videos with .* a\.tar/1\.avi for one"):
        WebDataset(str(tmp_path), **lists, **HERE).prepare_data()
    (tmp_path / "val.txt").write_text("0.avi\n")
    with pytest.raises(
        InvalidArgumentError,
        match=r"val_list .*: names 1 videos that are in no archive, such as 0\.avi\. Name .* such as a\.tar/0\.avi\.",
    ):
        WebDataset(str(tmp_path), **lists, **HERE).prepare_data()


def test_copies_of_training_videos_are_not_validated_on(tmp_path, films, caplog):
    write(tmp_path / "train.tar", {"0.avi": films[0], "1.avi": films[1]})
    write(tmp_path / "val.tar", {"copy.avi": films[1], "own.avi": films[2]})
    with caplog.at_level(logging.WARNING):
        assert list(named(WebDataset(str(tmp_path), **HERE))[1]) == ["val.tar/own.avi"]
    assert (
        "1 validation videos are training videos, too, such as val.tar/copy.avi, which is train.tar/1.avi"
        in caplog.text
    )


def test_broken_members_are_named(tmp_path, films):
    write(tmp_path / "a.tar", {"0.avi": films[0], "1.avi": b"this is no video\n" * 50, "2.avi": b"", "3.avi": films[1]})
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[: whole.index(films[1]) + len(films[1]) // 2])
    checked = {video.path: video for video in WebDataset(str(tmp_path), **HERE).check(progress=False)}
    problems = {path.rsplit("/")[-1]: video.reason for path, video in checked.items() if video.status == "broken"}
    assert all(path.startswith(f"{tmp_path}/a.tar/") for path in checked) and len(checked) == 4
    assert set(problems) == {"1.avi", "2.avi", "3.avi"}
    assert "Invalid data" in problems["1.avi"] and problems["2.avi"] == "is empty (0 bytes)"
    assert problems["3.avi"] == "is cut: a.tar ends within it"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.tar.gz", gzip.compress(b""), r"a\.tar\.gz is compressed as a whole \(gzip\), .* Unpack it to a plain tar"),
        (
            "a.tar",
            b"\x28\xb5\x2f\xfd" * 9,
            r"a\.tar is compressed as a whole \(zstd\), .* such as with gunzip or unzstd",
        ),
        ("b/a.tar", b"!" * 999, r"b/a\.tar is no tar file \(.*\)\. Get it anew, or move it away\."),
        ("a.zip", b"!" * 999, r"a\.zip is no zip file \(.*\)\. Get it anew, or move it away\."),
        ("a.txt", b"!", r"there are no tar or zip files in it\. See data/README\.md for what is read\."),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(tmp_path, name, content, said):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidArgumentError, match=rf"^DataModule\.root {tmp_path}: {said}"):
        WebDataset(str(tmp_path), **HERE).prepare_data()


def test_archives_without_videos_are_said(tmp_path):
    write(tmp_path / "a.tar", {"0.json": json.dumps({"label": "a"}), ".hidden.mp4": b"!"})
    with pytest.raises(InvalidArgumentError, match="there are no videos in its archives"):
        WebDataset(str(tmp_path), **HERE).prepare_data()


def test_an_index_is_kept_and_follows_its_archives(tmp_path, films, caplog):
    write(tmp_path / "a.tar", {"0.avi": films[0], "1.avi": films[1]})
    with caplog.at_level(logging.INFO):
        WebDataset(str(tmp_path), **HERE).prepare_data()
        assert "indexing 2 of 2 videos" in caplog.text
        caplog.clear()
        WebDataset(str(tmp_path), **HERE).prepare_data()
        assert "indexing" not in caplog.text
    write(tmp_path / "a.tar", {"first.avi": films[2], "0.avi": films[1], "1.avi": films[3]})  # the same names elsewhere
    module = WebDataset(str(tmp_path), val_fraction=0.3, **HERE)
    assert all(video.status == "good" for video in module.check(progress=False))
    module.setup()
    assert len(module.labels()) == 3
