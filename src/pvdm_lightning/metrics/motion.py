"""How much videos move: a measure that needs neither labels nor a network with weights."""

import torch
from torch import Tensor, nn

from pvdm_lightning.errors import check_videos
from pvdm_lightning.metrics.frozen_network import FrozenNetwork


class FrameDifferences(nn.Module):
    """Videos [B 3 T H W], uint8 or float32 in 0..255 -> float32 [B 1]: the energy of their frame differences.

    It is the mean of |x[t + 1] - x[t]| over colours, pixels and the T - 1 steps from frame to frame, in grey levels a
    step, 0 to 255.
    """

    def forward(self, videos: Tensor) -> Tensor:
        check_videos("FrameDifferences.videos", videos, "[B 3 T H W]", unquantised=True)
        energies = [video.float().diff(dim=1).abs().double().mean() for video in videos]  # one at a time: 4 bytes each
        return torch.stack(energies).float()[:, None]


FRAME_DIFFERENCES = FrozenNetwork(FrameDifferences(), "frame-differences", 1, min_frames=2)
"""Among the networks of an evaluation, so that what it measures is kept and shared as their features are."""


def motion_ratio(real: Tensor, generated: Tensor) -> float:
    """Mean energy of the frame differences of generated videos over that of real ones; 1 is real.

    Args:
        real: [N 1], see `FrameDifferences`.
        generated: [M 1].

    Raises:
        ValueError: No real video moves.
    """
    of_real = real.double().mean().item()
    if not of_real > 0:
        raise ValueError("no real video moves")
    return generated.double().mean().item() / of_real
