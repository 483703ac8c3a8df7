"""`compile_networks` of both stages: the same results and keys, no graph breaks, and nothing compiled anew.

The backend that runs what was captured as it is: what is tested is the capturing, which all backends share.
"""

import pytest
import torch
from torch._dynamo.utils import counters

from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.condition import Condition
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.pipeline import FrozenAutoencoder
from pvdm_lightning.training import AutoencoderModule, LatentDiffusionModule, LatentEncoder

BACKEND = {"backend": "aot_eager", "fullgraph": True}


def autoencoder(**more):
    network = VideoAutoencoder(
        4,
        16,
        8,
        **{"dim": 16, "depth": 2, "heads": 2, "head_dim": 8, "projector_depth": 1, "projector_mlp_dim": 8},
        **more,
    )
    for weight in network.parameters():  # what starts at zero would hide the paths behind it
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.2)
    return network


@pytest.fixture(autouse=True)
def fresh():
    torch.manual_seed(0)
    torch.compiler.reset()
    counters.clear()


def clips(size):
    return torch.rand(size, 3, 4, 16, 16, generator=torch.Generator().manual_seed(size))


def autocast():
    return torch.autocast("cpu", dtype=torch.bfloat16)


def test_stage_one_compiles_for_training_and_evaluation_once():
    module = AutoencoderModule(autoencoder(gradient_checkpointing="selective"))
    keys, network = list(module.state_dict()), module.autoencoder

    def gradients(size):
        module.zero_grad()
        with autocast():
            loss = module.loss.generator(clips(size), network(clips(size)), torch.zeros(size, dtype=torch.long), False)[
                0
            ]
        loss.backward()
        return [weight.grad.clone() for weight in network.parameters()]

    def evaluate(size):
        with torch.no_grad(), autocast():  # the discriminators' turn
            network(clips(size))
        with torch.inference_mode(), autocast():  # validation
            return network(clips(size)).clone()

    sizes = (2, 3, 1)
    before = [(gradients(size), evaluate(size)) for size in sizes]
    module.compile_networks(**BACKEND)
    gradients(2), evaluate(2)
    graphs = counters["stats"]["unique_graphs"]
    assert 0 < graphs <= 9  # rotations over time and space and the gates, each in three modes; no more with depth
    with torch.compiler.set_stance("fail_on_recompile"):
        after = [(gradients(size), evaluate(size)) for size in sizes]
    assert counters["stats"]["unique_graphs"] == graphs and not counters["graph_break"]
    assert list(module.state_dict()) == keys
    for (old_gradients, old), (new_gradients, new) in zip(before, after, strict=True):
        torch.testing.assert_close(new, old, atol=0.01, rtol=0.02)
        for ours, theirs in zip(new_gradients, old_gradients, strict=True):
            assert (ours - theirs).norm() <= 0.02 * theirs.norm()


def test_encoder_and_stage_two_compile_once():
    unet = TriplaneUNet(base_channels=32, channel_multipliers=(1,), blocks_per_level=1, heads=1)
    for weight in unet.parameters():
        torch.nn.init.normal_(weight, std=0.05)
    diffusion, encoder = LatentDiffusionModule(unet), LatentEncoder(autoencoder())
    diffusion.attach_first_stage(FrozenAutoencoder(autoencoder()))
    keys = [list(module.state_dict()) for module in (diffusion, encoder)]

    def run(size):
        pixels = (255 * clips(size)).round().to(torch.uint8)
        latent, z = encoder.frozen.encode(pixels), diffusion.first_stage.to_latent(pixels)
        t = torch.full((size,), 500)
        training = [diffusion.denoiser(z, t), diffusion.denoiser(z, t, Condition(z))]
        with torch.no_grad():
            sampling = [diffusion.ema.network(z, t), diffusion.ema.network(z, t, Condition(z))]
        return torch.stack([latent, z, *training, *sampling]).detach()

    sizes = (2, 3, 1)
    before = [run(size) for size in sizes]
    for module in (diffusion, encoder):
        module.compile_networks(**BACKEND)
    run(2)
    graphs = counters["stats"]["unique_graphs"]
    assert graphs > 0
    with torch.compiler.set_stance("fail_on_recompile"):
        after = [run(size) for size in sizes]
    assert counters["stats"]["unique_graphs"] == graphs and not counters["graph_break"]
    assert [list(module.state_dict()) for module in (diffusion, encoder)] == keys
    for old, new in zip(before, after, strict=True):
        torch.testing.assert_close(new, old, atol=1e-5, rtol=1e-4)
