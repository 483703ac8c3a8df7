"""One video file -> the frames asked for, the same to the pixel as if it had been decoded from its start.

Three routes lead to a frame (`Route`); which one is exact differs from file to file, and `probing` finds it out. A
reader is opened and closed within each call: decord readers that live through a fork hang.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from pvdm_lightning.data.index.video_info import MOST_PIXELS, DecodeError, Route, VideoInfo, check_pixels, one_line
from pvdm_lightning.data.videos import video_libraries
from pvdm_lightning.data.videos.display import to_rgb, video_stream
from pvdm_lightning.data.videos.file_span import FileSpan, Place, open_place
from pvdm_lightning.foreign_files import check_regular

if TYPE_CHECKING:
    import av

FFMPEG_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "apng,asf,avi,flv,gif,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mpeg,mpegts,mpegvideo,mxf,nut,ogg",
}
"""FFmpeg would follow what a file says: playlists and session descriptions open other files, and sockets."""
CONTAINERS_FOR_DECORD = ((0, b"RIFF"), (0, b"\x1a\x45\xdf\xa3"), (4, b"ftyp"), (4, b"moov"), (4, b"mdat"), (4, b"wide"))
"""How files begin that decord may open, as it takes no such options: AVI, Matroska and MOV."""
DECORD_BATCH = 16  # frames decord hands over at a time, so that long clips of large pictures fit into memory

OF_THE_MACHINE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Errors for which no file is to blame: another one would not be read either."""

Picture = TypeVar("Picture")


def read_frames(
    path: Place, info: VideoInfo, indices: Sequence[int], transform: Callable[[np.ndarray], Picture]
) -> list[Picture]:
    """Read frames of a video file, each passed through `transform` as soon as it is decoded.

    Args:
        path: The file, or its span of another one.
        info: Its line of the index.
        indices: Frame numbers, strictly increasing, each below ``info.frames``.
        transform: Takes uint8 RGB [H, W, 3], rotated as it is to be shown; what it returns is collected.

    Returns:
        One transformed picture for each of `indices`, in order.

    Raises:
        DecodeError: If the file does not give these frames, whatever the library's own error was.
    """
    assert list(indices) == sorted(set(indices)) and indices[0] >= 0 and indices[-1] < info.frames, (indices, info)
    try:
        return _read_frames(path, info, indices, transform)
    except DecodeError:
        raise
    except video_libraries.file_errors() as error:
        if getattr(error, "errno", None) in OF_THE_MACHINE:
            raise
        raise DecodeError(one_line(error)) from error


def _read_frames(
    path: Place, info: VideoInfo, indices: Sequence[int], transform: Callable[[np.ndarray], Picture]
) -> list[Picture]:
    if info.route == Route.BROKEN:
        raise DecodeError(info.problem)
    if info.route == Route.DECORD and decord_may_open(path):
        return [transform(frame) for frame in _decord_frames(path, info, indices)]
    # Files that are exact in decord have regular time stamps, so without decord they are sought with PyAV.
    if info.route != Route.SCAN:
        try:
            return [transform(to_rgb(frame, info)) for frame in pick(seek(path, info, indices[0]), indices)]
        except DecodeError:
            pass  # the seek went past the window or lost frames: the long way is always right
    return [transform(to_rgb(frame, info)) for frame in pick(scan(path), indices)]


@contextlib.contextmanager
def open_container(path: Place) -> Iterator[av.container.InputContainer]:
    """A video file as FFmpeg opens it: a regular file in a format of videos, and nothing that it names.

    Raises:
        DecodeError: It is of another format.
    """
    pyav = video_libraries.pyav()
    with contextlib.ExitStack() as stack:
        source = _source(path)
        if not isinstance(source, str):
            stack.enter_context(source)
        try:
            container = stack.enter_context(pyav.open(source, options=FFMPEG_OPTIONS, metadata_errors="replace"))
        except pyav.ArgumentError as error:  # what FFmpeg says of a format that is not in the list
            raise DecodeError("is in no format of videos that is read") from error
        yield container


def _source(path: Place) -> Any:
    """What PyAV is to open: the name of a file, or an open one."""
    if isinstance(path, FileSpan):
        return open_place(path)
    check_regular(path)
    try:
        # Not the bare name, of which FFmpeg takes what is before a colon for a protocol.
        return f"file:{os.fsencode(path).decode()}"
    except UnicodeDecodeError:  # names are bytes, and PyAV takes text alone
        return open_place(path)


@contextlib.contextmanager
def open_video(path: Place) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """A video file and the stream of it that is shown.

    Raises:
        DecodeError: It has none, or is of another format.
    """
    with open_container(path) as container:
        stream = video_stream(container)
        if stream is None:
            raise DecodeError("has no video stream")
        if stream.codec_context is None:
            raise DecodeError("is of a codec that FFmpeg has no decoder for")
        check_pixels(stream.codec_context.height, stream.codec_context.width)
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
        stream.codec_context.thread_count = 1  # files are read side by side; threads inside each would only compete
        yield container, stream


def scan(path: Place) -> Iterator[tuple[int, av.VideoFrame]]:
    """Every frame with its number, decoded from the start."""
    with open_video(path) as (container, stream):
        yield from enumerate(container.decode(stream))


def seek(path: Place, info: VideoInfo, start: int) -> Iterator[tuple[int, av.VideoFrame]]:
    """The frames from the key frame before frame `start` on, numbered by their time stamps.

    Raises:
        DecodeError: If a frame's number is not the one that has to follow.
    """
    with open_video(path) as (container, stream):
        container.seek(round(info.first_pts + start * info.pts_step), stream=stream)
        previous: int | None = None
        for frame in container.decode(stream):
            if frame.pts is None:
                raise DecodeError("a frame has no time stamp")
            number = round((frame.pts - info.first_pts) / info.pts_step)
            if previous is not None and number != previous + 1:
                raise DecodeError(f"frame {number} follows frame {previous}")
            previous = number
            yield number, frame


def pick(numbered: Iterable[tuple[int, av.VideoFrame]], indices: Sequence[int]) -> Iterator[av.VideoFrame]:
    """Only the frames in `indices`, in order; stops decoding after the last one.

    Raises:
        DecodeError: If one of them is not there.
    """
    wanted = iter(indices)
    index = next(wanted)
    for number, frame in numbered:
        if number > index:
            raise DecodeError(f"frame {index} is missing")
        if number == index:
            yield frame
            following = next(wanted, None)
            if following is None:
                return
            index = following
    raise DecodeError(f"ends before frame {index}")


def decord_may_open(path: Place) -> bool:
    """Whether decord is there, and a file begins as the containers do that it may open."""
    if video_libraries.decord() is None:
        return False
    with open_place(path) as file:
        head = file.read(16)
    return any(head[start:].startswith(sign) for start, sign in CONTAINERS_FOR_DECORD)


def _decord_frames(path: Place, info: VideoInfo, indices: Sequence[int]) -> Iterator[np.ndarray]:
    decord = video_libraries.decord()
    assert decord is not None
    if isinstance(path, FileSpan):
        with open_place(path) as file:
            reader = decord.VideoReader(file, ctx=decord.cpu(0), num_threads=1)
    else:
        reader = decord.VideoReader(str(path.absolute()), ctx=decord.cpu(0), num_threads=1)
    if len(reader) != info.frames:
        raise DecodeError(f"has {len(reader)} frames, {info.frames} when it was indexed")
    for first in range(0, len(indices), DECORD_BATCH):
        yield from reader.get_batch(list(indices[first : first + DECORD_BATCH])).asnumpy()
