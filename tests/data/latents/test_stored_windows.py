import numpy as np
import pytest
import torch

from pvdm_lightning.data.clips.clip_dataset import ClipDataset
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.data.latents.stored_windows import StoredWindows, spread_starts
from pvdm_lightning.data.videos.synthetic import SyntheticVideos


def test_starts_are_spread_evenly():
    for num_starts in range(1, 30):
        assert spread_starts(num_starts, 1).tolist() == [(num_starts - 1) // 2]  # as validation centres its window
        assert spread_starts(num_starts, num_starts + 3).tolist() == list(range(num_starts))
        for count in range(2, num_starts + 1):
            starts = spread_starts(num_starts, count)
            gaps = np.diff([-1 - starts[0], *starts])
            assert len(starts) == count and starts[-1] < num_starts
            assert gaps[1:].max() - gaps[1:].min() <= 1 and gaps.min() >= 1
            assert abs(starts[0] - (num_starts - 1 - starts[-1])) <= 1  # the same room at both ends


@pytest.mark.parametrize(("frames_in_video", "pairs"), [(20, True), (5, False)])
def test_windows_are_those_of_the_data_set(frames_in_video, pairs):
    source = SyntheticVideos(0, 3, frames_in_video, 0)
    dataset = ClipDataset(source, Windows(4, clips=2), (8, 8), random_start=True)
    stored = StoredWindows(dataset, 2)
    assert len(stored) == 6 and stored.videos.tolist() == [0, 0, 1, 1, 2, 2]
    for position in range(6):
        sample = stored[0, position, 0]
        start, index = int(sample["start"]), int(sample["index"])
        assert bool(sample["has_previous"]) == pairs
        first = source.read(index, range(start, start + 4), (8, 8))
        assert torch.equal(sample["previous" if pairs else "clip"], first)
        if pairs:
            assert torch.equal(sample["clip"], source.read(index, range(start + 4, start + 8), (8, 8)))


def test_single_clips_say_that_nothing_is_before_them():
    sample = StoredWindows(ClipDataset(SyntheticVideos(0, 1, 9, 0), Windows(4), (8, 8)), 1)[0, 0, 0]
    assert not sample["has_previous"] and not sample["previous"].any()


def test_the_digest_tells_videos_apart():
    def digest(videos, frames, windows):
        return StoredWindows(ClipDataset(SyntheticVideos(0, videos, frames, 0), Windows(4), (8, 8)), windows).digest()

    assert digest(3, 12, 2) == digest(3, 12, 2)
    assert len({digest(3, 12, 2), digest(4, 12, 2), digest(3, 13, 2), digest(3, 12, 3)}) == 4
