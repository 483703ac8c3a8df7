"""TriplaneUNet: one 2D U-Net shared by the three planes, with attention across them (PVDM, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from pvdm_lightning.denoiser.blocks import PlaneSelfAttention, ResidualBlock, timestep_embedding
from pvdm_lightning.denoiser.plane_attention import TriplaneAttention
from pvdm_lightning.errors import UserError
from pvdm_lightning.triplane import Triplane, TriplaneShape

_FLAG = "--model.denoiser"


def on_each_plane(fn: Callable[..., Tensor], planes: Triplane, time: Tensor, sizes: TriplaneShape) -> Triplane:
    """Run `fn(plane, time, size)` on every plane; z^h and z^w in one call where they have equal sizes."""
    size_s, size_h, size_w = sizes.planes
    z_s = fn(planes.z_s, time, size_s)
    if planes.z_h.shape == planes.z_w.shape and size_h == size_w:
        both = fn(torch.cat([planes.z_h, planes.z_w]), torch.cat([time, time]), size_h)
        return Triplane(z_s, *both.chunk(2))
    return Triplane(z_s, fn(planes.z_h, time, size_h), fn(planes.z_w, time, size_w))


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
    ) -> None:
        super().__init__()
        downwards = resample == "down"
        self.residual = ResidualBlock(in_channels, out_channels, time_channels, "down" if downwards else None)
        self.attention = PlaneSelfAttention(out_channels, heads) if attend else None
        # On the way up the doubling is a residual block of its own; on the way down it is the whole step.
        self.upsample = ResidualBlock(out_channels, out_channels, time_channels, "up") if resample == "up" else None
        self.across = TriplaneAttention(out_channels, heads)

    def _on_plane(self, x: Tensor, time: Tensor, size: tuple[int, int]) -> Tensor:
        x = self.residual(x, time)
        if self.attention is not None:
            x = self.attention(x)
        return x if self.upsample is None else self.upsample(x, time, size)

    def forward(self, planes: Triplane, time: Tensor, sizes: TriplaneShape) -> Triplane:
        """`sizes` are those of the output; they matter only where the step doubles."""
        return self.across(on_each_plane(self._on_plane, planes, time, sizes))


class MiddleBlock(nn.Module):
    """The bottom of the U-Net: residual, attention, residual on each plane, then attention across planes."""

    def __init__(self, channels: int, time_channels: int, heads: int) -> None:
        super().__init__()
        self.first = ResidualBlock(channels, channels, time_channels)
        self.attention = PlaneSelfAttention(channels, heads)
        self.second = ResidualBlock(channels, channels, time_channels)
        self.across = TriplaneAttention(channels, heads)

    def _on_plane(self, x: Tensor, time: Tensor, size: tuple[int, int]) -> Tensor:
        return self.second(self.attention(self.first(x, time)), time)

    def forward(self, planes: Triplane, time: Tensor, sizes: TriplaneShape) -> Triplane:
        return self.across(on_each_plane(self._on_plane, planes, time, sizes))


class TriplaneUNet(nn.Module):
    """Predicts the noise in the latent planes of a clip, given the latent of the clip before it or none.

    Any plane size works: where a side cannot be halved it is rounded up inside, and cut again on the way up.

    Args:
        latent_shape: Sizes of the planes; null takes them from the autoencoder it is trained with.
        latent_channels: C, channels of the latent.
        base_channels: Channels at full size, a multiple of 32: 256 for PVDM-L, 128 for PVDM-S.
        channel_multipliers: Channels of each level as multiples of `base_channels`; a level halves the sides.
        blocks_per_level: Residual blocks of each level.
        attention_levels: Levels (0 is full size) with attention inside each plane.
        heads: Attention heads.
        checkpointing: Recompute activations in the backward pass: less memory, about a third more time.

    Raises:
        UserError: The sizes do not fit each other.
    """

    def __init__(
        self,
        latent_shape: TriplaneShape | None = None,
        latent_channels: int = 4,
        base_channels: int = 256,
        channel_multipliers: Sequence[int] = (1, 2, 4, 4),
        blocks_per_level: int = 2,
        attention_levels: Sequence[int] = (0, 1, 2),
        heads: int = 8,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if base_channels < 32 or base_channels % 32:
            raise UserError(
                f"{_FLAG}.base_channels", base_channels, "is not a multiple of 32", "Give 32, 64, 128 (S) or 256 (L)."
            )
        if heads < 1 or base_channels % heads:
            raise UserError(
                f"{_FLAG}.heads", heads, f"does not divide the {base_channels} base channels", "Give a divisor, as 8."
            )
        self.latent_shape = latent_shape
        self.latent_channels = latent_channels
        self.base_channels = base_channels
        self.checkpointing = checkpointing
        self._config: dict[str, Any] = {
            "latent_channels": latent_channels,
            "base_channels": base_channels,
            "channel_multipliers": list(channel_multipliers),
            "blocks_per_level": blocks_per_level,
            "attention_levels": list(attention_levels),
            "heads": heads,
            "checkpointing": checkpointing,
        }
        time_channels = 4 * base_channels
        self.embed_time = nn.Sequential(
            nn.Linear(base_channels, time_channels), nn.SiLU(), nn.Linear(time_channels, time_channels)
        )
        self.stem = nn.Conv2d(2 * latent_channels, base_channels, kernel_size=3, padding=1)

        channels = base_channels
        skips = [channels]
        self.down = nn.ModuleList()
        for level, multiplier in enumerate(channel_multipliers):
            for _ in range(blocks_per_level):
                out = multiplier * base_channels
                self.down.append(PlaneBlock(channels, out, time_channels, heads, level in attention_levels))
                channels = out
                skips.append(channels)
            if level + 1 < len(channel_multipliers):
                self.down.append(PlaneBlock(channels, channels, time_channels, heads, resample="down"))
                skips.append(channels)

        self.middle = MiddleBlock(channels, time_channels, heads)

        self.up = nn.ModuleList()
        for level, multiplier in reversed(list(enumerate(channel_multipliers))):
            for block in range(blocks_per_level + 1):
                out = multiplier * base_channels
                doubles = level > 0 and block == blocks_per_level
                self.up.append(
                    PlaneBlock(
                        channels + skips.pop(),
                        out,
                        time_channels,
                        heads,
                        attend=level in attention_levels,
                        resample="up" if doubles else None,
                    )
                )
                channels = out

        self.head_norm = nn.GroupNorm(32, channels)
        self.head_conv = nn.Conv2d(channels, latent_channels, kernel_size=3, padding=1)
        nn.init.zeros_(self.head_conv.weight)
        nn.init.zeros_(self.head_conv.bias)  # type: ignore[arg-type]

    @property
    def config(self) -> dict[str, Any]:
        """The constructor's arguments as plain values, from which a checkpoint rebuilds the network."""
        shape = self.latent_shape
        plain = None if shape is None else {"frames": shape.frames, "height": shape.height, "width": shape.width}
        return {"latent_shape": plain, **self._config}

    def forward(self, z_t: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """Noisy latent z_t [B C L], time t [B], condition [B C L] or None (zeros, the null frame) -> noise [B C L].

        Raises:
            ValueError: The latent has another size than the network was told.
        """
        if self.latent_shape is None:
            raise ValueError("TriplaneUNet has no latent_shape: give it one, or train it with an autoencoder")
        if condition is None:
            condition = torch.zeros_like(z_t)
        planes = Triplane.from_sequence(torch.cat([z_t, condition], dim=1), self.latent_shape)
        time = self.embed_time(timestep_embedding(t, self.base_channels))

        planes = on_each_plane(lambda x, _time, _size: self.stem(x), planes, time, planes.shape)
        skips = [planes]
        for block in self.down:
            planes = self._run(block, planes, time, planes.shape)
            skips.append(planes)
        planes = self._run(self.middle, planes, time, planes.shape)
        for block in self.up:
            skip = skips.pop()
            planes = Triplane(*(torch.cat(pair, dim=1) for pair in zip(planes, skip, strict=True)))
            # A step that doubles lands on the size of the skip connection that comes next.
            planes = self._run(block, planes, time, skips[-1].shape if skips else planes.shape)
        return on_each_plane(self._head, planes, time, planes.shape).to_sequence()

    def _run(self, block: nn.Module, planes: Triplane, time: Tensor, sizes: TriplaneShape) -> Triplane:
        if self.checkpointing and self.training and torch.is_grad_enabled():
            return checkpoint(block, planes, time, sizes, use_reentrant=False)
        return block(planes, time, sizes)

    def _head(self, x: Tensor, _time: Tensor, _size: tuple[int, int]) -> Tensor:
        # The noise in float32, whatever autocast computed in: the samplers' arithmetic needs its digits.
        return self.head_conv(F.silu(self.head_norm(x))).float()
