"""Released diffusion models: their state dict -> TriplaneUNet."""

from collections.abc import Mapping

from torch import Tensor

from pvdm_lightning.convert.renaming import load_renamed, strip_prefix
from pvdm_lightning.models.triplane import TriplaneShape
from pvdm_lightning.models.unet import TriplaneUNet

_ANCHOR = "time_embed.0.weight"
# What the released configuration fixes and the weights do not show.
_MULTIPLIERS = (1, 2, 4, 4)
_BLOCKS_PER_LEVEL = 2
_ATTENTION_LEVELS = (0, 1, 2)
# Its convolutions with a kernel of one position are linear layers of ours.
_POINTWISE = ("qkv.weight", "proj_out.weight", "skip_connection.weight")


def load_denoiser(state_dict: Mapping[str, Tensor], latent_shape: TriplaneShape, num_heads: int = 8) -> TriplaneUNet:
    """Build the U-Net whose weights `state_dict` holds, of the released configuration (S, L or any other width).

    Args:
        state_dict: State dict of the original's diffusion model, with any prefix, buffers included.
        latent_shape: Sizes of the latent planes.
        num_heads: Attention heads.

    Raises:
        ValueError: A key is missing, left over or misshapen; it is named.
    """
    weights = {
        key: weight.flatten(1) if key.endswith(_POINTWISE) else weight
        for key, weight in strip_prefix(state_dict, _ANCHOR).items()
    }
    if "out.2.weight" not in weights:
        raise ValueError("the state dict does not fit; keys missing: out.2.weight")
    model = TriplaneUNet(
        latent_shape,
        latent_channels=weights["out.2.weight"].shape[0],
        base_channels=weights[_ANCHOR].shape[1],
        channel_multipliers=_MULTIPLIERS,
        blocks_per_level=_BLOCKS_PER_LEVEL,
        attention_levels=_ATTENTION_LEVELS,
        heads=num_heads,
    )
    load_renamed(model, weights, _names(model), derived={"zeros"})
    return model


def _names(model: TriplaneUNet) -> dict[str, str]:
    names: dict[str, str] = {}

    def layer(ours: str, theirs: str) -> None:
        for kind in ("weight", "bias"):
            names[f"{ours}.{kind}"] = f"{theirs}.{kind}"

    def residual(ours: str, theirs: str, has_skip: bool) -> None:
        layer(f"{ours}.in_norm", f"{theirs}.in_layers.0")
        layer(f"{ours}.in_conv", f"{theirs}.in_layers.2")
        layer(f"{ours}.to_scale_shift", f"{theirs}.emb_layers.1")
        layer(f"{ours}.out_norm", f"{theirs}.out_layers.0")
        layer(f"{ours}.out_conv", f"{theirs}.out_layers.3")
        if has_skip:
            layer(f"{ours}.skip", f"{theirs}.skip_connection")

    def attention(ours: str, theirs: str) -> None:
        layer(f"{ours}.attention.norm", f"{theirs}.norm")
        layer(f"{ours}.attention.to_qkv", f"{theirs}.qkv")
        layer(f"{ours}.attention.to_out", f"{theirs}.proj_out")

    own = set(model.state_dict())
    layer("embed_time.0", "time_embed.0")
    layer("embed_time.2", "time_embed.2")
    layer("stem", "input_blocks.0.0")
    for ours, theirs, blocks, offset in (("down", "input", model.down, 1), ("up", "output", model.up, 0)):
        for i in range(len(blocks)):
            block, step = f"{ours}.{i}", f"{theirs}_blocks.{i + offset}"
            residual(f"{block}.residual", f"{step}.0", f"{block}.residual.skip.weight" in own)
            place = 1
            if f"{block}.attention.attention.norm.weight" in own:
                attention(f"{block}.attention", f"{step}.{place}")
                place += 1
            if f"{block}.upsample.in_norm.weight" in own:
                residual(f"{block}.upsample", f"{step}.{place}", has_skip=False)
            attention(f"{block}.across", f"{theirs}_attns.{i + offset}")
    residual("middle.first", "middle_block.0", has_skip=False)
    attention("middle.attention", "middle_block.1")
    residual("middle.second", "middle_block.2", has_skip=False)
    attention("middle.across", "mid_attn")
    layer("head_norm", "out.0")
    layer("head_conv", "out.2")
    return names
