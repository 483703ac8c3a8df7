"""A panel: rows of videos with captions, enlarged and in step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from pvdm_lightning.data.videos.contact_sheet import LEAST_SIDE, enlarge

GAP = 4
_CAPTION = 26


def draw_panel(rows: Mapping[str, Tensor], least_side: int = LEAST_SIDE) -> Tensor:
    """Rows of videos below their captions, as one video.

    Args:
        rows: Caption -> videos uint8 [N 3 T H W]; all rows have the same T.
        least_side: Videos are enlarged by a whole number until they are so high, in pixels.

    Returns:
        uint8 [3 T H' W'], on the CPU.
    """
    strips = []
    for caption, videos in rows.items():
        large = torch.nn.functional.pad(enlarge(videos.cpu(), least_side), (0, GAP, 0, GAP), value=255)
        strips.append((caption, torch.cat(list(large), dim=3)))  # [3 T H N*W]
    width = max(strip.shape[3] for _, strip in strips)
    parts = []
    for caption, strip in strips:
        wide = torch.nn.functional.pad(strip, (0, width - strip.shape[3]), value=255)
        title = _title(caption, width)[:, None].expand(-1, wide.shape[1], -1, -1)
        parts += [title, wide]
    return torch.cat(parts, dim=2)


def _title(text: str, width: int) -> Tensor:
    """A line of text, uint8 [3 _CAPTION width]."""
    image = Image.new("RGB", (width, _CAPTION), "white")
    ImageDraw.Draw(image).text((2, 1), text, fill="black", font=ImageFont.load_default(size=18))
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)
