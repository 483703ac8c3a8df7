"""Frames per second: files of many rates, constant and not, against the times that a decoder gives their frames."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pvdm_lightning.data.clips.clip_dataset import ClipDataset
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.data.datamodules.frame_folder import FrameFolder
from pvdm_lightning.data.datamodules.video_folder import VideoFolder
from pvdm_lightning.data.index import probing
from pvdm_lightning.data.index.build_index import load_or_build
from pvdm_lightning.data.latents.stored_windows import StoredWindows
from pvdm_lightning.data.videos.resampled import ResampledVideos
from pvdm_lightning.data.videos.source import ConcatVideos, IndexedVideos
from pvdm_lightning.errors import InvalidArgumentError

SIZE = (16, 16)
RATES = {"10": Fraction(10), "25": Fraction(25), "29.97": Fraction(30000, 1001), "60": Fraction(60)}


def grey(number):
    return 20 + 3 * number


def write(path, rate=Fraction(25), frames=60, times=None, codec="libx264"):
    """Frames that tell their numbers by their brightness; `times` in milliseconds where they are uneven."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.time_base = 1 / rate if times is None else Fraction(1, 1000)
        for number in range(frames):
            pixels = np.full((*SIZE, 3), grey(number), np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = (
                (number if times is None else int(times[number])),
                stream.codec_context.time_base,
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def uneven(seed, frames=60):
    """Times in milliseconds, from bursts at 60 to pauses of a fifth of a second."""
    return np.cumsum(np.random.default_rng(seed).choice([17, 33, 34, 50, 120, 200], size=frames))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("rates")
    for name, rate in RATES.items():
        write(root / f"{name}.mp4", rate)
        write(root / f"{name}.mkv", rate)
    write(root / "29.97.avi", RATES["29.97"], codec="ffv1")
    write(root / "variable.mp4", times=uneven(1))
    write(root / "variable.mkv", times=uneven(2))
    write(root / "late.mp4", times=uneven(3) + 700)  # starts after 0
    return root


@pytest.fixture(scope="module")
def videos(root):
    names = [*sorted(path.name for path in root.glob("*.m*")), "29.97.avi"]
    return IndexedVideos(load_or_build(root, names, probing.probe, progress=False))


@pytest.fixture(scope="module")
def decoded(root, videos):
    """Seconds of each frame after the first, by file."""
    times = {}
    for index in range(len(videos.lengths)):
        with av.open(videos.name(index)) as container:
            stamps = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
        times[index] = np.array(stamps) - stamps[0]
    return times


def numbers(clip):
    return ((clip.double().mean(dim=(0, 2, 3)) - 20) / 3).round().long().tolist()


@given(st.sampled_from([1, 3, 7.5, 8, 10, 12, 23.976, 25, 29.97, 30, 48, 60, 90]), st.data())
@settings(max_examples=60, deadline=None)
def test_frames_are_those_nearest_in_time(videos, decoded, fps, data):
    resampled = ResampledVideos(videos, fps)
    index = data.draw(st.integers(0, len(videos.lengths) - 1))
    times, length = decoded[index], int(resampled.lengths[index])
    # As long as the video, to a frame: a time base of a millisecond rounds.
    assert abs(length - (times[-1] * fps + 1)) <= 1.03
    frames = sorted(data.draw(st.sets(st.integers(0, length - 1), min_size=1, max_size=6)))
    found = numbers(resampled.read(index, frames, SIZE))
    for frame, own in zip(frames, found):
        distances = np.abs(times - frame / fps)
        assert distances[own] <= distances.min() + 2.1e-3
    assert found == resampled.own_frames(index, frames) == sorted(found)


def test_a_videos_own_rate_changes_nothing(videos):
    for index in range(len(videos.lengths)):
        rate = float(RATES.get(videos.name(index).rpartition("/")[2].rpartition(".")[0], 0))
        if rate:
            resampled = ResampledVideos(videos, rate)
            assert resampled.lengths[index] == 60
            assert resampled.own_frames(index, range(60)) == list(range(60))


@pytest.mark.parametrize(("own", "fps", "expected"), [(60, 8, [0, 7, 15, 22, 30]), (25, 10, [0, 2, 5, 7, 10])])
def test_of_two_frames_as_near_the_earlier(videos, own, fps, expected):
    (index,) = (index for index in range(len(videos.lengths)) if videos.name(index).endswith(f"/{own}.mp4"))
    assert ResampledVideos(videos, fps).own_frames(index, range(5)) == expected


def test_lengths_windows_pairs_and_stored_windows_agree(videos):
    resampled = ResampledVideos(videos, 8)
    for windows in (Windows(4), Windows(4, clips=2), Windows(3, hop=2, clips=2)):
        dataset = ClipDataset(resampled, windows, SIZE, random_start=True)
        assert dataset.videos.tolist() == np.flatnonzero(resampled.lengths >= windows.clip_span).tolist()
        stored = StoredWindows(dataset, windows_per_video=3)
        for position in range(0, len(stored), 5):
            sample, index, start = stored[0, position, 0], int(stored.videos[position]), int(stored.starts[position])
            pair = windows.is_pair(int(resampled.lengths[index]))
            first = windows.clip_frames(start)
            second = windows.clip_frames(start + windows.step)
            assert numbers(sample["clip"]) == resampled.own_frames(index, second if pair else first)
            assert not pair or numbers(sample["previous"]) == resampled.own_frames(index, first)


def test_repeated_frames_of_slow_videos(videos):
    (slow,) = (index for index in range(len(videos.lengths)) if videos.name(index).endswith("/10.mp4"))
    resampled = ResampledVideos(videos, 30)
    assert numbers(resampled.read(slow, range(7), SIZE)) == [0, 0, 1, 1, 1, 2, 2]
    assert "; 7 have fewer and repeat frames" in resampled.summary()
    assert "; 3 by their time stamps, as their rates vary" in resampled.summary()


def test_other_rates_have_other_stamps(videos):
    stamps = {ResampledVideos(videos, fps).stamps() for fps in (8, 10)} | {videos.stamps()}
    assert len(stamps) == 3


def test_the_rate_of_a_file_that_states_a_wrong_one(tmp_path):
    """Every third frame of 30 per second, in a file that says 30: its time stamps say 10."""
    write(tmp_path / "a.mkv", Fraction(30), frames=20, times=[100 * number for number in range(20)])
    assert probing.probe(tmp_path / "a.mkv").fps == pytest.approx(10, rel=1e-3)


class Unknown:
    """Videos without rates."""

    lengths, labels, problems = np.array([5, 6]), np.array([-1, -1]), {}

    def name(self, index):
        return f"unknown {index}"

    def stamps(self):
        return b""

    def read(self, index, frames, resolution):
        return torch.zeros(3, len(frames), *resolution, dtype=torch.uint8)


def test_unknown_rates(videos):
    with pytest.raises(InvalidArgumentError, match="frames per second of none of the 2 videos are known. Leave it out"):
        ResampledVideos(Unknown(), 8)
    mixed = ResampledVideos(ConcatVideos([videos, Unknown()]), 8)
    count = len(videos.lengths)
    assert mixed.lengths[count:].tolist() == [0, 0] and (mixed.lengths[:count] > 0).all()
    assert mixed.problems == dict.fromkeys((count, count + 1), "has no known frame rate")
    assert "; 2 have no known rate (skipped)" in mixed.summary()
    assert (mixed.fps == [8.0] * count + [0, 0]).all()


def test_data_module(root, caplog):
    caplog.set_level("INFO")
    data = VideoFolder(str(root), fps=8, frames=4, resolution=16, clips_per_sample=1, batch_size=3, num_workers=0)
    data.setup()
    batch = next(iter(data.train_dataloader()))
    assert batch["clip"].shape == (3, 3, 4, 16, 16)
    dataset = data.clips("train")
    assert dataset.source.lengths.max() < 60 and dataset.name(0).startswith(str(root))
    assert len(data.check(progress=False)) == 12
    assert any("train: videos at 8 frames per second: " in record.getMessage() for record in caplog.records)


def test_what_cannot_be_is_said(root, tmp_path, frame_folder_writer):
    with pytest.raises(InvalidArgumentError, match=r"fps 8: takes frames by their times, and DataModule.stride 2"):
        VideoFolder(str(root), fps=8, stride=2)
    for fps in (0, -1, 1e4):
        with pytest.raises(InvalidArgumentError, match=r"is not (positive|between 0\.01 and 1000)"):
            VideoFolder(str(root), fps=fps)
    for number in range(3):
        frame_folder_writer(tmp_path / f"frames/{number}", 6)
    data = FrameFolder(str(tmp_path / "frames"), fps=8, frames=4, resolution=16, clips_per_sample=1)
    with pytest.raises(InvalidArgumentError, match=r"DataModule.fps 8: the frames per second of none of the"):
        data.setup()
