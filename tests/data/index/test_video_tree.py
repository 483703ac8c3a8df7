import pytest

from pvdm_lightning.data.index.video_tree import (
    NO_DATA,
    find_array_files,
    find_frame_folders,
    find_videos,
    hold_out,
    read_list,
    split_by_folders,
    split_folders,
    top_folders,
)
from pvdm_lightning.errors import InvalidArgumentError


def test_videos_are_found_anywhere_and_strays_are_not(tmp_path):
    for name in ("b/2.MP4", "b/c/1.avi", "a.webm", "._a.webm", "notes.txt", "b/._2.MP4", ".hidden/x.avi", "é ü.mov"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.avi").mkdir()
    assert find_videos(tmp_path) == ["a.webm", "b/2.MP4", "b/c/1.avi", "é ü.mov"]


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "one.avi").touch()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "back").symlink_to(tmp_path / "root")
    assert find_videos(tmp_path / "root") == ["linked/one.avi"]


@pytest.mark.parametrize("name", sorted({*NO_DATA, "#Recycle", "$RECYCLE.BIN", "@eaDir", "@Recycle", ".Trash-1000"}))
def test_deleted_videos_and_thumbnails_are_no_data(tmp_path, name):
    for folder in (tmp_path / "a", tmp_path / "b", tmp_path / name, tmp_path / "a" / name / "deeper"):
        folder.mkdir(parents=True)
        for file in ("1.mp4", "1.png", "1.npy"):
            (folder / file).touch()
    assert find_videos(tmp_path) == ["a/1.mp4", "b/1.mp4"] and top_folders(find_videos(tmp_path)) == ["a", "b"]
    assert find_frame_folders(tmp_path) == ["a", "b"] and find_array_files(tmp_path, (".npy",)) == [
        "a/1.npy",
        "b/1.npy",
    ]
    assert find_videos(tmp_path / name) == ["1.mp4"]  # who names it wants it


@pytest.mark.parametrize("name", ["recycling", "@someone", "#cats", "$5", "trash", "temporary"])
def test_classes_that_only_look_like_them_stay(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "1.mp4").touch()
    assert find_videos(tmp_path) == [f"{name}/1.mp4"]


def test_frame_folders_are_those_with_pictures(tmp_path):
    for name in ("x/clip1/0.png", "x/clip2/0.JPG", "x/._0.png", "y/readme.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert find_frame_folders(tmp_path) == ["x/clip1", "x/clip2"]


@pytest.mark.parametrize("fraction", [0.001, 0.1, 0.5, 0.999])
@pytest.mark.parametrize("number", [2, 3, 10, 1000])
def test_both_sides_have_videos_and_share_none(number, fraction):
    names = [f"class{n % 3}/video{n}.avi" for n in range(number)]
    train, val = hold_out(names, fraction)
    assert sorted(train + val) == sorted(names) and train and val
    if number == 1000:
        assert abs(len(val) / number - fraction) < 0.05


def test_new_videos_do_not_move_the_others():
    names = [f"{n}.avi" for n in range(200)]
    _, before = hold_out(names, 0.2)
    _, after = hold_out([*names, *(f"new{n}.avi" for n in range(100))], 0.2)
    assert set(before) == set(after) & set(names)


def test_a_single_video_is_on_both_sides():
    assert hold_out(["a.avi"], 0.1) == (["a.avi"], ["a.avi"])


def test_several_top_level_folders_tell_videos_apart():
    assert top_folders(["b/1.avi", "a/x/2.avi", "3.avi"]) == ["a", "b"]
    assert top_folders(["only/1.avi"]) == []


@pytest.mark.parametrize(
    ("folders", "chosen"),
    [
        (("train", "val"), "val"),
        (("Train", "TEST"), "TEST"),
        (("training", "test", "validation"), "validation"),
        (("train", "valid"), "valid"),
    ],
)
def test_folders_of_splits_part_the_videos(folders, chosen):
    names = [f"{folder}/a/{number}.avi" for folder in folders for number in range(2)]
    split = split_by_folders(names)
    assert split == (names[:2], [name for name in names if name.startswith(f"{chosen}/")])
    assert set(split_folders(names)) == set(folders)


@pytest.mark.parametrize("names", [["train/1.avi", "3.avi", "val/1.avi"], ["train/1.avi", "cats/1.avi"], ["val/1.avi"]])
def test_other_folders_are_none_of_splits(names):
    assert split_folders(names) == {} and split_by_folders(names) is None


def test_a_training_folder_alone_is_parted_by_paths():
    assert split_folders(["train/a/1.avi"]) == {"train": "train"} and split_by_folders(["train/a/1.avi"]) is None


def test_lists_are_read_whatever_the_line_ends(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfa/1.avi\r\n\r\n ./b 2.avi \r\n")
    assert read_list("train_list", str(tmp_path / "list.txt")) == ["a/1.avi", "b 2.avi"]
    (tmp_path / "blank.txt").write_text("\n\n")
    with pytest.raises(
        InvalidArgumentError, match=r"^DataModule\.val_list .*blank\.txt: is empty\. Give one path a line"
    ):
        read_list("val_list", str(tmp_path / "blank.txt"))
    (tmp_path / "latin.txt").write_bytes("é.avi\n".encode("latin-1"))
    with pytest.raises(
        InvalidArgumentError, match=r"^DataModule\.val_list .*latin\.txt: cannot be read \(it is not UTF-8\)\. Give"
    ):
        read_list("val_list", str(tmp_path / "latin.txt"))
    with pytest.raises(InvalidArgumentError, match=r"^DataModule\.val_list .*none\.txt: cannot be read \(No such file"):
        read_list("val_list", str(tmp_path / "none.txt"))
