"""Vision transformers on videos: VideoMAE-v2 as cdFVD measures with it, V-JEPA with an attentive probe as JEDi does.

VideoMAE V2, arXiv 2303.16727; V-JEPA, arXiv 2404.08471. Sizes follow from the weights, so that networks of another
width open, too, under a name that says that they are not the published ones. Both see frames stretched to 224 x 224
(bilinear, no antialias): cdFVD has it so (VideoMAEv2/utils.py:41-45); JEDi leaves resizing to its caller.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pvdm_lightning.errors import check_videos
from pvdm_lightning.foreign_files import load_tensors
from pvdm_lightning.metrics.published_network import PublishedNetwork
from pvdm_lightning.pretrained_files import VIDEOMAE_V2, VJEPA, VJEPA_PROBE

Module = TypeVar("Module", bound=nn.Module)
_SIDE, _STEPS, _HEADS = 224, 8, 16  # pixels; steps of time that position embeddings are for: 16 frames, two a step
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class VideoTransformer(nn.Module):
    """Pixels float32 [B 3 T 224 224] -> tokens [B N dim]: patches of space and time, then pre-norm blocks.

    Args:
        dim: Width of a token.
        hidden: Width inside of an MLP.
        depth: Blocks.
        patch: (time, height, width) of a patch.
        slack: Added to the steps of time before position embeddings are interpolated to another length than 16 frames.
    """

    positions: Tensor

    def __init__(self, dim: int, hidden: int, depth: int, patch: tuple[int, int, int], slack: float) -> None:
        super().__init__()
        self.slack = slack
        self.patches = nn.Conv3d(3, dim, patch, stride=patch)
        self.register_buffer("positions", torch.empty(_STEPS * (_SIDE // patch[1]) * (_SIDE // patch[2]), dim))
        self.blocks = nn.ModuleList(_Block(dim, hidden) for _ in range(depth))

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.patches(pixels)
        positions = self.positions.T.reshape(1, -1, _STEPS, *x.shape[3:])
        if x.shape[2] != _STEPS:
            scale = ((x.shape[2] + self.slack) / _STEPS, 1.0, 1.0)
            positions = F.interpolate(positions, scale_factor=scale, mode="trilinear")
        x = (x + positions).flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return x


class _Block(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.proj(_attention(*self.qkv(self.norm1(x)).chunk(3, dim=-1)))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = (x.unflatten(-1, (_HEADS, -1)).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def _pixels(videos: Tensor) -> Tensor:
    """uint8 [B 3 T H W] -> float32 [B 3 T 224 224] in [0, 1]."""
    B, _, T, _, _ = videos.shape
    frames = videos.transpose(1, 2).flatten(0, 1).float() / 255
    frames = F.interpolate(frames, (_SIDE, _SIDE), mode="bilinear", align_corners=False)
    return frames.unflatten(0, (B, T)).transpose(1, 2)


class VideoMAEFeatures(nn.Module):
    """Videos [B 3 T H W], uint8 or float32 in 0..255, T >= 2 -> float32 [B dim]: the mean of all tokens, normalized."""

    def __init__(self, transformer: VideoTransformer, dim: int) -> None:
        super().__init__()
        self.transformer, self.norm = transformer, nn.LayerNorm(dim, eps=1e-6)

    def forward(self, videos: Tensor) -> Tensor:
        check_videos("VideoMAEFeatures.videos", videos, "[B 3 T H W]", unquantised=True)
        features: Tensor = self.norm(self.transformer(_pixels(videos)).mean(dim=1))
        return features


class VJEPAFeatures(nn.Module):
    """Videos [B 3 T H W], uint8 or float32 in 0..255, T >= 2 -> float32 [B dim], what the attentive probe pools."""

    mean: Tensor
    std: Tensor

    def __init__(self, transformer: VideoTransformer, dim: int, hidden: int, has_projection: bool) -> None:
        super().__init__()
        self.transformer, self.norm = transformer, nn.LayerNorm(dim, eps=1e-6)
        self.query = nn.Parameter(torch.empty(1, 1, dim))
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.q, self.kv = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim) if has_projection else nn.Identity()
        self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        for name, values in (("mean", _IMAGENET_MEAN), ("std", _IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values, device="cpu")[:, None, None, None], persistent=False)

    def forward(self, videos: Tensor) -> Tensor:
        check_videos("VJEPAFeatures.videos", videos, "[B 3 T H W]", unquantised=True)
        tokens = self.norm(self.transformer((_pixels(videos) - self.mean) / self.std))
        query = self.query.expand(len(tokens), -1, -1)
        x = query + self.proj(_attention(self.q(query), *self.kv(self.norm1(tokens)).chunk(2, dim=-1)))
        return (x + self.fc2(F.gelu(self.fc1(self.norm2(x)))))[:, 0]


def load_videomae(content: Mapping[str, object]) -> VideoMAEFeatures:
    """The network whose weights a checkpoint of VideoMAE-v2 holds, at "model" or "module"; its head is left out.

    Raises:
        ValueError: A key is missing, left over or misshapen; it is named.
    """
    weights = dict(_inner(content, "model", "module"))
    table = _sinusoids(8 * 16 * 16, len(_needed(weights, "patch_embed.proj.bias")))
    for name in [name for name in weights if name.endswith("q_bias")]:
        q, v = weights.pop(name), weights.pop(name.replace("q_bias", "v_bias"))
        weights[name.replace("q_bias", "qkv.bias")] = torch.cat([q, torch.zeros_like(q), v])  # keys have none
    own = {_own_name(key): value for key, value in weights.items() if not key.startswith("head.")}
    own = {key.replace("fc_norm.", "norm."): value for key, value in own.items()}
    own["transformer.positions"] = table
    with torch.device("meta"):
        model = VideoMAEFeatures(_transformer(weights, slack=0.1), table.shape[1])
    return _filled(model, own)


def load_vjepa(content: Mapping[str, object], probe: Mapping[str, object]) -> VJEPAFeatures:
    """The network whose weights a checkpoint of V-JEPA holds, at "target_encoder", and those of an attentive probe.

    Raises:
        ValueError: A key is missing, left over or misshapen; it is named.
    """
    weights = _inner(content, "target_encoder", "encoder")
    pooler = {
        key.removeprefix("module.").removeprefix("pooler.").replace("cross_attention_block.", ""): value
        for key, value in _inner(probe, "classifier").items()
    }
    own = {_own_name(key): value for key, value in weights.items()}
    own["transformer.positions"] = _needed(weights, "pos_embed").squeeze(0)
    del own["transformer.pos_embed"]
    for key, value in pooler.items():
        if not key.startswith("linear."):
            own[key.replace("query_tokens", "query").replace("xattn.", "").replace("mlp.", "")] = value
    dim, hidden = own["transformer.positions"].shape[1], len(_needed(pooler, "mlp.fc1.bias"))
    with torch.device("meta"):
        model = VJEPAFeatures(_transformer(weights, slack=0), dim, hidden, "xattn.proj.weight" in pooler)
    return _filled(model, own)


def _inner(content: Mapping[str, object], *names: str) -> dict[str, Tensor]:
    """The state dict inside of a checkpoint, without the prefixes of wrappers."""
    inner = next((content[name] for name in names if name in content), content)
    if not isinstance(inner, Mapping) or not all(isinstance(value, Tensor) for value in inner.values()):
        raise ValueError(f"it has no state dict at {' or '.join(names)}")
    return {key.replace("module.", "").replace("backbone.", ""): value for key, value in inner.items()}


def _needed(weights: Mapping[str, Tensor], key: str) -> Tensor:
    if key not in weights:
        raise ValueError(f"the state dict has no {key}")
    return weights[key]


def _own_name(key: str) -> str:
    if re.match(r"(norm|fc_norm)\.", key):
        return key
    return "transformer." + re.sub(r"\.(attn|mlp)\.", ".", key).replace("patch_embed.proj.", "patches.")


def _transformer(weights: Mapping[str, Tensor], slack: float) -> VideoTransformer:
    """Of the sizes that the weights have."""
    kernel, hidden = _needed(weights, "patch_embed.proj.weight"), len(_needed(weights, "blocks.0.mlp.fc1.bias"))
    depth = 1 + max(int(key.split(".")[1]) for key in weights if key.startswith("blocks."))
    if kernel.ndim != 5 or len(kernel) % _HEADS or any(_SIDE % side for side in kernel.shape[3:]):
        raise ValueError(f"patches of {list(kernel.shape)} are not those of a video transformer with {_HEADS} heads")
    steps, height, width = kernel.shape[2:]
    return VideoTransformer(len(kernel), hidden, depth, (steps, height, width), slack)


def _sinusoids(count: int, dim: int) -> Tensor:
    """Position embeddings [count dim]: sines at even places, cosines at odd ones, in float64 until the end."""
    place = torch.arange(dim, dtype=torch.float64)
    angles = torch.arange(count, dtype=torch.float64)[:, None] / 10000 ** (2 * (place // 2) / dim)
    return torch.where(place % 2 == 0, angles.sin(), angles.cos()).float()


def _filled(model: Module, weights: Mapping[str, Tensor]) -> Module:
    """A model without memory, with its weights."""
    kept = {name: buffer for name, buffer in model.named_buffers() if not buffer.is_meta}
    model.to_empty(device="cpu")
    for name, buffer in kept.items():
        setattr(model, name, buffer)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:  # torch names every key; only its type says nothing
        raise ValueError("; ".join(line.strip() for line in str(error).splitlines())) from error
    return model


def _load_videomae(path: Path) -> VideoMAEFeatures:
    return load_videomae(load_tensors(path))


def _load_vjepa(path: Path, probe: Path) -> VJEPAFeatures:
    return load_vjepa(load_tensors(path), load_tensors(probe))


VIDEOMAE_SSV2 = PublishedNetwork(
    name="videomae-v2-ssv2",
    file=VIDEOMAE_V2,
    num_outputs=1408,
    load=_load_videomae,
    min_frames=2,
)
"""cdFVD's network (Ge et al., arXiv 2404.12391): VideoMAE-v2 ViT-g, fine-tuned on Something-Something v2."""

VJEPA_SSV2 = PublishedNetwork(
    name="v-jepa-ssv2",
    file=VJEPA,
    num_outputs=1280,
    load=_load_vjepa,
    min_frames=2,
    companion=VJEPA_PROBE,
)
"""JEDi's network (Luo et al., arXiv 2410.05203): V-JEPA ViT-H/16 with a probe of Something-Something v2."""
