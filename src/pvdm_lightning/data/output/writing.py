"""Writing videos uint8 [3 T H W] as mp4, gif, PNG frames or npy."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.errors import InvalidArgumentError, check_videos

Add = Callable[[np.ndarray], None]
"""Adds frames uint8 [t H W 3] to a file."""
PNG_KEY = "Comment"
"""Of the text in a frame."""
SLOWEST, FASTEST = 0.01, 1000
"""Frames per second that mp4 and gif both hold: 655 seconds a frame are the most of a GIF."""


def check_fps(argument: str, fps: float) -> None:
    """Raise `InvalidArgumentError` if a frame rate is none that each format holds."""
    if not SLOWEST <= fps <= FASTEST:
        problem = "is not positive" if fps <= 0 else f"is not between {SLOWEST} and {FASTEST}"
        raise InvalidArgumentError(argument, fps, problem, "Give frames per second, such as 25.")


def gif_bytes(video: Tensor, fps: float, metadata: str = "") -> bytes:
    """An endless GIF of a video uint8 [3 T H W], with a text as its comment."""
    check_fps("fps", fps)
    buffer = io.BytesIO()
    with _gif_into(buffer, fps, metadata) as add:
        add(_frames(video))
    return buffer.getvalue()


@contextlib.contextmanager
def _gif_into(file: IO[bytes], fps: float, metadata: str) -> Iterator[Add]:
    """Write an endless GIF frame by frame.

    Put together from pictures that Pillow encodes one by one, because it merges frames that are equal: the file would
    have fewer of them than the video.
    """
    # A GIF counts in hundredths of a second, and viewers slow down what is shorter than two.
    hundredths = max(2, round(100 / fps))
    shown: np.ndarray | None = None

    def add(frames: np.ndarray) -> None:
        nonlocal shown
        height, width = frames.shape[1:3]
        for frame in frames:
            if shown is None:
                file.write(_gif_head(height, width, metadata))
            picture = Image.fromarray(frame).quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
            now = np.asarray(picture.convert("RGB"))
            left, top, right, bottom = (0, 0, width, height) if shown is None else _changed(shown, now)
            shown = now
            control = struct.pack("<BBBBHBB", 0x21, 0xF9, 4, 0x04, hundredths, 0, 0)  # it stays until the next one
            file.write(control + _gif_image(picture.crop((left, top, right, bottom)), left, top))

    yield add
    file.write(b";")


def _gif_head(height: int, width: int, metadata: str) -> bytes:
    parts = [b"GIF89a", struct.pack("<HHBBB", width, height, 0x70, 0, 0), b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"]
    if metadata:
        text = metadata.encode()
        blocks = [text[start : start + 255] for start in range(0, len(text), 255)]
        parts += [b"\x21\xfe", *(bytes([len(block)]) + block for block in blocks), b"\0"]
    return b"".join(parts)


def _changed(before: np.ndarray, after: np.ndarray) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the box in which two pictures [H W 3] differ; one pixel where they do not."""
    differ = (before != after).any(axis=2)
    rows, columns = np.flatnonzero(differ.any(axis=1)), np.flatnonzero(differ.any(axis=0))
    if len(rows) == 0:
        return 0, 0, 1, 1
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _gif_image(picture: Image.Image, left: int, top: int) -> bytes:
    """The image block of a picture with a palette, which Pillow's file of it has in global form."""
    buffer = io.BytesIO()
    picture.save(buffer, "GIF")
    data = buffer.getvalue()
    flags = data[10]
    colours = data[13 : 13 + 3 * 2 ** ((flags & 7) + 1)]
    image = data.index(b",", 13 + len(colours))
    width, height, own_flags = struct.unpack("<HHB", data[image + 5 : image + 10])
    descriptor = struct.pack("<cHHHHB", b",", left, top, width, height, 0x80 | (own_flags & 0x40) | (flags & 7))
    return descriptor + colours + data[image + 10 : -1]


# Each opens a file, yields what adds frames uint8 [t H W 3] to it, and completes it.


@contextlib.contextmanager
def open_gif(path: Path, num_frames: int, fps: float, metadata: str = "") -> Iterator[Add]:
    """A GIF."""
    with path.open("wb") as file, _gif_into(file, fps, metadata) as add:
        yield add


