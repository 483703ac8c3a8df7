"""Self-attention on a set of tokens [B C N], the core of attention inside a plane and across planes."""

from torch import Tensor, nn
from torch.nn import functional as F


class TokenAttention(nn.Module):
    """Group norm, multi-head self-attention, an output projection that starts at zero, and a residual.

    Args:
        channels: C, a multiple of 32 (the groups of the norm) and of `heads`.
        heads: Attention heads.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(32, channels)
        self.to_qkv = nn.Conv1d(channels, 3 * channels, kernel_size=1)
        self.to_out = nn.Conv1d(channels, channels, kernel_size=1)
        nn.init.zeros_(self.to_out.weight)
        nn.init.zeros_(self.to_out.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """X [B C N] -> [B C N]."""
        # The released weights order the output channels of to_qkv as (head, q k v, channel of the head).
        q, k, v = self.to_qkv(self.norm(x)).unflatten(1, (self.heads, 3, -1)).transpose(3, 4).unbind(2)
        attended = F.scaled_dot_product_attention(q, k, v)
        return x + self.to_out(attended.transpose(2, 3).flatten(1, 2))
