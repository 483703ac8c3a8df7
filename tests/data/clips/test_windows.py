import itertools

import pytest

from pvdm_lightning.data.clips.windows import Windows

ALL = [
    Windows(frames, stride, hop, clips)
    for frames, stride, hop, clips in itertools.product((1, 4), (1, 3), (None, 1, 7), (1, 2))
]


@pytest.mark.parametrize("windows", ALL)
def test_every_window_lies_inside_the_video(windows):
    for length in range(60):
        for start in range(windows.num_starts(length)):
            frames = windows.clip_frames(start)
            if windows.is_pair(length):
                frames += windows.clip_frames(start + windows.step)
            assert min(frames) >= 0 and max(frames) < length


@pytest.mark.parametrize("windows", ALL)
def test_the_last_start_is_the_last_possible_one(windows):
    for length in range(windows.clip_span, 60):
        last = windows.num_starts(length) - 1 + (windows.step if windows.is_pair(length) else 0)
        assert windows.clip_frames(last)[-1] == length - 1


@pytest.mark.parametrize("windows", ALL)
def test_count_agrees_with_laying_out_windows_one_by_one(windows):
    for length in range(60):
        starts = range(0, max(length - windows.clip_span + 1, 0), windows.step)
        assert windows.count(length) == len(starts)


def test_the_second_clip_of_a_pair_goes_on_where_the_first_one_ended():
    windows = Windows(frames=4, stride=2, clips=2)
    assert windows.clip_frames(1) + windows.clip_frames(1 + windows.step) == list(range(1, 17, 2))


def test_a_video_too_short_for_a_pair_gives_single_clips():
    windows = Windows(frames=16, clips=2)
    assert [windows.num_starts(length) for length in (15, 16, 31, 32)] == [0, 1, 16, 1]
    assert [windows.is_pair(length) for length in (15, 16, 31, 32)] == [False, False, False, True]
