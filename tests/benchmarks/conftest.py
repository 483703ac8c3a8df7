"""`benchmarks` is no part of the installed package: it is imported from the root of the repository."""

import sys
from pathlib import Path

import pytest
import torch

import warm

sys.path.insert(0, str(Path(__file__).parents[2]))

# A checkout as `benchmarks.original` imports it, with networks of the same calls and shapes and next to no weights.
ORIGINAL = {
    "models/ddpm/unet.py": """
from torch import nn

class UNetModel(nn.Module):
    def __init__(self, **sizes):
        super().__init__()
        assert sizes["cond_model"] and sizes["image_size"] == 32
        self.layer = nn.Conv1d(4, 4, 1)

    def forward(self, z, condition, t):
        return self.layer(z)
""",
    "models/autoencoder/autoencoder_vit.py": """
from torch import nn

class ViTAutoencoder(nn.Module):
    def __init__(self, channels, sizes):
        super().__init__()
        self.encoder, self.decoder = nn.Module(), nn.Module()
        self.encoder.layers, self.decoder.layers = nn.ModuleList(), nn.ModuleList()
        self.layer = nn.Conv3d(3, 3, 1)

    def extract(self, clip):
        return clip.mean(dim=(3, 4))

    def decode_from_sample(self, sequence):
        return sequence

    def forward(self, clip):
        return self.layer(clip).transpose(1, 2).flatten(0, 1), None
""",
    "losses/perceptual.py": """
import requests, utils
from torch import nn

class NLayerDiscriminator(nn.Module):
    def __init__(self, channels, norm_layer):
        super().__init__()
        self.layer = nn.Sequential(nn.Conv2d(channels, 1, 9, stride=16), norm_layer(1))

    def forward(self, x):
        logits = self.layer(x)
        return logits, [logits, logits]

class NLayerDiscriminator3D(NLayerDiscriminator):
    def __init__(self, channels, norm_layer):
        nn.Module.__init__(self)
        self.layer = nn.Sequential(nn.Conv3d(channels, 1, 9, stride=16), norm_layer(1))
""",
}


@pytest.fixture
def reference(monkeypatch, tmp_path):
    """A checkout of the original, named by REFERENCE."""
    folder = tmp_path / "checkout"
    for name, text in ORIGINAL.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setenv("REFERENCE", str(folder))
    before, path, deterministic = set(sys.modules), list(sys.path), torch.backends.cudnn.deterministic
    yield folder
    torch.backends.cudnn.deterministic = deterministic
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("models", "losses", "utils", "requests"):
            del sys.modules[name]


class SideInThisProcess:
    """In the place of `benchmarks.sides.Side`, whose processes test_sides.py tests."""

    def __init__(self, runs, args, as_it_comes=False):
        self.build, self.args, self.runs = runs, args, None

    def run(self, what):
        from benchmarks import sides

        if self.runs is None:
            self.runs = {sides.PRODUCT: lambda: None, **self.build(self.args)}
        return sides.timed(self.runs[what])

    def close(self):
        self.runs = None


@pytest.fixture
def bench(monkeypatch, capsys):
    """`bench(NAME, OPTIONS...)`: what the command prints, here; sections of `gpu` are warm processes."""
    from benchmarks import __main__, sides
    from benchmarks.sections import runner

    monkeypatch.setattr(sides, "Side", SideInThisProcess)
    monkeypatch.setattr(sides, "WARM_UP", 0)
    monkeypatch.setattr(runner, "get_context", lambda method: warm.context())
    monkeypatch.setenv("PYTHONPATH", "")  # the runner sets it
    threads, path = torch.get_num_threads(), list(sys.path)

    def run(*arguments):
        __main__.main([str(argument) for argument in arguments])
        return capsys.readouterr().out

    yield run
    torch.set_num_threads(threads)
    sys.path[:] = path
