import io

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pvdm_lightning.callbacks import PredictionWriter, VideoLogger
from pvdm_lightning.data.output.writing import WRITERS, gif_bytes, video_writer, write_video
from pvdm_lightning.data.videos.reading import read_video


@pytest.fixture
def video():
    """Slow colour ramps, 6 frames of 20 x 30: what a lossy codec keeps."""
    t, y, x = torch.meshgrid(torch.arange(6), torch.arange(20), torch.arange(30), indexing="ij")
    return torch.stack([x * 8, y * 12, 40 * t], dim=0).to(torch.uint8)


def test_lossless_formats(video, tmp_path):
    frames = video.permute(1, 2, 3, 0).numpy()
    assert np.array_equal(np.load(write_video(video, tmp_path / "a.npy", 25)), frames)
    folder = write_video(video, tmp_path / "a", 25)
    assert [np.array_equal(np.asarray(Image.open(p)), f) for p, f in zip(sorted(folder.iterdir()), frames)] == [
        True
    ] * 6


def test_mp4(video, tmp_path):
    with av.open(str(write_video(video, tmp_path / "a.mp4", 12.5))) as container:
        assert float(container.streams.video[0].average_rate) == 12.5
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert np.abs(decoded.astype(int) - video.permute(1, 2, 3, 0).numpy()).mean() < 6


def test_odd_sides_lose_a_line_in_mp4(video, tmp_path):
    with av.open(str(write_video(video[:, :, :19, :29], tmp_path / "a.mp4", 8))) as container:
        stream = container.streams.video[0]
        assert (stream.height, stream.width) == (18, 28)


def test_gif(video):
    gif = Image.open(io.BytesIO(gif_bytes(video, 10)))
    assert (gif.n_frames, gif.size, gif.info["duration"], gif.info["loop"]) == (6, (30, 20), 100, 0)


SUFFIXES = [suffix for suffix, _ in WRITERS.values()]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_half_written_is_left_under_the_name(video, tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with pytest.raises(KeyboardInterrupt), video_writer(path, 6, 25) as add:
        add(video[:, :2])
        assert not path.exists()
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_pieces_make_the_same_bytes_as_the_whole(video, tmp_path, suffix):
    paths = [tmp_path / f"{name}{suffix}" for name in ("whole", "pieces")]
    write_video(video, paths[0], 8, {"seed": 1})
    with video_writer(paths[1], 6, 8, {"seed": 1}) as add:
        for piece in video.split([1, 3, 2], dim=1):
            add(piece)
    whole, pieces = (
        [file.read_bytes() for file in (sorted(path.iterdir()) if path.is_dir() else [path])] for path in paths
    )
    assert whole == pieces


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    pattern=st.lists(st.integers(0, 2), min_size=1, max_size=12),
    size=st.tuples(st.integers(2, 9), st.integers(2, 9)),
    fps=st.sampled_from([0.01, 1 / 3, 7.3, 24, 25, 50, 333.3, 1000]),
)
def test_every_format_keeps_every_frame(tmp_path_factory, pattern, size, fps):
    """Equal frames too: one after another, and all of them."""
    folder = tmp_path_factory.mktemp("written")
    colours = torch.tensor([[0, 0, 0], [250, 30, 30], [20, 200, 250]], dtype=torch.uint8)
    video = colours[pattern].T[:, :, None, None].expand(3, len(pattern), *size).contiguous()
    for suffix, _ in WRITERS.values():
        path = write_video(video, folder / f"video{suffix}", fps)
        read = torch.from_numpy(np.load(path)).permute(3, 0, 1, 2) if suffix == ".npy" else read_video(path)
        assert read.shape[1] == len(pattern)
        if suffix != ".mp4":
            assert torch.equal(read, video)


def test_a_gif_shows_each_frame_as_its_own_palette_has_it(video):
    noise = torch.randint(0, 256, (3, 6, 20, 30), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    noise[:, 2:4] = noise[:, 1:2]
    noise[:, 5, 4:9, 3:7] = 0
    for shown in (video, noise):
        gif = Image.open(io.BytesIO(gif_bytes(shown, 8, "a comment" * 99)))
        assert gif.n_frames == 6 and gif.info["comment"] == b"a comment" * 99
        for number, frame in enumerate(shown.permute(1, 2, 3, 0).numpy()):
            gif.seek(number)
            wanted = Image.fromarray(frame).quantize(256).convert("RGB")
            assert np.array_equal(np.asarray(gif.convert("RGB")), np.asarray(wanted))


@pytest.mark.parametrize("fps", [0, -1, 0.0099, 1000.1, float("nan"), float("inf"), 1e300, 10**400])
def test_frame_rates_that_no_format_holds_are_refused_before_anything_is_written(video, tmp_path, fps):
    for suffix, _ in WRITERS.values():
        with pytest.raises(ValueError, match=r"^write_video\.fps .*is not (positive|between 0\.01 and 1000)\. Give"):
            write_video(video, tmp_path / f"a{suffix}", fps)
    for option, make in (("PredictionWriter", PredictionWriter), ("VideoLogger", VideoLogger)):
        with pytest.raises(ValueError, match=rf"^{option}\.fps "):
            make(fps=fps)
    assert not list(tmp_path.iterdir())


def test_a_video_one_pixel_wide_is_no_mp4(video, tmp_path):
    with pytest.raises(ValueError, match=r"20 x 1: has fewer pixels a side than H\.264 holds, 2\. Write a \.gif"):
        write_video(video[..., :1], tmp_path / "a.mp4")
    assert read_video(write_video(video[..., :1], tmp_path / "a.gif")).shape == (3, 6, 20, 1)