@contextlib.contextmanager
def open_mp4(path: Path, num_frames: int, fps: float, metadata: str = "") -> Iterator[Add]:
    """H.264 in 4:2:0; an odd side, which that cannot hold, loses its last row or column."""
    import av  # where no mp4 is written it need not be installed

    # Not the bare name, of which FFmpeg takes what is before a colon for a protocol.
    with av.open(f"file:{path}", "w", format="mp4") as container:
        if metadata:
            container.metadata["comment"] = metadata
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options={"crf": "17"})

        def add(frames: np.ndarray) -> None:
            height, width = frames.shape[1:3]
            if min(height, width) < 2:
                size, remedy = f"{height} x {width}", "Write a .gif, a .npy or a folder of frames."
                problem = "has fewer pixels a side than H.264 holds, 2"
                raise InvalidArgumentError("write_video.video", size, problem, remedy)
            frames = frames[:, : height // 2 * 2, : width // 2 * 2]
            if not stream.codec_context.is_open:
                stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
            for frame in frames:
                rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
                # Converted here: frames that the stream converts are encoded differently from run to run (PyAV 18.1).
                container.mux(stream.encode(rgb.reformat(format="yuv420p")))

        yield add
        container.mux(stream.encode())


@contextlib.contextmanager
def open_npy(path: Path, num_frames: int, fps: float, metadata: str = "") -> Iterator[Add]:
    """An array uint8 [T H W 3]; the format has no place for metadata."""
    with path.open("wb") as file:
        is_first = True

        def add(frames: np.ndarray) -> None:
            nonlocal is_first
            if is_first:
                header = {"descr": "|u1", "fortran_order": False, "shape": (num_frames, *frames.shape[1:])}
                np.lib.format.write_array_header_1_0(file, header)
                is_first = False
            file.write(np.ascontiguousarray(frames).data)

        yield add


@contextlib.contextmanager
def open_png(path: Path, num_frames: int, fps: float, metadata: str = "") -> Iterator[Add]:
    """A folder of numbered frames."""
    path.mkdir()
    about = PngInfo()
    if metadata:
        about.add_text(PNG_KEY, metadata)
    numbers = itertools.count()

    def add(frames: np.ndarray) -> None:
        for frame in frames:
            Image.fromarray(frame).save(path / f"frame_{next(numbers):05d}.png", pnginfo=about)

    yield add


WRITERS: dict[str, tuple[str, Callable[[Path, int, float, str], AbstractContextManager[Add]]]] = {
    "mp4": (".mp4", open_mp4),
    "gif": (".gif", open_gif),
    "png": ("", open_png),
    "npy": (".npy", open_npy),
}
"""Format -> (suffix of the file or folder, what opens it)."""


def write_video(
    video: Tensor,
    path: str | Path,
    fps: float = 25,
    metadata: Mapping[str, Any] | None = None,
    replace_frames: bool = False,
) -> Path:
    """Write a video; a reader, or a killed process, never sees half of it.

    Args:
        video: uint8 [3 T H W].
        path: Ends with .mp4, .gif or .npy; without a suffix it is a folder of numbered PNG frames.
        fps: Frames per second, 0.01 to 1000; programs play a GIF at no more than 50.
        metadata: Plain values to keep inside of the file; `read_metadata` reads them.
        replace_frames: Whether a folder that holds nothing but frames is replaced; no other folder ever is.

    Returns:
        The path.

    Raises:
        ValueError: The suffix is none of these, the video is not uint8 [3 T H W], or no format holds the frame rate.
        OSError: It cannot be written, or a folder is in its place.
    """
    check_videos("write_video.video", video, "[3 T H W]")
    with video_writer(path, video.shape[1], fps, metadata, replace_frames) as add:
        add(video)
    return Path(path)


@contextlib.contextmanager
def video_writer(
    path: str | Path,
    num_frames: int,
    fps: float = 25,
    metadata: Mapping[str, Any] | None = None,
    replace_frames: bool = False,
) -> Iterator[Callable[[Tensor], None]]:
    """Write a video piece by piece, in memory that does not grow with its length; arguments as of `write_video`.

    The file is there, whole, when the block ends; if the block fails it is not.

    Args:
        path: Path of the video.
        num_frames: T, frames of all pieces together.
        fps: Frames per second.
        metadata: Plain values to keep inside of the file.
        replace_frames: Whether a folder that holds nothing but frames is replaced.

    Yields:
        What adds the next frames, uint8 [3 t H W].
    """
    path = Path(path)
    writers = dict(WRITERS.values())
    if path.suffix not in writers:
        raise ValueError(f"{path.name}: videos are written as {', '.join(suffix for suffix in writers if suffix)}")
    check_fps("write_video.fps", fps)
    text = "" if metadata is None else json.dumps(metadata, sort_keys=True)
    written = 0
    with atomic_write(path, replace_frames) as partial, writers[path.suffix](partial, num_frames, fps, text) as add:

        def add_frames(video: Tensor) -> None:
            nonlocal written
            add(_frames(video))
            written += video.shape[1]

        yield add_frames
        assert written == num_frames, (written, num_frames)


def _frames(video: Tensor) -> np.ndarray:
    check_videos("video", video, "[3 T H W]")
    return video.permute(1, 2, 3, 0).contiguous().cpu().numpy()
