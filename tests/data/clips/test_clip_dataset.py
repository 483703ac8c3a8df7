import os

import numpy as np
import pytest
import torch
from PIL import Image

from pvdm_lightning.data.clips.clip_dataset import ClipDataset
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.data.index.build_index import load_or_build
from pvdm_lightning.data.index.probing import probe
from pvdm_lightning.data.index.video_info import DecodeError
from pvdm_lightning.data.videos import frame_folder
from pvdm_lightning.data.videos.array_videos import ArrayVideos
from pvdm_lightning.data.videos.source import ConcatVideos, IndexedVideos
from pvdm_lightning.data.videos.synthetic import SyntheticVideos
from pvdm_lightning.errors import InvalidArgumentError


class Numbered:
    """Videos whose pictures are filled with their frame's number, but for a mark at the left edge."""

    def __init__(self, lengths):
        self.lengths, self.labels = np.array(lengths), np.arange(len(lengths))
        self.problems: dict[int, str] = {}

    def name(self, index):
        return f"video {index}"

    def read(self, index, frames, resolution):
        assert frames == sorted(set(frames)) and frames[0] >= 0 and frames[-1] < self.lengths[index]
        clip = torch.tensor(frames, dtype=torch.uint8)[None, :, None, None].expand(3, -1, *resolution).clone()
        clip[..., 0] = 255
        return clip


def numbers(clip):
    return clip[0, :, 0, 1].tolist()


def test_a_validation_clip_is_centred():
    dataset = ClipDataset(Numbered([20, 4, 7]), Windows(4), (2, 3))
    assert [numbers(dataset[position]["clip"]) for position in range(3)] == [[8, 9, 10, 11], [0, 1, 2, 3], [1, 2, 3, 4]]


def test_short_videos_are_skipped_and_indices_stay():
    dataset = ClipDataset(Numbered([3, 9, 0, 5]), Windows(4), (2, 3))
    assert [int(dataset[position]["index"]) for position in range(len(dataset))] == [1, 3]
    assert [int(dataset[position]["label"]) for position in range(len(dataset))] == [1, 3]


@pytest.mark.parametrize(("stride", "hop"), [(1, None), (2, None), (1, 2), (3, 1)])
def test_pairs_are_one_hop_apart(stride, hop):
    windows = Windows(4, stride, hop, clips=2)
    dataset = ClipDataset(Numbered([40]), windows, (2, 3), random_start=True)
    starts = set()
    for epoch in range(40):
        sample = dataset[epoch, 0, 0]
        first, second = numbers(sample["previous"]), numbers(sample["clip"])
        assert sample["has_previous"] and np.diff(first).tolist() == [stride] * 3
        assert [b - a for a, b in zip(first, second)] == [windows.step] * 4
        starts.add(first[0])
    assert len(starts) > 10


def test_a_video_too_short_for_a_pair_gives_one_clip_flagged():
    dataset = ClipDataset(Numbered([7, 8]), Windows(4, clips=2), (2, 3))
    short, long = dataset[0], dataset[1]
    assert not short["has_previous"] and not short["previous"].any() and numbers(short["clip"]) == [1, 2, 3, 4]
    assert long["has_previous"] and numbers(long["previous"]) == [0, 1, 2, 3]
    assert {name: value.shape for name, value in short.items()} == {name: value.shape for name, value in long.items()}


def test_draws_follow_from_seed_epoch_and_video_alone():
    source = Numbered([200] * 6)
    make = lambda seed=0: ClipDataset(  # noqa: E731
        source, Windows(4), (2, 3), random_start=True, horizontal_flip=True, seed=seed
    )
    first, again = make(), make()
    keys = [(epoch, position, 0) for epoch in range(3) for position in range(6)]
    forwards = {key: first[key] for key in keys}
    for key in reversed(keys):
        assert torch.equal(again[key]["clip"], forwards[key]["clip"])
    starts = [numbers(sample["clip"])[0] for sample in forwards.values()]
    assert len(set(starts)) > 12, "other epochs and videos, other draws"
    assert [numbers(make(seed=1)[key]["clip"])[0] for key in keys] != starts


def test_starts_are_spread_over_the_video_and_half_the_samples_mirrored():
    dataset = ClipDataset(Numbered([11]), Windows(4), (2, 3), random_start=True, horizontal_flip=True)
    samples = [dataset[epoch, 0, 0]["clip"] for epoch in range(800)]
    counts = np.bincount([int(sample[0, 0, 0, 1]) for sample in samples], minlength=8)
    assert counts.min() > 60 and len(counts) == 8
    mirrored = sum(int(sample[0, 0, 0, -1]) == 255 for sample in samples)
    assert 320 < mirrored < 480


