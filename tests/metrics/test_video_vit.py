"""Video transformers of the published layouts, small, with random weights, against a forward written out in numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation import FeatureNetworks
from pvdm_lightning.metrics import VIDEOMAE_SSV2, VJEPA_SSV2
from pvdm_lightning.metrics.video_vit import load_videomae, load_vjepa

DIM, HIDDEN, DEPTH, HEADS = 32, 40, 2, 16


def linear(weights, name, outputs, inputs, g, bias=True):
    weights[f"{name}.weight"] = torch.randn(outputs, inputs, generator=g) * 1.5 / inputs**0.5
    if bias:
        weights[f"{name}.bias"] = torch.randn(outputs, generator=g) / 2


def norm(weights, name, g):
    weights[f"{name}.weight"], weights[f"{name}.bias"] = 1 + torch.randn(2, DIM, generator=g) / 4


def transformer(patch, g, separate_biases):
    weights = {
        "patch_embed.proj.weight": torch.randn(DIM, 3, 2, patch, patch, generator=g) / patch,
        "patch_embed.proj.bias": torch.randn(DIM, generator=g),
    }
    for i in range(DEPTH):
        norm(weights, f"blocks.{i}.norm1", g)
        norm(weights, f"blocks.{i}.norm2", g)
        linear(weights, f"blocks.{i}.attn.qkv", 3 * DIM, DIM, g, bias=not separate_biases)
        if separate_biases:
            for kind in "qv":
                weights[f"blocks.{i}.attn.{kind}_bias"] = torch.randn(DIM, generator=g) / 2
        linear(weights, f"blocks.{i}.attn.proj", DIM, DIM, g)
        linear(weights, f"blocks.{i}.mlp.fc1", HIDDEN, DIM, g)
        linear(weights, f"blocks.{i}.mlp.fc2", DIM, HIDDEN, g)
    return weights


@pytest.fixture(scope="module")
def videomae_weights():
    g = torch.Generator().manual_seed(0)
    weights = transformer(14, g, separate_biases=True)
    norm(weights, "fc_norm", g)
    linear(weights, "head", 174, DIM, g)
    return weights


@pytest.fixture(scope="module")
def vjepa_weights():
    g = torch.Generator().manual_seed(1)
    weights = transformer(16, g, separate_biases=False)
    weights["pos_embed"] = torch.randn(1, 8 * 14 * 14, DIM, generator=g)
    norm(weights, "norm", g)
    probe = {"pooler.query_tokens": torch.randn(1, 1, DIM, generator=g)}
    for name in ("norm1", "norm2"):
        norm(probe, f"pooler.cross_attention_block.{name}", g)
    for name, outputs in (("xattn.q", DIM), ("xattn.kv", 2 * DIM), ("xattn.proj", DIM), ("mlp.fc1", HIDDEN)):
        linear(probe, f"pooler.cross_attention_block.{name}", outputs, DIM, g)
    linear(probe, "pooler.cross_attention_block.mlp.fc2", DIM, HIDDEN, g)
    linear(probe, "linear", 174, DIM, g)
    return weights, probe


def videos(frames, height=32, width=48):
    g = torch.Generator().manual_seed(2)
    return torch.randint(0, 256, (1, 3, frames, height, width), generator=g, dtype=torch.uint8)


def pixels(clip):
    """[T 224 224 3] in [0, 1]."""
    small = clip[0].transpose(0, 1).float() / 255
    return F.interpolate(small, (224, 224), mode="bilinear", align_corners=False).permute(0, 2, 3, 1).double().numpy()


def embedded(frames, weights, patch):
    """Tokens [T/2 side side DIM], each patch flattened by hand."""
    kernel = weights["patch_embed.proj.weight"].double().numpy().reshape(DIM, -1)
    side = 224 // patch
    x = frames.reshape(len(frames) // 2, 2, side, patch, side, patch, 3).transpose(0, 2, 4, 6, 1, 3, 5)
    return x.reshape(len(frames) // 2, side, side, -1) @ kernel.T + weights["patch_embed.proj.bias"].double().numpy()


def affine(x, weights, name):
    return x @ weights[f"{name}.weight"].double().numpy().T + weights[f"{name}.bias"].double().numpy()


def normed(x, weights, name, eps):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)
    return x * weights[f"{name}.weight"].double().numpy() + weights[f"{name}.bias"].double().numpy()


def attended(q, k, v):
    """One head after the other."""
    heads = []
    for each in zip(*(np.split(x, HEADS, axis=-1) for x in (q, k, v))):
        scores = each[0] @ each[1].T / (DIM / HEADS) ** 0.5
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        heads.append(scores / scores.sum(-1, keepdims=True) @ each[2])
    return np.concatenate(heads, axis=-1)


def gelu(x):
    return F.gelu(torch.from_numpy(x)).numpy()


def blocks(x, weights):
    for i in range(DEPTH):
        name = f"blocks.{i}"
        y = normed(x, weights, f"{name}.norm1", 1e-6)
        if f"{name}.attn.q_bias" in weights:
            q, k, v = np.split(y @ weights[f"{name}.attn.qkv.weight"].double().numpy().T, 3, axis=-1)
            q, v = (z + weights[f"{name}.attn.{kind}_bias"].double().numpy() for z, kind in ((q, "q"), (v, "v")))
        else:
            q, k, v = np.split(affine(y, weights, f"{name}.attn.qkv"), 3, axis=-1)
        x = x + affine(attended(q, k, v), weights, f"{name}.attn.proj")
        y = gelu(affine(normed(x, weights, f"{name}.norm2", 1e-6), weights, f"{name}.mlp.fc1"))
        x = x + affine(y, weights, f"{name}.mlp.fc2")
    return x


def sinusoids():
    """Row by row, as the source has it: [8 16 16 DIM]."""
    table = np.array([[p / 10000 ** (2 * (j // 2) / DIM) for j in range(DIM)] for p in range(8 * 16 * 16)])
    table[:, 0::2], table[:, 1::2] = np.sin(table[:, 0::2]), np.cos(table[:, 1::2])
    return table.reshape(8, 16, 16, DIM)


def stretched_in_time(table, steps, slack):
    if steps == 8:
        return table
    grid = torch.from_numpy(table).permute(3, 0, 1, 2)[None]
    longer = F.interpolate(grid, scale_factor=((steps + slack) / 8, 1, 1), mode="trilinear")
    return longer[0].permute(1, 2, 3, 0).numpy()


@pytest.mark.parametrize("frames", [16, 6])
def test_videomae_is_that_of_the_source(videomae_weights, frames):
    features = load_videomae({"module": videomae_weights}).eval()(videos(frames))
    x = embedded(pixels(videos(frames)), videomae_weights, 14) + stretched_in_time(sinusoids(), frames // 2, 0.1)
    expected = normed(blocks(x.reshape(-1, DIM), videomae_weights).mean(axis=0), videomae_weights, "fc_norm", 1e-6)
    assert features.shape == (1, DIM)
    np.testing.assert_allclose(features[0].detach(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("frames", [16, 4])
def test_vjepa_is_that_of_the_source(vjepa_weights, frames):
    weights, probe = vjepa_weights
    wrapped = {f"module.backbone.{key}": value for key, value in weights.items()}
    pooled = {f"module.{key}": value for key, value in probe.items()}
    network = load_vjepa({"target_encoder": wrapped, "encoder": {}}, {"classifier": pooled}).eval()
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = embedded((pixels(videos(frames)) - mean) / std, weights, 16)
    table = weights["pos_embed"].double().numpy().reshape(8, 14, 14, DIM)
    tokens = (x + stretched_in_time(table, frames // 2, 0)).reshape(-1, DIM)
    tokens = normed(blocks(tokens, weights), weights, "norm", 1e-6)
    at = "pooler.cross_attention_block"
    query = probe["pooler.query_tokens"][0].double().numpy()
    k, v = np.split(affine(normed(tokens, probe, f"{at}.norm1", 1e-5), probe, f"{at}.xattn.kv"), 2, axis=-1)
    query = query + affine(attended(affine(query, probe, f"{at}.xattn.q"), k, v), probe, f"{at}.xattn.proj")
    inside = gelu(affine(normed(query, probe, f"{at}.norm2", 1e-5), probe, f"{at}.mlp.fc1"))
    expected = query + affine(inside, probe, f"{at}.mlp.fc2")
    np.testing.assert_allclose(network(videos(frames)).detach(), expected, rtol=1e-3, atol=1e-4)


def test_keys_that_do_not_fit_are_named(videomae_weights, vjepa_weights):
    missing = {key: value for key, value in videomae_weights.items() if key != "blocks.1.mlp.fc2.bias"}
    with pytest.raises(ValueError, match=r"blocks\.1\.fc2\.bias"):
        load_videomae({"model": missing})
    with pytest.raises(ValueError, match="has no patch_embed.proj.bias"):
        load_videomae({"model": {"a": torch.zeros(1)}})
    with pytest.raises(ValueError, match="no state dict at target_encoder or encoder"):
        load_vjepa({"target_encoder": 3}, {})
    with pytest.raises(ValueError, match=r"has no mlp\.fc1\.bias"):
        load_vjepa({"encoder": vjepa_weights[0]}, {"classifier": {}})


def test_networks_by_path(videomae_weights, vjepa_weights, tmp_path, monkeypatch):
    """Random weights measure under a name that says so; V-JEPA needs its probe beside it."""
    monkeypatch.setenv("PVDM_CACHE", str(tmp_path / "cache"))
    for network in (VIDEOMAE_SSV2, VJEPA_SSV2):
        small = replace(network, num_outputs=DIM)
        monkeypatch.setattr(f"pvdm_lightning.evaluation.feature_networks.{_constant(network)}", small)
    torch.save({"module": videomae_weights}, tmp_path / "mae.pth")
    torch.save({"target_encoder": vjepa_weights[0], "epoch": 300}, tmp_path / "vith16.pth.tar")
    given = FeatureNetworks(videomae=str(tmp_path / "mae.pth"), vjepa=str(tmp_path / "vith16.pth.tar"))
    with pytest.raises(
        InvalidArgumentError, match=r"vjepa \S+: needs ssv2-probe.pth.tar beside it\. Download https://"
    ):
        given.find("FVD")
    torch.save({"classifier": vjepa_weights[1], "epoch": 20}, tmp_path / "ssv2-probe.pth.tar")
    networks = given.find("FVD").video[-2:]
    assert [network.name.split(" (unverified file ")[0] for network in networks] == ["videomae-v2-ssv2", "v-jepa-ssv2"]
    assert len(networks[1].sha256) == 129  # of both files
    assert networks[1](videos(4)).shape == (1, DIM)


def _constant(network):
    return {"videomae-v2-ssv2": "VIDEOMAE_SSV2", "v-jepa-ssv2": "VJEPA_SSV2"}[network.name]
