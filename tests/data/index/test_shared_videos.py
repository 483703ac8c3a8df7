import os
import shutil

import pytest

from pvdm_lightning.data.index.shared_videos import SharedVideo, shared_videos


def absolute(root, name):
    return str((root / name).absolute())


def through_parent(root, name):
    (root / "there").mkdir(exist_ok=True)
    return f"there/../{name}"


def link(root, name):
    (root / f"link_{name}").symlink_to(root / name)
    return f"link_{name}"


def linked_folder(root, name):
    (root / "linked").symlink_to(root)
    return f"linked/{name}"


def hard_link(root, name):
    """Of the file, or of each picture of a folder."""
    if (root / name).is_file():
        os.link(root / name, root / f"hard_{name}")
    else:
        shutil.copytree(root / name, root / f"hard_{name}", copy_function=os.link)
    return f"hard_{name}"


def copy(root, name):
    (shutil.copytree if (root / name).is_dir() else shutil.copy)(root / name, root / f"copy_{name}")
    return f"copy_{name}"


SPELLINGS = [absolute, through_parent, link, linked_folder, hard_link, copy]


@pytest.fixture(params=["file", "frames"])
def root(request, tmp_path):
    """Videos 0 to 3 of equal size, as files or folders of frames."""
    for number in range(4):
        content = bytes(70_000) + bytes([number]) + bytes(70_000)  # they differ in the middle alone
        if request.param == "file":
            (tmp_path / str(number)).write_bytes(content)
        else:
            (tmp_path / str(number)).mkdir()
            for frame in range(2):
                (tmp_path / str(number) / f"{frame}.png").write_bytes(content)
    return tmp_path


@pytest.mark.parametrize("respell", SPELLINGS)
def test_a_video_is_found_under_every_other_name(root, respell):
    other = respell(root, "2")
    assert shared_videos([root / "0", root / other], [root / "1", root / "2", root / "3"]) == [
        SharedVideo(1, 1, is_copy=respell is copy)
    ]


def test_others_are_not(root):
    (root / "empty").touch()
    (root / "also empty").touch()
    assert shared_videos([root / "0", root / "1", root / "empty"], [root / "2", root / "also empty"]) == []
    assert shared_videos([root / "no", root / "0"], [root / "neither"]) == [] == shared_videos([], [root / "0"])
    assert shared_videos([root / "a/../no"], [root / "no"]) == [SharedVideo(0, 0, is_copy=False)]
