"""The stage-one model: clip <-> three latent planes."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from pvdm_lightning.config import register_to_config
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.models.autoencoder.decoder import TriplaneDecoder
from pvdm_lightning.models.autoencoder.encoder import VideoEncoder
from pvdm_lightning.models.autoencoder.projector import TriplaneProjector
from pvdm_lightning.models.autoencoder.rotary import RotaryHeads
from pvdm_lightning.models.autoencoder.space_time_transformer import GEGLU, SpaceTimeTransformer
from pvdm_lightning.models.gradient_checkpointing import GradientCheckpointing
from pvdm_lightning.models.triplane import Triplane, TriplaneShape

_NAME = "VideoAutoencoder"


class VideoAutoencoder(nn.Module):
    """Video Transformer encoder, three axis projectors and a broadcast-and-sum decoder (PVDM, section 3.1).

    Args:
        frames: S, frames of a clip.
        resolution: Pixels of a frame: one number for a square, or (height, width). Multiples of `patch`.
        patch: Side of a square patch in pixels; the latent planes are this much smaller than the frame.
        latent_channels: C, channels of the latent planes.
        dim: D, channels of the Transformers.
        depth: Blocks of the encoder, and of the decoder.
        heads: Attention heads of encoder and decoder.
        head_dim: Channels of such a head, a multiple of 4.
        projector_depth: Layers of each of the three projection Transformers.
        projector_heads: Their attention heads, each of dim / 8 channels.
        projector_mlp_dim: Hidden width of their feed-forward.
        zero_mean_motion: Subtract from z^h and z^w their mean over tokens, so that what all frames share lies in z^s
            alone. Simpler latents to learn in stage two, for about 1 dB of PSNR; the paper and its weights go without.
        overlapping_output: Let what the decoder draws of a patch reach half a patch into its neighbours on each side,
            where it adds up, so that no grid of patches shows. The paper and its weights go without.
        gradient_checkpointing: Compute activations again in the backward pass instead of keeping them: true computes
            whole blocks again, for least memory; selective keeps the results of matrix products and attention and
            repeats what is cheap.

    Raises:
        InvalidArgumentError: The sizes do not fit each other.
    """

    edge_layers: ClassVar[tuple[str, ...]] = (
        *("embed", "to_latent", "from_s", "from_h", "from_w", "to_pixels"),
        *("token", "positions"),
    )
    """Attribute names of first and last layers, of learned tokens and positions: Muon leaves their weights to AdamW."""

    config: dict[str, Any]

    @register_to_config
    def __init__(
        self,
        frames: int = 16,
        resolution: int | tuple[int, int] = 256,
        patch: int = 8,
        latent_channels: int = 4,
        dim: int = 384,
        depth: int = 8,
        heads: int = 8,
        head_dim: int = 64,
        projector_depth: int = 4,
        projector_heads: int = 4,
        projector_mlp_dim: int = 512,
        zero_mean_motion: bool = False,
        overlapping_output: bool = False,
        gradient_checkpointing: GradientCheckpointing = False,
    ) -> None:
        super().__init__()
        height, width = (resolution, resolution) if isinstance(resolution, int) else resolution
        self.config |= {"resolution": [height, width]}
        self._check_sizes()
        self.clip_shape = (frames, height, width)
        self.latent_channels = latent_channels
        self.zero_mean_motion = zero_mean_motion
        self.latent_shape = TriplaneShape.of_clip(frames, height, width, patch)

        def transformer() -> SpaceTimeTransformer:
            return SpaceTimeTransformer(dim, depth, heads, head_dim, gradient_checkpointing)

        self.encoder = VideoEncoder(patch, transformer(), dim)
        self.projector = TriplaneProjector(
            self.latent_shape, dim, projector_depth, projector_heads, dim // 8, projector_mlp_dim, latent_channels
        )
        self.decoder = TriplaneDecoder(patch, transformer(), dim, latent_channels, overlapping_output)

    def _check_sizes(self) -> None:
        no_numbers = ("resolution", "zero_mean_motion", "overlapping_output", "gradient_checkpointing")
        for name, value in self.config.items():
            if name not in no_numbers and value < 1:
                raise InvalidArgumentError(
                    f"{_NAME}.{name}", value, "is not positive", "Give a whole number of at least 1."
                )
        checkpointing = self.config["gradient_checkpointing"]
        if not (isinstance(checkpointing, bool) or checkpointing == "selective"):
            problem, remedy = "is none of true, false and selective", "Give one of them."
            raise InvalidArgumentError(f"{_NAME}.gradient_checkpointing", checkpointing, problem, remedy)
        (height, width), patch = self.config["resolution"], self.config["patch"]
        for side in (height, width):
            if side < 1:
                problem = "is not positive"
                raise InvalidArgumentError(
                    f"{_NAME}.resolution", f"{height} x {width}", problem, f"Give a multiple of {patch}, such as 64."
                )
            if side < patch or side % patch:
                nearest = max(patch, round(side / patch) * patch)
                raise InvalidArgumentError(
                    f"{_NAME}.resolution",
                    f"{height} x {width}",
                    f"{side} is not divisible by the patch of {patch} pixels",
                    f"Give a multiple of {patch}, such as {nearest}, or set {_NAME}.patch to a divisor of {side}.",
                )
        if self.config["overlapping_output"] and patch % 2:
            problem, remedy = "is odd, and overlapping_output takes half a patch", "Give an even number, such as 8."
            raise InvalidArgumentError(f"{_NAME}.patch", patch, problem, remedy)
        if self.config["head_dim"] % 4:
            raise InvalidArgumentError(
                f"{_NAME}.head_dim", self.config["head_dim"], "is not a multiple of 4", "Give one, such as 32 or 64."
            )
        if self.config["dim"] % 8:
            raise InvalidArgumentError(
                f"{_NAME}.dim", self.config["dim"], "is not a multiple of 8", "Give one, such as 384."
            )

    def parts_to_compile(self) -> list[tuple[nn.Module, str]]:
        """Modules and methods that `compile_parts` compiles; all else is one call of a library each."""
        # Not what was swapped for a kernel of its own.
        return [(module, "forward") for module in self.modules() if type(module) in (RotaryHeads, GEGLU)]

    def encode(self, clip: Tensor) -> Triplane:
        """Clip [B 3 S H W] in [-1, 1] -> latent planes in [-1, 1], or in [-2, 2] with `zero_mean_motion`.

        Raises:
            ValueError: The clip has another size than the model was built for.
        """
        if clip.dim() != 5 or (clip.shape[1], *clip.shape[2:]) != (3, *self.clip_shape):
            raise ValueError(
                f"this autoencoder takes clips [B 3 {' '.join(map(str, self.clip_shape))}], got {list(clip.shape)}"
            )
        if not clip.is_floating_point():
            dtype, remedy = str(clip.dtype).removeprefix("torch."), "Give uint8 clips as clip / 127.5 - 1."
            raise InvalidArgumentError("clip", dtype, "is not float in [-1, 1]", remedy)
        latent = self.projector(self.encoder(clip))
        if self.zero_mean_motion:
            z_h, z_w = (plane - plane.mean(dim=(2, 3), keepdim=True) for plane in (latent.z_h, latent.z_w))
            latent = Triplane(latent.z_s, z_h, z_w)
        return latent

    def decode(self, latent: Triplane) -> Tensor:
        """Latent planes -> clip [B 3 S H W] in [-1, 1], float32.

        Raises:
            ValueError: The planes have another size than the model was built for.
        """
        if latent.shape != self.latent_shape:
            raise ValueError(f"this autoencoder decodes latents of {self.latent_shape}, got {latent.shape}")
        return self.decoder(latent)

    def forward(self, clip: Tensor) -> Tensor:
        """The reconstruction of a clip [B 3 S H W]."""
        return self.decode(self.encode(clip))
