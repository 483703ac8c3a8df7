"""When the frames of a video file are shown, where no constant rate says so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pvdm_lightning.data.index.video_info import DecodeError
from pvdm_lightning.data.videos import video_libraries
from pvdm_lightning.data.videos.decoding import open_video
from pvdm_lightning.data.videos.file_span import Place


def read_times(path: Place, frames: int) -> np.ndarray | None:
    """Time of each frame of a file in seconds after its first, float64 [frames], rising; None if there are none.

    Packets are read without decoding them. Where they are not as many as the frames that decode, the frames are.

    Args:
        path: The file.
        frames: How many of its frames decode.
    """
    errors: tuple[type[BaseException], ...] = (DecodeError, *video_libraries.file_errors())
    try:
        with open_video(path) as (container, stream):
            packets = [packet.pts for packet in container.demux(stream) if packet.size and not packet.is_discard]
            unit = float(stream.time_base or 0)
        if len(packets) != frames or None in packets:
            with open_video(path) as (container, stream):
                packets = [frame.pts for _, frame in zip(range(frames), container.decode(stream))]
    except errors:
        return None
    return _seconds(packets, unit) if len(packets) == frames else None


def _seconds(stamps: Sequence[int | None], unit: float) -> np.ndarray | None:
    if any(stamp is None for stamp in stamps) or unit <= 0:
        return None
    times = np.sort(np.array(stamps, dtype=np.int64))
    seconds = (times - times[0]) * unit
    return seconds if seconds[-1] > 0 else None
