"""Lossy round trips of clips: what a published protocol's files do to the pixels that it measures."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

Codec = Literal["none", "jpeg75", "mp4", "mp4_jpeg75"]

JPEG_QUALITY = 75
"""Pillow's default, at which StyleGAN-V's and Latte's converters save frames."""
MP4_CRF, MP4_FPS = 5, 8
"""imageio's quality 9, at which Latte's sampling script saves videos."""


def round_trip(clip: Tensor, codec: Codec) -> Tensor:
    """Encode and decode a clip in memory.

    Args:
        clip: uint8 [3 T H W].
        codec: none gives the clip itself; jpeg75: each frame as JPEG by Pillow, quality 75, 4:2:0; mp4: H.264 by
            libx264, CRF 5, 4:2:0, 8 frames per second, without mbtree; mp4_jpeg75: one after the other.

    Returns:
        uint8 [3 T H W].
    """
    if codec == "none":
        return clip
    frames = clip.permute(1, 2, 3, 0).contiguous().numpy()
    if codec.startswith("mp4"):
        frames = _through_mp4(frames)
    if codec.endswith("jpeg75"):
        frames = _through_jpeg(frames)
    return torch.from_numpy(frames).permute(3, 0, 1, 2).contiguous()


def _through_jpeg(frames: np.ndarray) -> np.ndarray:
    decoded = []
    for frame in frames:
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, "JPEG", quality=JPEG_QUALITY)
        decoded.append(np.array(Image.open(buffer).convert("RGB")))
    return np.stack(decoded)


def _through_mp4(frames: np.ndarray) -> np.ndarray:
    import av  # 0.1 s, and few evaluations need it

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        # With mbtree, about one short clip in ten is encoded differently from run to run (libx264 of PyAV 18.1).
        options = {"crf": str(MP4_CRF), "x264-params": "mbtree=0"}
        stream = container.add_stream("libx264", rate=MP4_FPS, options=options)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        stream.codec_context.thread_count = 1  # clips are prepared side by side
        for frame in frames:
            rgb = av.VideoFrame.from_ndarray(frame, format="rgb24")
            # Converted here: frames that the stream converts are encoded differently from run to run (PyAV 18.1).
            container.mux(stream.encode(rgb.reformat(format="yuv420p")))
        container.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer, "r", format="mp4") as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
