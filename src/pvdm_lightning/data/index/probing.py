"""Find out how a video file can be read exactly: decode it once from start to end, then prove the short cuts on it.

Counting by decoding is slow (a UCF-101 video takes about 30 ms) and the only count that is right: containers announce
frames that do not decode, edit lists hide frames, packed B-frames lose some at the end.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from pvdm_lightning.data.index.video_info import Route, VideoInfo, one_line
from pvdm_lightning.data.videos import decoding, display, video_libraries
from pvdm_lightning.data.videos.file_span import FileSpan, Place, open_place

if TYPE_CHECKING:
    import av

# decord is tried on these codecs alone. It was exact on all of their files, but for MPEG-4 with B-frames, where seeks
# land on wrong frames now and then, so that a proof proves nothing. The same happened with WMV, and with HEVC.
CODECS_FOR_DECORD = ("h264", "mpeg4", "mjpeg", "vp8", "vp9")
NOT_WITH_B_FRAMES = ("mpeg4",)
# Pixel formats that decord turns into the same RGB as PyAV does. Not so with more than 8 bits, or odd sizes.
FORMATS_FOR_DECORD = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p")
SMALLEST_FOR_DECORD = 16  # pixels a side; below, it refuses or overruns
# It reads the whole file for any clip of it; a seek reads what lies around the clip, faster in a long file.
MOST_BYTES_FOR_DECORD = 2**23
# Frames announced and not decoded that are nothing to worry about: XviD's packed B-frames leave up to two.
MISSING_ALLOWED = 2


@dataclass
class _Pass:
    """What decoding a file from start to end shows."""

    stamps: list[int | None] = field(default_factory=list)  # presentation times
    checksums: list[int] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)  # numbers of the key frames
    pixel_format: str = ""
    has_b_frames: bool = False


def probe(path: Place) -> VideoInfo:
    """Decode a file once from start to end and say how its frames can be reached.

    Never raises on account of the file: a broken one comes back with `Route.BROKEN` and the reason.
    """
    try:
        if not isinstance(path, FileSpan) and path.is_dir():
            os.scandir(path).close()  # one that cannot be read is named among the videos; see `video_tree`
            return VideoInfo(problem="is a folder")
        with open_place(path) as file:
            if not file.read(1):
                return VideoInfo(problem="is empty (0 bytes)")
        info, seen = _decode_all(path)
        return _with_short_cut(path, info, seen) if info.pts_step and not info.problem else info
    except decoding.DecodeError as error:
        return VideoInfo(problem=str(error))
    except video_libraries.file_errors() as error:
        return VideoInfo(problem=one_line(error))


def _decode_all(path: Place) -> tuple[VideoInfo, _Pass]:
    seen = _Pass()
    problem, height, width, aspect = "", 0, 0, 1.0
    turned: tuple[int, bool] | None = (0, False)
    with decoding.open_video(path) as (container, stream):
        codec, announced = stream.codec_context.name, stream.frames
        fps, unit = float(stream.average_rate or 0), float(stream.time_base or 0)
        try:
            for frame in container.decode(stream):
                number = len(seen.stamps)
                if number == 0:
                    height, width, turned = frame.height, frame.width, display.orientation(frame)
                    aspect = display.pixel_aspect(stream, frame)
                    seen.pixel_format = frame.format.name
                elif (frame.height, frame.width) != (height, width):
                    problem = f"changes size at frame {number}, is used up to there"
                    break
                if frame.is_corrupt and not problem:
                    problem = f"is damaged at frame {number}"
                if frame.key_frame:
                    seen.keys.append(number)
                seen.stamps.append(frame.pts)
                seen.checksums.append(_checksum(frame))
        except video_libraries.pyav().FFmpegError as error:
            problem = f"decodes only up to frame {len(seen.stamps)}: {one_line(error)}"
        seen.has_b_frames = bool(stream.codec_context.has_b_frames)
    frames = len(seen.stamps)
    if frames == 0:
        return VideoInfo(codec=codec, problem=problem or "has no frame that decodes"), seen
    if turned is None:
        return VideoInfo(codec=codec, problem="is turned by no multiple of 90 degrees"), seen
    rotation, mirrored = turned
    if not problem and announced > frames + MISSING_ALLOWED:
        problem = f"announces {announced} frames, {frames} decode"
    first_pts, pts_step = _regular_steps(seen.stamps)
    if pts_step and frames > 1:
        fps = _frame_rate(fps, pts_step * unit, unit / (frames - 1))
    height, width = display.shown_size(height, width, aspect, rotation)
    info = VideoInfo(frames, height, width, fps, codec, rotation, Route.SCAN, first_pts, pts_step, problem)
    return replace(info, mirrored=mirrored, aspect=aspect), seen


def _frame_rate(stated: float, step: float, rounding: float) -> float:
    """Frames a second: as the container states them, unless its time stamps say otherwise.

    Args:
        stated: By the container; 0 if it does not.
        step: Mean seconds from frame to frame, by the time stamps.
        rounding: By how much those are rounded.
    """
    agrees = stated > 0 and abs(1 / stated - step) <= 2 * rounding
    return stated if agrees or step <= 0 else 1 / step


def _checksum(frame: av.VideoFrame) -> int:
    """A fingerprint of every fourth row of the first plane (luma)."""
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return zlib.crc32(rows[: frame.height : 4, : frame.width].tobytes())


def _regular_steps(stamps: Sequence[int | None]) -> tuple[int, float]:
    """The first time stamp and the mean step, or (0, 0.0) unless frame numbers follow from time stamps alone."""
    if any(stamp is None for stamp in stamps):
        return 0, 0.0
    times = np.array(stamps, dtype=np.int64)
    step = float(times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 1.0
    if step <= 0:
        return 0, 0.0
    numbers = np.round((times - times[0]) / step)
    return (int(times[0]), step) if np.array_equal(numbers, np.arange(len(times))) else (0, 0.0)


def _with_short_cut(path: Place, info: VideoInfo, seen: _Pass) -> VideoInfo:
    """The same line with the best route that gives the right frames where seeking goes wrong if it does."""
    windows = _windows_to_prove(info.frames, seen.keys)
    sought = replace(info, route=Route.SEEK)
    pictures = _sought_pictures(path, sought, seen.checksums, windows)
    if pictures is None:
        return info
    fit_for_decord = (
        decoding.decord_may_open(path)
        and info.codec in CODECS_FOR_DECORD
        and not (seen.has_b_frames and info.codec in NOT_WITH_B_FRAMES)
        and seen.pixel_format in FORMATS_FOR_DECORD
        and info.height % 2 == info.width % 2 == 0
        and info.aspect == 1  # decord knows nothing of pixels that are not square
        and min(info.height, info.width) >= SMALLEST_FOR_DECORD
        and (_size(path) <= MOST_BYTES_FOR_DECORD or len(seen.keys) <= 1)
    )
    by_decord = replace(info, route=Route.DECORD)
    if fit_for_decord and _decord_gives(path, by_decord, windows, pictures):
        return by_decord
    return sought if len(seen.keys) > 1 else info  # with one key frame, a seek leads to the start and only costs time


def _size(path: Place) -> int:
    return path.size if isinstance(path, FileSpan) else path.stat().st_size


def _windows_to_prove(frames: int, keys: Sequence[int]) -> list[list[int]]:
    """Frames around the middlemost key frame, further on, and at the end."""
    middle = min(keys or [0], key=lambda key: abs(key - frames // 2))
    windows = [range(middle - 2, middle + 2), range(2 * frames // 3, 2 * frames // 3 + 2), range(frames - 2, frames)]
    return [[index for index in window if 0 <= index < frames] for window in windows]


def _sought_pictures(
    path: Place, info: VideoInfo, checksums: Sequence[int], windows: Sequence[Sequence[int]]
) -> list[list[np.ndarray]] | None:
    """RGB pictures of the windows as PyAV's seeks find them; None unless all of them are right."""
    pictures = []
    try:
        for indices in windows:
            frames = list(decoding.pick(decoding.seek(path, info, indices[0]), indices))
            if [_checksum(frame) for frame in frames] != [checksums[index] for index in indices]:
                return None
            pictures.append([display.to_rgb(frame, info) for frame in frames])
    except decoding.DecodeError:
        return None
    except video_libraries.file_errors():  # such a file is decoded from its start instead
        return None
    return pictures


def _decord_gives(
    path: Place, info: VideoInfo, windows: Sequence[Sequence[int]], pictures: Sequence[Sequence[np.ndarray]]
) -> bool:
    try:
        found = [decoding.read_frames(path, info, indices, np.array) for indices in windows]
    except decoding.DecodeError:
        return False
    return all(np.array_equal(a, b) for these, those in zip(found, pictures) for a, b in zip(these, those))
