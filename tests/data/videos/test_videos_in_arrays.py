import pickle

import numpy as np
import pytest
import torch

from pvdm_lightning.data.index.video_info import DecodeError
from pvdm_lightning.data.videos.videos_in_arrays import (
    VideosInArrays,
    find_value_range,
    find_video_arrays,
    summarise_arrays,
    to_uint8,
)
from pvdm_lightning.errors import InvalidArgumentError

RNG = np.random.default_rng(0)
VIDEOS = RNG.integers(0, 256, (4, 6, 16, 20, 3), np.uint8)


def source_of(root, files, axes="NTHWC", value_range=None):
    arrays, _ = find_video_arrays(root, files, axes, None)
    chosen = [(which, number) for which, array in enumerate(arrays) for number in range(array.num_videos)]
    return VideosInArrays(root, arrays, chosen, value_range or find_value_range(arrays))


def test_videos_of_an_array_are_read_by_number(tmp_path):
    np.save(tmp_path / "a.npy", VIDEOS)
    np.savez(tmp_path / "b.npz", videos=VIDEOS[:1], index=np.zeros(1))
    source = pickle.loads(pickle.dumps(source_of(tmp_path, ["a.npy", "b.npz"])))  # as it goes to workers
    assert source.lengths.tolist() == [6] * 5 and not source.problems
    assert [source.key(row) for row in (0, 3, 4)] == ["a.npy[0]", "a.npy[3]", "b.npz/videos[0]"]
    assert source.name(3) == str(tmp_path / "a.npy[3]") and source.file(3) == str(tmp_path / "a.npy")
    clip = source.read(3, [1, 5], (16, 20))
    assert torch.equal(clip, torch.from_numpy(VIDEOS[3, [1, 5]]).permute(3, 0, 1, 2))


def test_gray_becomes_three_equal_colours(tmp_path):
    np.save(tmp_path / "a.npy", VIDEOS[..., 0].transpose(1, 0, 2, 3))
    clip = source_of(tmp_path, ["a.npy"], "TNHW").read(2, [4], (16, 20))
    assert all(torch.equal(clip[c, 0], torch.from_numpy(VIDEOS[2, 4, :, :, 0])) for c in range(3))


@pytest.mark.parametrize("low", [0.0, -1.0])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_range_of_floats_is_found(tmp_path, low, dtype):
    floats = VIDEOS.astype(np.float64) / 255 * (1 - low) + low
    np.save(tmp_path / "a.npy", floats.astype(dtype))
    source = source_of(tmp_path, ["a.npy"])
    assert source.value_range == (low, 1.0)
    assert torch.equal(source.read(1, [0], (16, 20))[:, 0], torch.from_numpy(VIDEOS[1, 0]).permute(2, 0, 1))


def test_another_range_of_floats_is_asked_for(tmp_path):
    np.save(tmp_path / "a.npy", VIDEOS.astype(np.float32))
    with pytest.raises(
        InvalidArgumentError, match=r"^DataModule\.value_range None: is needed: .* from 0 to 255, as in a\.npy"
    ):
        source_of(tmp_path, ["a.npy"])
    source = source_of(tmp_path, ["a.npy"], value_range=(0.0, 255.0))
    assert torch.equal(source.read(1, [0], (16, 20))[:, 0], torch.from_numpy(VIDEOS[1, 0]).permute(2, 0, 1))


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5, 1.2])
def test_values_beyond_the_range_are_a_broken_video(tmp_path, value):
    floats = VIDEOS.astype(np.float32) / 255
    floats[2, 3, 4, 5, 1] = value
    np.save(tmp_path / "a.npy", floats)
    source = source_of(tmp_path, ["a.npy"], value_range=(0.0, 1.0))
    with pytest.raises(DecodeError, match=r"frame 3 has values from .* beyond the range \[0, 1\]"):
        source.read(2, [3], (16, 20))
    checked = source.check(progress=False)
    assert [video.status for video in checked] == ["good", "good", "broken", "good"]
    assert checked[2].reason.startswith("frame 3 has values from") and checked[0].codec == "float32 NTHWC"
    assert (checked[0].height, checked[0].width, checked[0].frames) == (16, 20, 6)


def test_values_a_little_beyond_are_cut():
    picture = np.array([[[-0.005], [1.005]]])
    assert to_uint8(picture, (0.0, 1.0))[0, :, 0].tolist() == [0, 255]


