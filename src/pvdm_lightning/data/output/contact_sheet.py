"""Pictures of several videos at once: a contact sheet of still frames, and a grid that plays."""

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from pvdm_lightning.errors import check_videos
from pvdm_lightning.escaping import one_line

LEAST_SIDE = 128
CAPTION_HEIGHT = 26
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
    rows = enlarge(videos[:, :, frame_times(videos.shape[2], num_frames)], least_side).permute(
        0, 3, 2, 4, 1
    )  # [N H frames W 3]
    return Image.fromarray(np.ascontiguousarray(rows.flatten(2, 3).flatten(0, 1).cpu().numpy()))


def frame_times(length: int, num_frames: int = 8) -> list[int]:
    """The frames of a video of `length` frames that a contact sheet shows."""
    times: list[int] = torch.linspace(0, length - 1, min(num_frames, length)).round().long().tolist()
    return times


def caption_strip(text: str, width: int) -> Tensor:
    """A line of text, black on white, uint8 [3 26 width]; what of it is wider is cut."""
    image = Image.new("RGB", (width, CAPTION_HEIGHT), "white")
    ImageDraw.Draw(image).text((2, 1), one_line(text), fill="black", font=ImageFont.load_default(size=18))
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


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
