"""What counts as a video in a folder or a list, and what is said of what does not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pvdm_lightning.data.output.writing import WRITERS, write_video
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.video_folder import VideoFolder, check_shared, open_both


def write(path, frames=3, seed=0, size=(16, 24)):
    path.parent.mkdir(parents=True, exist_ok=True)
    video = np.random.default_rng(seed).integers(0, 256, (3, frames, *size), dtype=np.uint8)
    write_video(torch.from_numpy(video), path, fps=8)


def counted(path, other=None):
    return VideoFolder.open(str(path), "measure_folders.real", other)


FORMATS = [extension for extension, _ in WRITERS.values()] + [".avi", ".mkv"]


@pytest.mark.parametrize("first", [".mp4", ".gif"])
@pytest.mark.parametrize("second", [".mp4", ".gif", ".npy", ""])
def test_a_stem_counts_once_whatever_its_suffixes(tmp_path, first, second):
    write(tmp_path / f"a/x{first}")
    write(tmp_path / f"b/x{first}", seed=1)  # the same name elsewhere is another video
    if second != first:
        write(tmp_path / f"a/x{second}")
    folder = counted(tmp_path)
    assert len(folder.readable) == 2 and sorted(folder.stems) == ["a/x", "b/x"]
    assert [one.count for one in folder.left_out] == ([] if second == first else [1])
    if second != first:
        (kept,) = (path for path, stem in zip(folder.paths(), folder.stems) if stem == "a/x")
        better = min(
            (first, second),
            key=["", ".npy", ".mp4", ".gif"].index if "" in (first, second) else [".npy", ".mp4", ".gif"].index,
        )
        assert kept.suffix == better


@pytest.mark.parametrize("broken", [".mp4", ".npy"])
def test_of_several_suffixes_the_one_that_can_be_read_counts(tmp_path, broken):
    (tmp_path / f"x{broken}").write_bytes(b"cut off")
    write(tmp_path / "x.gif")
    assert counted(tmp_path).paths() == [tmp_path / "x.gif"]


def test_classes_count_and_so_do_splits_which_is_said(tmp_path):
    for name in ("run/a", "run/b", "jump/a"):
        write(tmp_path / "classes" / f"{name}.npy")
        write(tmp_path / "splits" / "train" / f"{name}.npy")
    write(tmp_path / "splits" / "test" / "run/z.npy")
    assert len(counted(tmp_path / "classes").readable) == 3 and counted(tmp_path / "classes").notes == []
    assert counted(tmp_path / "splits").notes == ["real: the videos of its folders test and train all count."]


def test_what_is_left_out_is_recorded_with_reason_and_examples(tmp_path):
    write(tmp_path / "a.npy")
    write(tmp_path / "a.gif")
    np.save(tmp_path / "features.npy", np.zeros((4, 512), np.float32))
    Image.new("RGB", (8, 8)).save(tmp_path / "thumbnail.png")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    write(tmp_path / "samples/b.npy")
    record = counted(tmp_path, other=str(tmp_path / "samples")).record()
    assert {one["reason"]: (one["count"], one["examples"]) for one in record["left_out"]} == {
        "inside the other folder": (1, ["samples/b"]),
        "arrays of other things": (1, ["features.npy"]),
        "pictures beside videos": (1, ["."]),
        "broken": (1, ["broken.mp4"]),
        "copies in other formats": (1, ["a.gif"]),
    }
    assert record["videos"] == 1 and record["kinds"]["arrays"] == 1


def test_unequal_sizes_and_lengths_are_said(tmp_path):
    write(tmp_path / "a.npy", frames=3)
    write(tmp_path / "b.npy", frames=12, size=(32, 24))
    folder = counted(tmp_path)
    assert folder.summary().endswith(
        "2 videos of " + str(tmp_path) + " count (2 arrays): 3 to 12 frames, 16 x 24 to 32 x 24 (2 sizes)"
    )
    assert folder.record()["sizes"] == [[16, 24], [32, 24]] and folder.record()["frames"] == [3, 12]


def test_the_hash_of_a_list_follows_names_sizes_and_frames_alone(tmp_path):
    for where in ("one", "two"):
        for number in range(3):
            write(tmp_path / where / f"{number}.npy", seed=number)
            write(tmp_path / where / f"f{number}", seed=number)
    (tmp_path / "one.txt").write_text(
        "".join(f"one/{name}\n" for name in ("f2", "1.npy", "0.npy", "2.npy", "f0", "f1"))
    )
    same = counted(tmp_path / "one").list_hash()
    assert counted(tmp_path / "two").list_hash() == same == counted(tmp_path / "one.txt").list_hash()
    write(tmp_path / "two/3.npy")
    assert counted(tmp_path / "two").list_hash() != same
    (tmp_path / "two/3.npy").unlink()
    write(tmp_path / "two/2.npy", frames=4)
    assert counted(tmp_path / "two").list_hash() != same


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"a.npy\nmissing.npy\nb.mp4\n", "2 of the 3 videos that it lists are not there: missing.npy, b.mp4"),
        (b"list.txt\n", "lists list.txt, which is no video"),
        (b"\xff\xfe\n", "cannot be read (it is not UTF-8)"),
    ],
)
def test_bad_lists(tmp_path, content, problem):
    write(tmp_path / "a.npy")
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(InvalidArgumentError) as error:
        counted(tmp_path / "list.txt")
    assert problem in error.value.problem and error.value.argument == "measure_folders.real"


def test_lists_of_one_folder_share_no_video_or_are_refused(tmp_path):
    for number in range(4):
        write(tmp_path / f"{number}.npy", seed=number)
    for name, chosen in (("first", (0, 1)), ("last", (2, 3)), ("both", (1, 2))):
        (tmp_path / f"{name}.txt").write_text("".join(f"{number}.npy\n" for number in chosen))
    first, last, both = (counted(tmp_path / f"{name}.txt") for name in ("first", "last", "both"))
    assert check_shared(first, last, allowed=False) == []
    with pytest.raises(InvalidArgumentError, match="1 of its videos are among the real ones, too, such as 2.npy"):
        check_shared(last, both, allowed=False)
    assert not (tmp_path / ".pvdm_index.npz").exists()


def test_the_first_of_several_processes_says_what_both_sides_are(tmp_path, caplog):
    caplog.set_level("INFO")
    write(tmp_path / "real/x.npy")
    write(tmp_path / "generated/y.npy", seed=1)
    sides = str(tmp_path / "real"), str(tmp_path / "generated")
    said, notes = [], []
    for is_first in (False, False, True):
        notes.append(open_both(*sides, "measure_folders", is_first=is_first)[1])
        said.append([record.getMessage()[:12] for record in caplog.records])
        caplog.clear()
    assert said == [[], [], ["real: 1 vide", "generated: 1"]] and notes[0] == notes[2]


def save_npz(path, **arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


def moving(shape):
    """Videos [N T H W 3] whose neighbours in time are alike."""
    rng = np.random.default_rng(0)
    still = rng.integers(0, 200, (shape[0], 1, *shape[2:]))
    return (still + 2 * np.arange(shape[1])[None, :, None, None, None]).astype(np.uint8)


@pytest.mark.parametrize(
    ("axes", "order"),
    [((0, 1, 2, 3, 4), "NTHWC"), ((0, 1, 4, 2, 3), "NTCHW"), ((0, 4, 1, 2, 3), "NCTHW"), ((1, 0, 4, 2, 3), "TNCHW")],
)
@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_arrays_of_many_videos_in_any_certain_order_of_axes(tmp_path, axes, order, suffix):
    videos = moving((5, 9, 16, 24, 3))
    array = np.ascontiguousarray(videos.transpose(axes))
    if suffix == ".npz":
        save_npz(tmp_path / "all.npz", videos=array, index=np.arange(5))
    else:
        np.save(tmp_path / "all.npy", array)
    folder = counted(tmp_path)
    assert folder.stems == [f"all/{number}" for number in range(5)] and folder.sizes == [(16, 24)], order
    for number in range(5):
        found = folder.source.read(number, range(9), (16, 24)).permute(1, 2, 3, 0).numpy()
        assert np.array_equal(found, videos[number])
    assert folder.paths() == [tmp_path / f"all{suffix}"]
    assert folder.record()["kinds"] == {"arrays": 5}


def test_what_is_in_arrays_that_are_no_videos_or_uncertain(tmp_path):
    save_npz(tmp_path / "good.npz", videos=moving((2, 3, 8, 8, 3)))
    save_npz(tmp_path / "features.npz", a=np.zeros((4, 512), np.float32), b=np.zeros(3))
    np.save(tmp_path / "floats.npy", np.zeros((9, 16, 24, 3)))
    noise = np.random.default_rng(0).integers(0, 256, (12, 12, 16, 16), dtype=np.uint8)
    np.save(tmp_path / "uncertain.npy", noise)
    folder = counted(tmp_path)
    problems = {Path(folder.source.name(row)).name: problem for row, problem in folder.source.problems.items()}
    assert "is float64 [9, 16, 24, 3], not uint8 [T H W 3]" in problems["floats.npy"]
    assert "may be NTHW or TNHW" in problems["uncertain.npy"]
    (other,) = (one for one in folder.left_out if one.reason == "arrays of other things")
    assert other.examples == ["features.npz"] and "a is float32 [4, 512]" in other.note
    assert len(folder.readable) == 2