def test_stamps_change_with_what_is_read(tmp_path):
    np.save(tmp_path / "a.npy", VIDEOS[:, :4, :4])
    stamps = {source_of(tmp_path, ["a.npy"], axes).stamps() for axes in ("NTHWC", "TNHWC")}
    stamps |= {source_of(tmp_path, ["a.npy"], value_range=value_range).stamps() for value_range in ((0, 1), (0, 2))}
    np.save(tmp_path / "a.npy", VIDEOS[:, :4, :5])
    stamps.add(source_of(tmp_path, ["a.npy"]).stamps())
    assert len(stamps) == 5


def test_other_arrays_are_no_videos(tmp_path):
    np.save(tmp_path / "features.npy", np.zeros((16, 512), np.float32))
    np.save(tmp_path / "poses.npy", np.zeros((16, 17, 4, 2), np.float32))
    np.savez(tmp_path / "video.npz", video=VIDEOS[0], poses=np.zeros((6, 17, 3)))
    np.savez(tmp_path / "empty.npz")
    arrays, others = find_video_arrays(tmp_path, ["empty.npz", "features.npy", "poses.npy", "video.npz"], None, None)
    assert [(array.name, array.axes) for array in arrays] == [("video.npz", "THWC")]
    assert others == [
        "empty.npz: has no arrays of numbers",
        "features.npy: it is float32 [16, 512]",
        "poses.npy: it is float32 [16, 17, 4, 2]",
    ]
    assert summarise_arrays(arrays) == [
        "1 arrays of 1 videos have the axes THWC in uint8, colours, such as video.npz with [6, 16, 20, 3]"
    ]


def test_arrays_of_other_types_and_broken_files_are_broken_videos(tmp_path):
    np.save(tmp_path / "numbers.npy", VIDEOS.astype(np.int64))
    (tmp_path / "text.npz").write_text("no archive")
    source = source_of(tmp_path, ["numbers.npy", "text.npz"])
    assert source.lengths.tolist() == [0, 0]
    assert source.problems == {
        0: "is int64 [4, 6, 16, 20, 3], not uint8 or floating point",
        1: "File is not a zip file",
    }
    assert [video.status for video in source.check(progress=False)] == ["broken", "broken"]
    with pytest.raises(DecodeError, match="is int64"):
        source.read(0, [0], (16, 20))


def test_orders_that_are_not_certain_are_asked_for(tmp_path):
    np.save(tmp_path / "a.npy", VIDEOS)  # noise
    message = (
        r"^DataModule\.axes None: is needed: a\.npy is uint8 \[4, 6, 16, 20, 3\], which may be NTHWC or TNHWC\. Give"
    )
    with pytest.raises(InvalidArgumentError, match=message):
        find_video_arrays(tmp_path, ["a.npy"], None, None)


def test_one_array_of_a_file_may_be_chosen(tmp_path):
    np.savez(tmp_path / "a.npz", left=VIDEOS[0], right=VIDEOS[1])
    assert [a.name for a in find_video_arrays(tmp_path, ["a.npz"], None, None)[0]] == ["a.npz/left", "a.npz/right"]
    assert [a.name for a in find_video_arrays(tmp_path, ["a.npz"], None, "right")[0]] == ["a.npz"]


def test_labels_go_through_the_videos_of_a_file(tmp_path):
    np.savez(tmp_path / "a.npz", one=VIDEOS[:1], other=VIDEOS[:3], labels=np.array(["a", "b", "c", "d"]))
    arrays, _ = find_video_arrays(tmp_path, ["a.npz"], "NTHWC", None)
    assert [array.labels for array in arrays] == [["a"], ["b", "c", "d"]]


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (np.arange(3), "labels has 3 entries for 4 videos"),
        (np.zeros((4, 10)), r"labels is float64 \[4, 10\], not a whole"),
    ],
)
def test_labels_that_do_not_fit(tmp_path, labels, problem):
    np.savez(tmp_path / "a.npz", videos=VIDEOS, labels=labels)
    with pytest.raises(InvalidArgumentError, match=rf"^DataModule\.root .*: a\.npz: {problem}"):
        find_video_arrays(tmp_path, ["a.npz"], "NTHWC", None)


def test_hdf5_claims_are_no_more_than_the_file(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", (2**40, 2**20, 64, 64), np.uint8, chunks=(1, 1, 64, 64))
    (array,), _ = find_video_arrays(tmp_path, ["a.h5"], "NTHW", None)
    assert array.problem == f"claims {2**60:,} pictures, more than the file has bytes" and array.num_videos == 1
