import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.data.videos.array_videos import ArrayVideos
from pvdm_lightning.data.videos.contexts import VideosWithContext
from pvdm_lightning.data.videos.resampled import ResampledVideos
from pvdm_lightning.data.videos.shots import Shots, VideoShots
from pvdm_lightning.data.videos.source import ConcatVideos
from pvdm_lightning.data.videos.synthetic import SyntheticVideos
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.clip_options import FramePreparation, GeneratedClips, RealClips
from pvdm_lightning.evaluation.features import ClipFeatures
from pvdm_lightning.evaluation.measured_clips import MeasuredClips
from pvdm_lightning.evaluation.real_features import cached_path
from pvdm_lightning.evaluation.video_folder import ChosenVideos


def measured(source, preparation=None, **options):
    return MeasuredClips.real(source, Windows(4), (8, 8), RealClips(**options), preparation or FramePreparation())


def test_a_fingerprint_is_the_videos_and_all_that_shapes_their_pixels(tmp_path):
    def of(source, **options):
        return measured(source, **options).record()["fingerprint"]

    first = SyntheticVideos(0, 4, 16, seed=0)
    assert of(first) == of(SyntheticVideos(0, 4, 16, seed=0))
    others = [SyntheticVideos(1, 4, 16, 0), SyntheticVideos(0, 5, 16, 0), SyntheticVideos(0, 4, 17, 0)]
    others += [SyntheticVideos(0, 4, 16, seed=1), ConcatVideos([first, first])]
    changed = [{"choice": "first"}, {"seed": 1}, {"num": 3}, {"preparation": FramePreparation(codec="jpeg75")}]
    hashes = {of(first), *map(of, others), *(of(first, **options) for options in changed)}
    assert len(hashes) == 1 + len(others) + len(changed)

    def save(name, pixel):
        np.save(tmp_path / name, np.full((6, 8, 8, 3), pixel, dtype=np.uint8))
        return of(ArrayVideos(tmp_path, ["a.npy", "b.npy"][: 1 if name == "a.npy" else 2]))

    assert len({save("a.npy", 0), save("a.npy", 1), save("b.npy", 0), save("b.npy", 1)}) == 4


class Filmed:
    """A source of videos of so many frames per second, which are all alike."""

    labels = np.full(4, -1)

    def __init__(self, folder, fps=24.0, frames=400):
        self.folder, self.lengths, self.fps, self.problems = folder, np.full(4, frames), np.full(4, fps), {}
        for index in range(4):
            (folder / f"{index}.mp4").write_bytes(bytes([index]))

    def name(self, index):
        return str(self.folder / f"{index}.mp4")

    def stamps(self):
        return b""

    def read(self, index, frames, resolution):
        return torch.zeros(3, len(frames), *resolution, dtype=torch.uint8)


AROUND = {
    "nothing": lambda source: source,
    "a choice of videos": lambda source: ChosenVideos(source, [0, 1, 2, 3]),
    "a second source": lambda source: ConcatVideos([source]),
    "shots": lambda source: Shots(
        source, {source.name(i): VideoShots(int(n), [(0, int(n) - 1)]) for i, n in enumerate(source.lengths)}, "cuts"
    ),
    "contexts": lambda source: VideosWithContext(source, [source.name(index) for index in range(4)]),
}
rates = st.sampled_from([None, 1.0, 8.0, 12.5, 16.0, 24.0, 30000 / 1001, 48.0])


@pytest.mark.parametrize("around", AROUND)
@settings(deadline=None, max_examples=30)
@given(one=rates, other=rates, choice=st.sampled_from(["first", "random", "centre"]), stride=st.integers(1, 2))
def test_clips_at_two_rates_are_never_the_same_ones(around, one, other, choice, stride):
    """They have the same files, and often the same frame numbers and pixels; a rate may also be that of the videos."""
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for rate in (one, other):
            source = Filmed(Path(folder))
            source = AROUND[around](source if rate is None else ResampledVideos(source, rate))
            windows, options = Windows(4, stride), RealClips(choice=choice)
            found.append(MeasuredClips.real(source, windows, (8, 8), options, FramePreparation()))
        ids, records = [set(clips.clip_ids()) for clips in found], [clips.record() for clips in found]
        lists = [ClipFeatures(torch.zeros(4, 1), clips.clip_ids()).list_hash for clips in found]
        caches = [cached_path({"clips": record | {"fingerprint": ""}}) for record in records]
        same = (
            ids[0] == ids[1],
            not ids[0].isdisjoint(ids[1]),
            lists[0] == lists[1],
            found[0].list_hash() == found[1].list_hash(),
            records[0] == records[1],
            caches[0] == caches[1],
        )
        assert same == (one == other,) * len(same)
        assert [record.get("fps") for record in records] == [one, other]


