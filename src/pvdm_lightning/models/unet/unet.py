"""TriplaneUNet: one 2D U-Net shared by the three planes, with attention across them (PVDM, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from pvdm_lightning.config import register_to_config
from pvdm_lightning.errors import InvalidArgumentError, check_at_least
from pvdm_lightning.models.condition import NO_LABEL, Condition
from pvdm_lightning.models.denoiser import Denoiser
from pvdm_lightning.models.triplane import RowLayout, TriplaneShape
from pvdm_lightning.models.unet.plane_layers import PlaneConv2d, PlaneNorm
from pvdm_lightning.models.unet.position_embedding import PositionEmbedding
from pvdm_lightning.models.unet.residual_block import timestep_embedding
from pvdm_lightning.models.unet.unet_steps import MiddleBlock, PlaneBlock

_NAME = "TriplaneUNet"


def mask_channel(mask: Tensor, shape: TriplaneShape) -> Tensor:
    """Which frames are known, bool [B S], as a channel of the planes, float32 [B 1 L].

    z^h and z^w have an axis of time; z^s, which has none, gets the share of frames that are known.
    """
    mask = mask.float()
    content, over_height, over_width = shape.lengths
    parts = [mask.mean(dim=1, keepdim=True).expand(-1, content)]
    for length in (over_height, over_width):
        parts.append(mask.repeat_interleave(length // shape.frames, dim=1))
    return torch.cat(parts, dim=1).unsqueeze(1)


class TriplaneUNet(Denoiser):
    """Denoises the latent planes of a clip, unconditionally or given the latent of the previous clip.

    Any plane size works: where a side cannot be halved it is rounded up inside, and cut again on the way up.

    Args:
        latent_shape: Sizes of the planes; null takes them from the autoencoder it is trained with.
        latent_channels: C, channels of the latent.
        base_channels: Channels at full size, a multiple of `norm_groups`: 256 for PVDM-L, 128 for PVDM-S.
        channel_multipliers: Channels of each level as multiples of `base_channels`; a level halves the sides.
        blocks_per_level: Residual blocks of each level.
        attention_levels: Levels (0 is full size) with attention inside each plane.
        heads: Attention heads.
        norm_groups: Groups of the norms, 32 in the paper. In a narrow network give fewer: with a channel or two a
            group, the norms take away how bright a plane is as a whole, and samples come out in wrong colours.
        position_embedding: Tell each token its plane, time, row and column. The paper goes without.
        axis_pooling: After each block, add to each plane the means of the other two along the axis that it lacks, so
            that planes agree after a third of the training (docs/recipes.md). The paper goes without.
        gradient_checkpointing: Recompute activations in the backward pass: less memory, about a third more time.
        num_classes: Classes that a sample may be conditioned on; 0, as in the paper, is none.
        class_names: Their names, by label; null takes them from the data.
        known_frames: Take frames of the clip that are given, as latents of the clip filled with them and a mask.
        context_channels: Channels of vectors that a sample may be conditioned on, such as embeddings of a text, which
            tokens attend to; 0 is none.

    Raises:
        InvalidArgumentError: The sizes do not fit each other.
    """

    edge_layers = ("embed_time", "embed_label", "stem", "positions", "head_conv")

    @register_to_config
    def __init__(
        self,
        latent_shape: TriplaneShape | None = None,
        latent_channels: int = 4,
        base_channels: int = 256,
        channel_multipliers: Sequence[int] = (1, 2, 4, 4),
        blocks_per_level: int = 2,
        attention_levels: Sequence[int] = (0, 1, 2),
        heads: int = 8,
        norm_groups: int = 32,
        position_embedding: bool = False,
        axis_pooling: bool = False,
        gradient_checkpointing: bool = False,
        num_classes: int = 0,
        class_names: Sequence[str] | None = None,
        known_frames: bool = False,
        context_channels: int = 0,
    ) -> None:
        super().__init__(latent_channels, latent_shape)
        if norm_groups < 1:
            raise InvalidArgumentError(f"{_NAME}.norm_groups", norm_groups, "is not positive", "Give 32, or fewer.")
        if base_channels < norm_groups or base_channels % norm_groups:
            raise InvalidArgumentError(
                f"{_NAME}.base_channels",
                base_channels,
                f"is not a multiple of {norm_groups}, the groups of the norms",
                f"Give 128 (S) or 256 (L), or set {_NAME}.norm_groups to a divisor.",
            )
        if heads < 1 or base_channels % heads:
            raise InvalidArgumentError(
                f"{_NAME}.heads", heads, f"does not divide the {base_channels} base channels", "Give a divisor, as 8."
            )
        if not channel_multipliers or min(channel_multipliers) < 1:
            given, problem = list(channel_multipliers), "are not all positive, one for each level"
            raise InvalidArgumentError(f"{_NAME}.channel_multipliers", given, problem, "Give such as [1,2,4,4].")
        for name, count in (("latent_channels", latent_channels), ("blocks_per_level", blocks_per_level)):
            check_at_least(f"{_NAME}.{name}", count, 1)
        for name, count in (("num_classes", num_classes), ("context_channels", context_channels)):
            check_at_least(f"{_NAME}.{name}", count, 0)
        taken = {"previous": True, "known": known_frames, "label": num_classes > 0, "context": context_channels > 0}
        self.conditions = tuple(name for name, is_taken in taken.items() if is_taken)
        self.num_classes = num_classes
        self.context_channels = context_channels
        if class_names:
            self.name_classes(class_names)
        self.base_channels = base_channels
        self.gradient_checkpointing = gradient_checkpointing
        time_channels = 4 * base_channels
        self.embed_time = nn.Sequential(
            nn.Linear(base_channels, time_channels), nn.SiLU(), nn.Linear(time_channels, time_channels)
        )
        # One row more, for no class.
        self.embed_label = nn.Embedding(num_classes + 1, time_channels) if num_classes else None
        inputs = 2 * latent_channels + (latent_channels + 1 if known_frames else 0)
        self.stem = PlaneConv2d(inputs, base_channels)
        self.positions = PositionEmbedding(base_channels) if position_embedding else None

        def plane_block(inputs: int, outputs: int, level: int, resample: Literal["down", "up"] | None) -> PlaneBlock:
            attend = level in attention_levels and resample != "down"
            to_context = context_channels if attend else 0
            return PlaneBlock(
                inputs, outputs, time_channels, heads, attend, resample, norm_groups, axis_pooling, to_context
            )

        channels = base_channels
        skips = [channels]
        self.down = nn.ModuleList()
        for level, multiplier in enumerate(channel_multipliers):
            for _ in range(blocks_per_level):
                self.down.append(plane_block(channels, multiplier * base_channels, level, None))
                channels = multiplier * base_channels
                skips.append(channels)
            if level + 1 < len(channel_multipliers):
                self.down.append(plane_block(channels, channels, level, "down"))
                skips.append(channels)

        self.middle = MiddleBlock(channels, time_channels, heads, norm_groups, axis_pooling, context_channels)

        self.up = nn.ModuleList()
        for level, multiplier in reversed(list(enumerate(channel_multipliers))):
            for block in range(blocks_per_level + 1):
                resample: Literal["up"] | None = "up" if level > 0 and block == blocks_per_level else None
                self.up.append(plane_block(channels + skips.pop(), multiplier * base_channels, level, resample))
                channels = multiplier * base_channels

        self.head_norm = PlaneNorm(norm_groups, channels)
        self.head_conv = PlaneConv2d(channels, latent_channels)
        nn.init.zeros_(self.head_conv.weight)
        nn.init.zeros_(self.head_conv.bias)  # type: ignore[arg-type]

    def shard_units(self) -> list[nn.Module]:
        return [*self.down, self.middle, *self.up]

    def forward(self, z_t: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        """Noisy latent z_t [B C L], time t [B], condition of B samples or None -> noise [B C L].

        Raises:
            ValueError: The latent has another size than the network was told, or the condition has a part that the
                network was not built for.
        """
        if self.latent_shape is None:
            raise ValueError("TriplaneUNet has no latent_shape: give it one, or train it with an autoencoder")
        condition = Condition() if condition is None else condition
        for name in condition.given:
            if name not in self.conditions:
                raise ValueError(f"this TriplaneUNet is conditioned on {', '.join(self.conditions)}, not on {name}")
        # SiLU comes before the projection of each block, and is the same in all of them.
        time = F.silu(self.embed(t, condition, z_t.dtype))
        layout = RowLayout(len(z_t), self.latent_shape)
        x = layout.rows(self.stem(layout.images(layout.from_sequence(self._inputs(z_t, condition)))))
        if self.positions is not None:
            x = layout.add_tokens(x, self.positions(self.latent_shape))
        tokens = self.embed_tokens(condition)
        if tokens is not None:
            x = layout.add_tokens(x, tokens)

        context = None
        if self.context_channels:
            context = condition.context
            context = z_t.new_zeros(len(z_t), 1, self.context_channels) if context is None else context
        skips = [(x, layout)]
        for block in self.down:
            out_layout = layout.halved() if block.halves else layout
            x, layout = self._run(block, x, time, layout, out_layout, context), out_layout
            skips.append((x, layout))
        x = self._run(self.middle, x, time, layout, layout, context)
        for block in self.up:
            x = torch.cat([x, skips.pop()[0]], dim=1)
            # A step that doubles lands on the size of the skip connection that comes next.
            out_layout = skips[-1][1] if skips else layout
            x, layout = self._run(block, x, time, layout, out_layout, context), out_layout
        images = self.head_conv(self.head_norm(layout.images(x)))
        # Float32, whatever autocast computed in: the samplers' arithmetic needs its digits.
        return layout.to_sequence(layout.rows(images)).float()

    def embed(self, t: Tensor, condition: Condition, dtype: torch.dtype) -> Tensor:
        """Embedding of the time and the class, [B 4 * base_channels], which all blocks take.

        A subclass may add what it knows of the whole sample, such as the speed of a camera.
        """
        time: Tensor = self.embed_time(timestep_embedding(t, self.base_channels).to(dtype))
        if self.embed_label is not None:
            label = torch.full_like(t, NO_LABEL) if condition.label is None else condition.label
            time = time + self.embed_label(torch.where(label < 0, self.num_classes, label))
        return time

    def embed_tokens(self, condition: Condition) -> Tensor | None:
        """What is added to each token ahead of the blocks, [B L base_channels]; None, as here, is nothing.

        A subclass may add what it knows of single frames or places, such as an action or a depth map per frame:
        ``self.latent_shape.project`` brings it onto the planes.
        """
        return None

    def _inputs(self, z_t: Tensor, condition: Condition) -> Tensor:
        """What the stem takes, [B . L]: z_t and the clip before, and the known frames with their mask."""
        # The null frame of the paper is zeros.
        parts = [z_t, torch.zeros_like(z_t) if condition.previous is None else condition.previous]
        if "known" in self.conditions:
            assert self.latent_shape is not None
            if condition.known is None:
                parts.append(z_t.new_zeros(len(z_t), self.latent_channels + 1, z_t.shape[2]))
            else:
                latent, mask = condition.known
                parts += [latent, mask_channel(mask, self.latent_shape).to(z_t.dtype)]
        return torch.cat(parts, dim=1)

    def _run(
        self,
        block: nn.Module,
        x: Tensor,
        time: Tensor,
        layout: RowLayout,
        out_layout: RowLayout,
        context: Tensor | None,
    ) -> Tensor:
        if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
            return checkpoint(block, x, time, layout, out_layout, context, use_reentrant=False)
        return block(x, time, layout, out_layout, context)
