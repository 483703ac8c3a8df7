"""No clip across a cut: whatever the shots, the windows and the frames per second."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pvdm_lightning.data.clips.clip_dataset import ClipDataset
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.data.datamodules.frame_folder import FrameFolder
from pvdm_lightning.data.videos.resampled import ResampledVideos
from pvdm_lightning.data.videos.shots import Shots, VideoShots, read_shots, write_shots
from pvdm_lightning.errors import InvalidArgumentError


class Numbered:
    """Videos whose pixels tell video and frame; video 1 is broken, and the last one has uneven times."""

    def __init__(self, lengths):
        self.lengths, self.problems = np.array(lengths), {1: "is broken"}
        self.labels, self.fps = np.arange(len(lengths)), np.full(len(lengths), 10.0)

    def name(self, index):
        return f"/root/{index}"

    def key(self, index):
        return str(index)

    def stamps(self):
        return b"stamps"

    def frame_times(self, index):
        return None if index < len(self.lengths) - 1 else np.cumsum(1 + np.arange(self.lengths[index]) % 3) * 0.05

    def read(self, index, frames, resolution):
        pixels = torch.tensor([[index, frame, 0] for frame in frames], dtype=torch.uint8).T
        return pixels[:, :, None, None].expand(3, len(frames), *resolution)


@st.composite
def videos_with_shots(draw):
    shots = {}
    lengths = [draw(st.integers(12, 40)), 0, draw(st.integers(12, 40)), draw(st.integers(20, 40))]
    for index, length in enumerate(lengths):
        edges = sorted(draw(st.sets(st.integers(1, max(length - 1, 1)), max_size=4)))
        skip = draw(st.integers(0, 2))  # frames of gradual transitions
        pairs = [(first, last - 1 - skip) for first, last in zip([0, *edges], [*edges, length])]
        shots[str(index)] = VideoShots(length, [(first, last) for first, last in pairs if first <= last])
    return Numbered(lengths), shots


@given(videos_with_shots(), st.sampled_from([None, 4, 7.5, 10]), st.integers(1, 5), st.booleans(), st.data())
@settings(max_examples=80, deadline=None)
def test_no_clip_crosses_a_cut(given_videos, fps, frames, pairs, data):
    source, shots = given_videos
    cut = Shots(source, shots, "cuts.json")
    whole = cut if fps is None else ResampledVideos(cut, fps)
    dataset = ClipDataset(whole, Windows(frames, clips=1 + pairs), (2, 2), random_start=True)
    for position in range(len(dataset)):
        sample = dataset[data.draw(st.integers(0, 5)), position, 0]
        clips = [sample["clip"]] + ([sample["previous"]] if pairs and sample["has_previous"] else [])
        seen = torch.cat([clip[:2, :, 0, 0] for clip in clips], dim=1)
        assert len(set(seen[0].tolist())) == 1
        (shot,) = (s for s in shots[str(int(seen[0, 0]))].shots if s[0] <= seen[1].min() and seen[1].max() <= s[1])
        assert int(sample["label"]) == int(seen[0, 0])


def test_names_keys_and_broken_videos():
    source = Numbered([12, 0, 12, 20])
    shots = {"0": VideoShots(12, [(0, 5), (6, 11)]), "2": VideoShots(12, [(0, 11)]), "3": VideoShots(20, [(3, 8)])}
    cut = Shots(source, shots, "cuts.json")
    names = [cut.name(row) for row in range(len(cut.lengths))]
    assert names == [
        "/root/0, frames 0 to 5",
        "/root/0, frames 6 to 11",
        "/root/1",
        "/root/2",
        "/root/3, frames 3 to 8",
    ]
    assert [cut.key(row) for row in range(5)] == ["0", "0", "1", "2", "3"] and cut.labels.tolist() == [0, 0, 1, 2, 3]
    assert cut.problems == {2: "is broken"} and cut.lengths.tolist() == [6, 6, 0, 12, 6]
    assert cut.file(1) == "/root/0" and cut.summary() == "4 shots in 3 videos"
    assert cut.stamps() != Shots(source, {**shots, "2": VideoShots(12, [(0, 5), (6, 11)])}, "x").stamps()


def test_shots_of_other_videos_are_refused():
    source = Numbered([12, 0, 12, 20])
    with pytest.raises(InvalidArgumentError, match="cuts c.json: does not have 3 of the videos, such as 0"):
        Shots(source, {}, "c.json")
    shots = {str(index): VideoShots(12, [(0, 11)]) for index in (0, 2, 3)}
    with pytest.raises(InvalidArgumentError, match="was made of other frames of 1 of the videos, such as 3"):
        Shots(source, shots, "c.json")


def test_files_come_back_and_those_of_strangers_are_a_line(tmp_path):
    path = tmp_path / "cuts.json"
    shots = {"a/é.mp4": VideoShots(9, [(0, 3), (5, 8)]), "b": VideoShots(2, [])}
    write_shots(path, shots, "by hand")
    assert read_shots(path, "x") == shots and json.loads(path.read_text())["found_by"] == "by hand"
    for entry in (
        [9],
        [9, [[0, 9]]],
        [9, [[3, 2]]],
        [9, [[0, 4], [4, 8]]],
        [9, [[True, 2]]],
        [9.5, []],
        {},
        None,
        "ab",
    ):
        path.write_text(json.dumps({"format": 1, "videos": {"a": entry}}))
        with pytest.raises(InvalidArgumentError, match="DataModule.cuts .*cannot be read"):
            read_shots(path, "DataModule.cuts")
    for content in (b"", b"[" * 100_000, b"[]", b'{"format": 2}', b'{"format": 1, "videos": 3}'):
        path.write_bytes(content)
        with pytest.raises(InvalidArgumentError, match="cannot be read"):
            read_shots(path, "DataModule.cuts")


def test_data_module(tmp_path, frame_folder_writer):
    root = tmp_path / "frames"
    for number in range(4):
        frame_folder_writer(root / str(number), 12)
    options = {"frames": 4, "resolution": 16, "clips_per_sample": 1, "num_workers": 0}
    data = FrameFolder(str(root), **options)
    found = data.find_shots(lambda video: [(0, 6), (7, video.shape[1] - 1)], (27, 48))
    write_shots(tmp_path / "cuts.json", found, "by hand")
    cut = FrameFolder(str(root), cuts=str(tmp_path / "cuts.json"), **options)
    cut.setup()
    lengths = [length for split in ("train", "val") for length in cut.clips(split).source.lengths.tolist()]
    assert sorted(lengths) == [5] * 4 + [7] * 4
    assert len(cut.check(progress=False)) == 4 and len(cut.look_at_videos().videos) == 4
