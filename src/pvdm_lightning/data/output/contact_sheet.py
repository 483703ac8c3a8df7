"""Pictures of several videos at once: a contact sheet of still frames, and a grid that plays."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pvdm_lightning.errors import check_videos

LEAST_SIDE = 128
CONTACT_SHEET = "contact_sheet.png"
"""Name of the sheet in a folder of videos; no frame of a video has it."""


def contact_sheet(videos: Tensor, num_frames: int = 8, least_side: int = LEAST_SIDE) -> Image.Image:
    """A row of frames for each video, evenly spread over it.

    Args:
        videos: uint8 [N 3 T H W].
        num_frames: Frames of each; all, if it has fewer.
        least_side: Frames are enlarged by a whole number, pixel by pixel, until they are so high; in pixels.
    """
    check_videos("contact_sheet.videos", videos, "[N 3 T H W]")
    count = min(num_frames, videos.shape[2])
    times = torch.linspace(0, videos.shape[2] - 1, count).round().long()
    rows = enlarge(videos[:, :, times], least_side).permute(0, 3, 2, 4, 1)  # [N H frames W 3]
    return Image.fromarray(np.ascontiguousarray(rows.flatten(2, 3).flatten(0, 1).cpu().numpy()))


def video_grid(videos: Tensor, columns: int, least_side: int = LEAST_SIDE, gap: int = 2) -> Tensor:
    """Videos side by side, as one video; arguments as of `contact_sheet`.

    Args:
        videos: uint8 [N 3 T H W]; N is a multiple of `columns`.
        columns: Videos in a row.
        least_side: Least height of a video in pixels.
        gap: White pixels between videos.

    Returns:
        uint8 [3 T H' W'].
    """
    check_videos("video_grid.videos", videos, "[N 3 T H W]")
    large = enlarge(videos, least_side)
    large = torch.nn.functional.pad(large, (0, gap, 0, gap), value=255).unflatten(0, (-1, columns))
    return large.permute(2, 3, 0, 4, 1, 5).flatten(4, 5).flatten(2, 3)[:, :, : -gap or None, : -gap or None]


def enlarge(videos: Tensor, least_side: int) -> Tensor:
    """Videos [... H W] enlarged by the least whole factor that makes them `least_side` pixels high."""
    factor = max(1, -(-least_side // videos.shape[-2]))
    return videos.repeat_interleave(factor, dim=-2).repeat_interleave(factor, dim=-1)
