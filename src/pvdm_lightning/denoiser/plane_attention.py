"""Attention over the tokens of all three planes together, which is where the planes learn of each other."""

from torch import Tensor, nn

from pvdm_lightning.denoiser.attention import TokenAttention
from pvdm_lightning.triplane import Triplane


class TriplaneAttention(nn.Module):
    """Joint attention across z^s, z^h and z^w (PVDM, section 3.2)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.attention = TokenAttention(channels, heads)

    def forward(self, planes: Triplane) -> Triplane:
        sequence: Tensor = self.attention(planes.to_sequence())
        return Triplane.from_sequence(sequence, planes.shape)
