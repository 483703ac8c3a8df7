"""Self-attention among the tokens of a triplane: inside each plane, or across all three (PVDM, section 3.2)."""

from __future__ import annotations

from torch import Tensor, nn

from pvdm_lightning.models.attention import ScaledDotProductAttention
from pvdm_lightning.models.triplane import RowLayout
from pvdm_lightning.models.unet.plane_layers import PlaneNorm


class TokenAttention(nn.Module):
    """Group norm, multi-head self-attention, and an output projection that starts at zero.

    Args:
        channels: C, a multiple of `norm_groups` and of `heads`.
        heads: Attention heads.
        norm_groups: Groups of the norm.
    """

    def __init__(self, channels: int, heads: int, norm_groups: int = 32) -> None:
        super().__init__()
        self.heads = heads
        self.norm = PlaneNorm(norm_groups, channels, silu=False)
        self.to_qkv = nn.Linear(channels, 3 * channels)
        self.to_out = nn.Linear(channels, channels)
        nn.init.zeros_(self.to_out.weight)
        nn.init.zeros_(self.to_out.bias)
        self.scaled_dot_product = ScaledDotProductAttention()

    def forward(self, x: Tensor, sizes: list[tuple[int, int]]) -> list[Tensor]:
        """Rows x [N C] -> tokens [samples positions C] of each part.

        Args:
            x: Features.
            sizes: (samples, positions) of the parts that lie one after another in x; positions see each other.
        """
        qkv = self.to_qkv(self.norm.rows(x, sizes))
        parts = qkv.split([samples * positions for samples, positions in sizes])
        return [self.to_out(self._attend(part.unflatten(0, size))) for part, size in zip(parts, sizes, strict=True)]

    def _attend(self, qkv: Tensor) -> Tensor:
        """Queries, keys and values [B N 3C] of tokens that see each other -> [B N C]."""
        # The released weights order the output channels of to_qkv as (head, q k v, channel of the head).
        q, k, v = qkv.unflatten(2, (self.heads, 3, -1)).permute(3, 0, 2, 1, 4)
        return self.scaled_dot_product(q, k, v).transpose(1, 2).flatten(2)


class PlaneSelfAttention(nn.Module):
    """Attention among the positions of one plane."""

    def __init__(self, channels: int, heads: int, norm_groups: int = 32) -> None:
        super().__init__()
        self.attention = TokenAttention(channels, heads, norm_groups)

    def forward(self, x: Tensor, layout: RowLayout) -> Tensor:
        """Rows x [B*L C] -> rows [B*L C]."""
        return layout.add_parts(x, self.attention(x, layout.sizes()))


class TriplaneAttention(nn.Module):
    """Joint attention across z^s, z^h and z^w, the only place where planes exchange information."""

    def __init__(self, channels: int, heads: int, norm_groups: int = 32) -> None:
        super().__init__()
        self.attention = TokenAttention(channels, heads, norm_groups)

    def forward(self, x: Tensor, layout: RowLayout) -> Tensor:
        """Rows x [B*L C] -> rows [B*L C]."""
        tokens = layout.tokens(x)
        (attended,) = self.attention(tokens.flatten(0, 1), [(layout.batch, layout.shape.num_tokens)])
        return layout.add_tokens(x, attended)


class ContextAttention(nn.Module):
    """Attention of all tokens to vectors beside them, such as the embedding of a text; an identity at the start.

    Args:
        channels: C, a multiple of `norm_groups` and of `heads`.
        heads: Attention heads.
        context_channels: E, channels of the context.
        norm_groups: Groups of the norm.
    """

    def __init__(self, channels: int, heads: int, context_channels: int, norm_groups: int = 32) -> None:
        super().__init__()
        self.heads = heads
        self.norm = PlaneNorm(norm_groups, channels, silu=False)
        self.to_q = nn.Linear(channels, channels)
        self.to_kv = nn.Linear(context_channels, 2 * channels)
        self.to_out = nn.Linear(channels, channels)
        nn.init.zeros_(self.to_out.weight)
        nn.init.zeros_(self.to_out.bias)
        self.scaled_dot_product = ScaledDotProductAttention()

    def forward(self, x: Tensor, context: Tensor, layout: RowLayout) -> Tensor:
        """Rows x [B*L C], context [B N E] -> rows [B*L C]; any number of zero vectors says the same."""
        tokens = layout.tokens(x)
        normed = self.norm.rows(tokens.flatten(0, 1), [(layout.batch, layout.shape.num_tokens)]).view_as(tokens)
        q = self.to_q(normed).unflatten(2, (self.heads, -1)).transpose(1, 2)
        k, v = self.to_kv(context).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = self.scaled_dot_product(q, k, v).transpose(1, 2).flatten(2)
        return layout.add_tokens(x, self.to_out(attended))
