"""Released autoencoders: their state dict -> VideoAutoencoder."""

from collections.abc import Mapping

from torch import Tensor

from pvdm_lightning.convert.renaming import load_renamed, strip_prefix
from pvdm_lightning.models.autoencoder import VideoAutoencoder

_ANCHOR = "encoder.to_patch_embedding.weight"
# Which plane (the axis projected away) the original's names stand for.
_PROJECTORS = {"over_time": "xy", "over_height": "yt", "over_width": "xt"}
_PLANES = {"from_s": "xy", "from_h": "yt", "from_w": "xt"}


def load_autoencoder(
    state_dict: Mapping[str, Tensor], frames: int = 16, resolution: int | tuple[int, int] | None = None
) -> VideoAutoencoder:
    """Build the autoencoder whose weights `state_dict` holds; other sizes are read off the weights.

    Args:
        state_dict: State dict of the original's autoencoder, with any prefix, buffers included.
        frames: S, frames of a clip.
        resolution: Pixels of a frame, (height, width) or the side of a square; None reads it off the weights.

    Raises:
        ValueError: A key is missing, left over or misshapen (for `frames` or `resolution`, say); it is named.
    """
    weights = strip_prefix(state_dict, _ANCHOR)
    dim, patch_values = weights[_ANCHOR].shape
    patch = round((patch_values / 3) ** 0.5)
    depth = len({key.split(".")[2] for key in weights if key.startswith("encoder.layers.")})
    projector_depth = len({key.split(".")[2] for key in weights if key.startswith("xy_quant_attn.layers.")})
    for needed in ("xt_pos_embedding", "yt_pos_embedding", "pre_xy.weight", "xy_quant_attn.layers.0.1.fn.net.0.weight"):
        if needed not in weights:
            raise ValueError(f"the state dict does not fit; keys missing: {needed}")
    if resolution is None:
        resolution = (
            (weights["yt_pos_embedding"].shape[1] - 1) * patch,
            (weights["xt_pos_embedding"].shape[1] - 1) * patch,
        )
    model = VideoAutoencoder(
        frames=frames,
        resolution=resolution,
        patch=patch,
        latent_channels=weights["pre_xy.weight"].shape[0],
        dim=dim,
        depth=depth,
        projector_depth=projector_depth,
        projector_mlp_dim=weights["xy_quant_attn.layers.0.1.fn.net.0.weight"].shape[0],
    )
    tables = {
        f"{part}.{table}"
        for part in ("encoder", "decoder")
        for table in ("frame_rot_emb.inv_freqs", "image_rot_emb.scales")
    }
    load_renamed(model, weights, _names(depth, projector_depth), derived={"coords", *tables})
    return model


def _names(depth: int, projector_depth: int) -> dict[str, str]:
    names = {
        "encoder.embed.weight": "encoder.to_patch_embedding.weight",
        "encoder.embed.bias": "encoder.to_patch_embedding.bias",
        "decoder.to_pixels.weight": "to_pixel.1.weight",
        "decoder.to_pixels.bias": "to_pixel.1.bias",
    }

    def linear(ours: str, theirs: str, bias: bool = True) -> None:
        names[f"{ours}.weight"] = f"{theirs}.weight"
        if bias:
            names[f"{ours}.bias"] = f"{theirs}.bias"

    for part in ("encoder", "decoder"):
        for i in range(depth):
            block, layer = f"{part}.transformer.blocks.{i}", f"{part}.layers.{i}"
            for j, axis in enumerate(("time", "space")):
                linear(f"{block}.{axis}_norm", f"{layer}.{j}.norm")
                linear(f"{block}.{axis}_attention.to_qkv", f"{layer}.{j}.fn.to_qkv", bias=False)
                linear(f"{block}.{axis}_attention.to_out", f"{layer}.{j}.fn.to_out.0")
            linear(f"{block}.feed_forward_norm", f"{layer}.2.norm")
            linear(f"{block}.feed_forward.to_hidden", f"{layer}.2.fn.net.0")
            linear(f"{block}.feed_forward.to_out", f"{layer}.2.fn.net.3")
    for ours, theirs in _PROJECTORS.items():
        names[f"projector.{ours}.token"] = f"{theirs}_token"
        names[f"projector.{ours}.positions"] = f"{theirs}_pos_embedding"
        linear(f"projector.{ours}.to_latent", f"pre_{theirs}")
        for i in range(projector_depth):
            block, layer = f"projector.{ours}.blocks.{i}", f"{theirs}_quant_attn.layers.{i}"
            linear(f"{block}.attention_norm", f"{layer}.0.norm")
            linear(f"{block}.attention.to_qkv", f"{layer}.0.fn.to_qkv", bias=False)
            linear(f"{block}.attention.to_out", f"{layer}.0.fn.to_out.0")
            linear(f"{block}.feed_forward_norm", f"{layer}.1.norm")
            linear(f"{block}.to_hidden", f"{layer}.1.fn.net.0")
            linear(f"{block}.to_out", f"{layer}.1.fn.net.3")
    for ours, theirs in _PLANES.items():
        linear(f"decoder.{ours}", f"post_{theirs}")
    return names