@pytest.mark.parametrize(
    "options, count, notes",
    [
        ({}, 5, ["2,048 are usual, 5 are measured: there are no more."]),
        ({"num": "all"}, 5, []),
        ({"num": 3}, 3, []),
        ({"num": 7}, 5, ["7 were asked for, 5 are measured: there are no more."]),
        ({"num": 7, "clips_per_video": 2}, 7, ["they are of 5 videos."]),
        ({"num": 7, "choice": "first", "reuse": True}, 7, ["2 of 7 clips are in the list more than once."]),
    ],
)
def test_numbers_asked_for_and_used(options, count, notes):
    clips = measured(SyntheticVideos(0, 5, 16, seed=0), **options)
    record = clips.record()
    assert (record["count"], record["num"]) == (count, options.get("num", "2048 or all"))
    assert record["videos"] == min(count, 5) and record["choice"] == options.get("choice", "random")
    assert [note for note in clips.notes() if "they are of" not in note or "clips_per_video" in options] == [
        f"real clips of 4 frames: {note}" for note in notes
    ]


def test_defaults_of_reconstructions():
    source = SyntheticVideos(0, 5, 15, seed=0)
    clips = MeasuredClips.real(source, Windows(4), (8, 8), RealClips(), FramePreparation(), reconstructions=True)
    assert clips.record()["choice"] == "centre" and clips.record()["num"] == "all"
    assert sorted(clips.clips()) == [(source.name(number), 5) for number in range(5)]
    assert clips.notes() == []


def test_clips_of_generated_videos():
    source = SyntheticVideos(0, 5, 15, seed=0)
    options = GeneratedClips(num=3, stride=4)
    clips = MeasuredClips.generated(source, 4, (8, 8), options, FramePreparation())
    assert len(clips) == 3 and {start for _, start in clips.clips()} == {0}
    assert clips.dataset.windows == Windows(4, 4)
    assert len(MeasuredClips.generated(source, 5, (8, 8), options, FramePreparation())) == 0  # 17 of 15 frames


def test_the_hash_of_a_list_does_not_depend_on_where_it_lies(tmp_path):
    hashes = []
    for folder in ("here", "there/below"):
        (tmp_path / folder).mkdir(parents=True)
        names = [f"{name}.npy" for name in "abcd"]
        for name in names:
            np.save(tmp_path / folder / name, np.zeros((9, 8, 8, 3), dtype=np.uint8))
        hashes.append([measured(ArrayVideos(tmp_path / folder, names), seed=seed).list_hash() for seed in (0, 1)])
    assert hashes[0] == hashes[1] and hashes[0][0] != hashes[0][1]


def test_the_hash_of_a_list_does_not_depend_on_its_order():
    source = SyntheticVideos(0, 5, 15, seed=0)
    first, other = (measured(source, choice="first", seed=seed) for seed in (0, 1))
    assert first.clips() != other.clips() and first.list_hash() == other.list_hash()
    assert measured(source, choice="first", num=4).list_hash() != first.list_hash()


def test_generated_clips_may_have_a_codec_of_their_own():
    source, of_both = SyntheticVideos(0, 3, 8, seed=0), FramePreparation(codec="jpeg75")
    records = [
        MeasuredClips.generated(source, 4, (8, 8), GeneratedClips(codec=codec), of_both).record()
        for codec in (None, "none")
    ]
    assert [record["preparation"]["codec"] for record in records] == ["jpeg75", "none"]


def test_classes_are_folders_where_none_is_known(tmp_path):
    names = [f"{kind}/{number}.npy" for kind in "ab" for number in range(3)]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.save(tmp_path / name, np.zeros((9, 8, 8, 3), dtype=np.uint8))
    clips = measured(ArrayVideos(tmp_path, names), choice="class_balanced", num=4).clips()
    assert sorted(Path(name).parent.name for name, _ in clips) == ["a", "a", "b", "b"]
    with pytest.raises(InvalidArgumentError, match="needs the classes of videos"):
        measured(ArrayVideos(tmp_path, names[:3]), choice="class_balanced", num=2)
