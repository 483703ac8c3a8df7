"""The steps of the U-Net: residual blocks on each plane, then an exchange between planes and with a context."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from pvdm_lightning.models.triplane import RowLayout
from pvdm_lightning.models.unet.axis_pooling import AxisPooling
from pvdm_lightning.models.unet.residual_block import ResidualBlock
from pvdm_lightning.models.unet.token_attention import ContextAttention, PlaneSelfAttention, TriplaneAttention


class PlaneBlock(nn.Module):
    """One step of the U-Net: residual block, attention inside each plane, resampling, attention across planes."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        time_channels: int,
        heads: int,
        attend: bool = False,
        resample: Literal["down", "up"] | None = None,
        norm_groups: int = 32,
        axis_pooling: bool = False,
        context_channels: int = 0,
    ) -> None:
        super().__init__()
        self.halves = resample == "down"
        # On the way down the halving is the whole step.
        first: Literal["down"] | None = "down" if self.halves else None
        self.residual = ResidualBlock(in_channels, out_channels, time_channels, first, norm_groups)
        self.attention = PlaneSelfAttention(out_channels, heads, norm_groups) if attend else None
        # On the way up the doubling is a residual block of its own.
        up = resample == "up"
        self.upsample = ResidualBlock(out_channels, out_channels, time_channels, "up", norm_groups) if up else None
        self.across = TriplaneAttention(out_channels, heads, norm_groups)
        self.pooling = AxisPooling(out_channels, norm_groups) if axis_pooling else None
        self.to_context = (
            ContextAttention(out_channels, heads, context_channels, norm_groups) if context_channels else None
        )

    def forward(
        self, x: Tensor, time: Tensor, layout: RowLayout, out_layout: RowLayout, context: Tensor | None = None
    ) -> Tensor:
        """Rows x [B*L C], SiLU of the timestep embedding [B T], context [B N E] -> rows [B*L' C']."""
        x = self.residual(x, time, layout, out_layout if self.halves else layout)
        layout = out_layout if self.halves else layout
        if self.attention is not None:
            x = self.attention(x, layout)
        if self.upsample is not None:
            x = self.upsample(x, time, layout, out_layout)
        x = self.across(x, out_layout)
        if self.to_context is not None and context is not None:
            x = self.to_context(x, context, out_layout)
        return x if self.pooling is None else self.pooling(x, out_layout)


class MiddleBlock(nn.Module):
    """The bottom of the U-Net: residual, attention, residual on each plane, then attention across planes."""

    def __init__(
        self,
        channels: int,
        time_channels: int,
        heads: int,
        norm_groups: int = 32,
        axis_pooling: bool = False,
        context_channels: int = 0,
    ) -> None:
        super().__init__()
        self.first = ResidualBlock(channels, channels, time_channels, norm_groups=norm_groups)
        self.attention = PlaneSelfAttention(channels, heads, norm_groups)
        self.second = ResidualBlock(channels, channels, time_channels, norm_groups=norm_groups)
        self.across = TriplaneAttention(channels, heads, norm_groups)
        self.pooling = AxisPooling(channels, norm_groups) if axis_pooling else None
        self.to_context = ContextAttention(channels, heads, context_channels, norm_groups) if context_channels else None

    def forward(
        self, x: Tensor, time: Tensor, layout: RowLayout, out_layout: RowLayout, context: Tensor | None = None
    ) -> Tensor:
        """Rows x [B*L C], SiLU of the timestep embedding [B T], context [B N E] -> the same."""
        x = self.first(x, time, layout, layout)
        x = self.second(self.attention(x, layout), time, layout, layout)
        x = self.across(x, layout)
        if self.to_context is not None and context is not None:
            x = self.to_context(x, context, layout)
        return x if self.pooling is None else self.pooling(x, layout)
