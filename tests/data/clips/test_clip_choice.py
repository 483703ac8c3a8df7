"""Lists of clips, against a second computation of each choice from its definition, on drawn sets of videos."""

from collections import Counter

import numpy as np
import pytest

from pvdm_lightning.data.clips.clip_choice import choose_clips
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.errors import InvalidArgumentError

SETS = range(12)
CHOICES = ("random", "first", "centre", "every_window", "non_overlapping", "class_balanced", "sorted_prefix")


def drawn_set(number):
    """Some videos, broken and short ones among them, and the clips wanted of them."""
    rng = np.random.default_rng(number)
    count = int(rng.integers(3, 40))
    lengths = rng.integers(0, 60, count)
    lengths[0] = 60  # one is always long enough
    labels = rng.integers(-1, 4, count)
    labels[0] = 0
    names = [f"{rng.integers(10**6):06d}_{place}" for place in range(count)]
    windows = Windows(int(rng.integers(2, 8)), int(rng.integers(1, 5)))
    return lengths, labels, names, windows


def choose(number, choice, **options):
    lengths, labels, names, windows = drawn_set(number)
    chosen = choose_clips(lengths, labels, names.__getitem__, windows, choice=choice, seed=number, **options)
    return chosen, list(zip(chosen.videos.tolist(), chosen.starts.tolist()))


def holds(length, windows):
    return length >= (windows.frames - 1) * windows.stride + 1


def last_start(length, windows):
    """n - L s + s - 1: StyleGAN-V's last first frame."""
    return length - windows.frames * windows.stride + windows.stride - 1


