"""The I3D weights of the original's FVD (``i3d_pretrained_400.pt``): their state dict -> I3D."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from pvdm_lightning.convert.renaming import load_renamed, strip_prefix
from pvdm_lightning.foreign_files import load_tensors
from pvdm_lightning.metrics.i3d import I3D, MIN_FRAMES, preprocess_stretched
from pvdm_lightning.metrics.published_network import PublishedNetwork
from pvdm_lightning.pretrained_files import I3D_ORIGINAL

_ANCHOR = "Conv3d_1a_7x7.conv3d.weight"
_BLOCKS = {"conv_1a": "Conv3d_1a_7x7", "conv_2b": "Conv3d_2b_1x1", "conv_2c": "Conv3d_2c_3x3"}
_BRANCHES = {
    "direct": "b0",
    "narrow_a": "b1a",
    "wide_a": "b1b",
    "narrow_b": "b2a",
    "wide_b": "b2b",
    "after_pool": "b3b",
}
_LAYERS = {"conv": "conv3d", "norm": "bn"}


def load_i3d(state_dict: Mapping[str, Tensor], prepare: Callable[[Tensor], Tensor] | None = None) -> I3D:
    """Build the I3D whose weights `state_dict` holds: uint8 [B 3 T H W] -> logits [B 400], preprocessing included.

    Args:
        state_dict: State dict of the original's I3D, with any prefix, buffers included.
        prepare: Preprocessing, as `I3D` takes it.

    Raises:
        ValueError: A key is missing, left over or misshapen; it is named.
    """
    model = I3D(prepare=prepare)
    load_renamed(model, strip_prefix(state_dict, _ANCHOR), {key: _original_name(key) for key in model.state_dict()})
    return model


def _original_name(key: str) -> str:
    if key.startswith("to_logits."):
        return key.replace("to_logits", "logits.conv3d")
    _, block, *middle, layer, kind = key.split(".")
    if block in _BLOCKS:
        names = [_BLOCKS[block]]
    else:
        names = [block.replace("mixed", "Mixed"), _BRANCHES[middle[0]]]
    return ".".join([*names, _LAYERS[layer], kind])


def _load_file(path: Path) -> I3D:
    return load_i3d(load_tensors(path))


def _load_stretched(path: Path) -> I3D:
    return load_i3d(load_tensors(path), preprocess_stretched)


ORIGINAL_I3D = PublishedNetwork(
    name="i3d-original",
    file=I3D_ORIGINAL,
    num_outputs=400,
    load=_load_file,
    min_frames=MIN_FRAMES,
)
"""The FVD detector of VideoGPT, DIGAN and TATS; PVDM takes a file of that name from elsewhere."""

STRETCHED_I3D = replace(ORIGINAL_I3D, name="i3d-original-stretched", load=_load_stretched)
"""The same on frames that are stretched to 224 x 224, as TATS, LVDM and cdFVD have it; for square videos both are equal
but for rounding."""