def test_both_clips_of_a_pair_are_mirrored_alike():
    dataset = ClipDataset(Numbered([40]), Windows(4, clips=2), (2, 3), random_start=True, horizontal_flip=True)
    for epoch in range(20):
        sample = dataset[epoch, 0, 0]
        assert (sample["clip"][0, 0, 0] == 255).tolist() == (sample["previous"][0, 0, 0] == 255).tolist()


def test_limited_samples_are_spread_over_the_set():
    assert ClipDataset(Numbered([9] * 100), Windows(4), (2, 3), max_samples=3).videos.tolist() == [0, 50, 99]


def test_joined_sources_follow_each_other():
    parts = SyntheticVideos(0, 3, 8, seed=0), SyntheticVideos(10, 2, 9, seed=0)
    joined = ConcatVideos(parts)
    assert joined.lengths.tolist() == [8, 8, 8, 9, 9]
    assert [joined.name(index).split()[-1] for index in range(5)] == ["0", "1", "2", "10", "11"]
    assert torch.equal(joined.read(4, [1], (8, 8)), parts[1].read(1, [1], (8, 8)))


def test_files_become_samples_and_a_vanished_one_an_error(playable, tmp_path):
    for name in ("h264.mp4", "b_frames.avi"):
        (tmp_path / name).write_bytes((playable / name).read_bytes())
    (tmp_path / "zero.avi").touch()
    index = load_or_build(tmp_path, ["h264.mp4", "zero.avi", "b_frames.avi"], probe, progress=False)
    source = IndexedVideos(index, [5, 6, 7])
    assert source.lengths.tolist() == [40, 0, 40] and source.problems == {1: "is empty (0 bytes)"}
    dataset = ClipDataset(source, Windows(8), (24, 24))
    sample = dataset[1]
    assert sample["clip"].shape == (3, 8, 24, 24) and sample["clip"].dtype == torch.uint8
    assert (int(sample["label"]), int(sample["index"])) == (7, 2)
    (tmp_path / "b_frames.avi").unlink()
    with pytest.raises(DecodeError, match="No such file"):
        dataset[1]


def test_stamps_change_when_a_file_is_written_again(playable, tmp_path):
    names = ["h264.mp4", "mpeg4.avi"]
    for name in names:
        (tmp_path / name).write_bytes((playable / name).read_bytes())
    (tmp_path / "clip").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "clip" / "0.png")
    np.save(tmp_path / "array.npy", np.zeros((2, 4, 4, 3), np.uint8))

    def sources():
        files = IndexedVideos(load_or_build(tmp_path, names, probe, progress=False))
        folders = IndexedVideos(load_or_build(tmp_path, ["clip"], frame_folder.probe, progress=False))
        return [files, folders, ArrayVideos(tmp_path, ["array.npy"]), ConcatVideos([files, folders])]

    def stamps():
        return [source.stamps() for source in sources()]

    first = stamps()
    assert stamps() == first and all(first)
    changes = {"mpeg4.avi": {0, 3}, "clip/0.png": {1, 3}, "array.npy": {2}}
    for name, changed in changes.items():
        before = stamps()
        os.utime(tmp_path / name, ns=(1, 1))
        assert {number for number, (one, other) in enumerate(zip(before, stamps())) if one != other} == changed


class Moving(Numbered):
    conditions = ("action",)

    def condition(self, index, frames, flip):
        return {"action": torch.tensor([[frame, -1.0 if flip else 1.0] for frame in frames])}


@pytest.mark.parametrize("clips", [1, 2])
def test_parts_of_a_condition_are_those_of_the_clip(clips):
    source = Moving([40, 5])  # the second one is too short for a pair
    dataset = ClipDataset(source, Windows(4, 2, clips=clips), (2, 3), random_start=True, horizontal_flip=True)
    seen = set()
    for epoch in range(8):
        sample = dataset[epoch, 0, 0]
        action, mirrored = sample["action"], int(sample["clip"][0, 0, 0, -1]) == 255
        assert action[:, 0].tolist() == sample["clip"][0, :, 0, 1].tolist()
        assert set(action[:, 1].tolist()) == {-1.0 if mirrored else 1.0}
        seen.add(mirrored)
    assert seen == {True, False}


def test_a_part_of_a_condition_has_a_name_of_its_own():
    source = Moving([40])
    source.conditions = ("label",)
    with pytest.raises(InvalidArgumentError, match=r"^VideoSource\.conditions label: names a part of the condition as"):
        ClipDataset(source, Windows(4), (2, 3))