def allowed(number, choice):
    """All clips that a choice may take, from its definition."""
    lengths, labels, _, windows = drawn_set(number)
    every = set()
    for video, length in enumerate(lengths.tolist()):
        if not holds(length, windows) or (choice == "class_balanced" and labels[video] < 0):
            continue
        last = last_start(length, windows)
        every |= {
            (video, start)
            for start in range(last + 1)
            if {
                "first": start == 0,
                "class_balanced": start == 0,
                "centre": start == last // 2,
                "non_overlapping": start % (windows.frames * windows.stride) == 0,
            }.get(choice, True)
        }
    return every


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("number", SETS)
def test_all_clips_of_a_choice(number, choice):
    lengths, labels, _, windows = drawn_set(number)
    chosen, clips = choose(number, choice)
    possible = allowed(number, choice)
    videos = {video for video, _ in possible}
    assert set(clips) <= possible and len(set(clips)) == len(clips) == len(chosen)
    if choice in ("first", "centre", "every_window", "non_overlapping"):
        assert set(clips) == possible
    elif choice == "class_balanced":
        sizes = Counter(labels[video] for video in videos)
        assert Counter(labels[video] for video, _ in clips) == dict.fromkeys(sizes, min(sizes.values()))
    else:
        assert {video for video, _ in clips} == videos and len(clips) == len(videos)
    assert chosen.usable == len(videos)
    if choice != "class_balanced":
        assert chosen.short == sum(length > 0 and not holds(length, windows) for length in lengths.tolist())


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("number", SETS)
def test_some_clips_of_a_choice(number, choice):
    """Fewer than there are: each once, as many as asked for; more: all of them, unless they may be reused."""
    _, labels, names, windows = drawn_set(number)
    possible = allowed(number, choice)
    most = len(possible if choice in ("every_window", "non_overlapping") else {video for video, _ in possible})
    for num in {1, (most + 1) // 2, most, most + 5}:
        chosen, clips = choose(number, choice, num=num)
        assert set(clips) <= possible and len(set(clips)) == len(clips)
        classes = {labels[video] for video, _ in possible}
        if choice == "class_balanced":
            share = -(-num // len(classes))
            sizes = Counter(labels[video] for video in {video for video, _ in possible})
            of_each = Counter(labels[video] for video, _ in clips)
            assert len(clips) == min(num, sum(min(size, share) for size in sizes.values()))
            assert all(of_each[label] <= share for label in classes)
            assert any("fewer than" in note for note in chosen.notes) == (min(sizes.values()) < share)
        else:
            assert len(clips) == min(num, most)
        if choice == "sorted_prefix":
            in_order = sorted({video for video, _ in possible}, key=lambda video: names[video])
            assert [video for video, _ in clips] == in_order[:num]
    reused, clips = choose(number, choice, num=2 * most + 1, reuse=True)
    assert len(clips) == 2 * most + 1 and set(clips) <= possible
    repeated = len(clips) - len(set(clips))
    said = [f"{repeated:,} of {len(clips):,} clips are in the list more than once."]
    assert list(reused.notes) == (said if repeated else [])


@pytest.mark.parametrize("choice", CHOICES)
def test_a_list_follows_from_its_seed(choice):
    lengths, labels, names, windows = drawn_set(3)
    lengths[:] = np.maximum(lengths, windows.clip_span + 20)
    lists = []
    for seed in (0, 0, 1, 2):
        chosen = choose_clips(lengths, labels, names.__getitem__, windows, choice=choice, num=6, seed=seed)
        lists.append((chosen.videos.tolist(), chosen.starts.tolist()))
    assert lists[0] == lists[1]
    assert lists[0] != lists[2] and lists[2] != lists[3]


def test_long_videos_weigh_more_only_where_every_window_counts():
    lengths, windows = np.array([19] * 50 + [199] * 50), Windows(10)
    labels = np.zeros(100, dtype=np.int64)
    shares = {}
    for choice in ("random", "every_window"):
        chosen = choose_clips(lengths, labels, str, windows, choice=choice, num=100)
        shares[choice] = float((chosen.videos >= 50).mean())
    assert shares["random"] == 0.5
    assert shares["every_window"] > 0.85  # 190 of 200 windows


def test_random_starts_are_uniform():
    """Over 0 .. n - L s + s - 1, both ends included."""
    lengths, windows = np.full(3000, 12), Windows(3, 3)
    for choice in ("random", "sorted_prefix"):
        chosen = choose_clips(lengths, np.zeros(3000), "{:04d}".format, windows, choice=choice)
        counts = np.bincount(chosen.starts, minlength=6)
        assert len(counts) == 6 and counts.min() > 400 and counts.max() < 600


def test_several_clips_of_each_video():
    lengths = np.array([30, 5, 30, 30])
    chosen = choose_clips(lengths, np.zeros(4), str, Windows(8), clips_per_video=4)
    assert Counter(chosen.videos.tolist()) == {0: 4, 2: 4, 3: 4}
    assert set(chosen.videos[:3]) == set(chosen.videos[3:6]) == {0, 2, 3}
    assert chosen.num_distinct > 8
    single = choose_clips(lengths, np.zeros(4), str, Windows(8))
    assert chosen.starts[:3].tolist() == single.starts.tolist()


def test_short_videos_may_be_left_out_although_they_hold_a_clip():
    """StyleGAN-V drops videos of fewer than L s frames, though a clip covers (L - 1) s + 1."""
    lengths, windows = np.array([121, 127, 128, 0]), Windows(16, 8)
    every = choose_clips(lengths, np.zeros(4), str, windows, choice="sorted_prefix")
    theirs = choose_clips(lengths, np.zeros(4), str, windows, choice="sorted_prefix", min_frames=128)
    assert (every.usable, every.short, every.needed) == (3, 0, 121)
    assert (theirs.videos.tolist(), theirs.usable, theirs.short, theirs.needed) == ([2], 1, 2, 128)


def test_no_clips():
    for choice in set(CHOICES) - {"class_balanced"}:
        chosen = choose_clips(np.array([3, 0]), np.zeros(2), str, Windows(4), choice=choice, num=5)
        assert (len(chosen), chosen.usable, chosen.short, chosen.num_videos) == (0, 0, 1, 0)


def test_classes_must_be_known():
    with pytest.raises(InvalidArgumentError, match=r"RealClips\.choice class_balanced: needs the classes of videos"):
        choose_clips(np.array([9, 9]), np.array([-1, -1]), str, Windows(4), choice="class_balanced")


def test_the_numbers_of_published_protocols():
    """Of a set as large as UCF-101: 21 videos a class for 2,048 (FAR), the first 2,048 by name (StyleGAN-V)."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(101), 131)
    lengths = rng.integers(40, 300, len(labels))
    names = [f"v_{label:03d}_{place:05d}" for place, label in enumerate(labels)]
    balanced = choose_clips(lengths, labels, names.__getitem__, Windows(16), choice="class_balanced", num=2048)
    counts = np.bincount(labels[balanced.videos])
    assert len(balanced) == 2048 and counts.max() == 21 and (21 - counts).sum() == 101 * 21 - 2048
    assert not balanced.starts.any()
    prefix = choose_clips(lengths, labels, names.__getitem__, Windows(16), choice="sorted_prefix", num=2048)
    assert prefix.videos.tolist() == list(range(2048)) and len(np.unique(labels[prefix.videos])) == 16
