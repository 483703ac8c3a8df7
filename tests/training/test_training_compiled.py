"""torch.compile of both stages: the same results and keys, and nothing is compiled again after the first steps.

The backend that runs what was captured as it is: what is tested is the capturing, which all backends share.
"""

import torch
from torch._dynamo.utils import counters

from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.condition import Condition
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.pipeline import FrozenAutoencoder
from pvdm_lightning.training import AutoencoderModule, LatentDiffusionModule, LatentEncoder


def autoencoder():
    return VideoAutoencoder(2, 8, 4, dim=16, depth=1, heads=1, head_dim=8, projector_depth=1, projector_mlp_dim=8)


def graphs_after(run, batches):
    """Results of `run`, and the number of graphs compiled after each batch."""
    torch.compiler.reset()
    counters.clear()
    results, graphs = [], []
    for batch in batches:
        results.append(run(batch))
        graphs.append(counters["stats"]["unique_graphs"])
    return results, graphs


def test_compiled_stages_are_the_same_and_compile_once():
    torch.manual_seed(0)
    unet = TriplaneUNet(base_channels=32, channel_multipliers=(1,), blocks_per_level=1, heads=1)
    for weight in unet.parameters():
        torch.nn.init.normal_(weight, std=0.05)
    diffusion = LatentDiffusionModule(unet)
    diffusion.attach_first_stage(FrozenAutoencoder(autoencoder()))
    stage_one, encoder = AutoencoderModule(autoencoder()), LatentEncoder(autoencoder())
    clips = [torch.rand(2, 3, 2, 8, 8) for _ in range(3)]
    pixels = [(255 * clip).round().to(torch.uint8) for clip in clips]
    latents = [torch.randn(2, 4, 12) for _ in range(3)]
    runs = [
        (stage_one, stage_one.autoencoder, clips),
        (encoder, encoder.frozen.encode, pixels),
        (diffusion, lambda z: diffusion.denoiser(z, torch.tensor([3, 500]), Condition(z)), latents),
    ]
    for module, run, batches in runs:
        keys, plain = list(module.state_dict()), [run(batch) for batch in batches]
        module.compile_networks(backend="eager", fullgraph=True)
        compiled, graphs = graphs_after(run, batches)
        assert graphs[0] > 0
        assert graphs[0] == graphs[1] == graphs[2]
        assert list(module.state_dict()) == keys
        for ours, before in zip(compiled, plain, strict=True):
            assert torch.allclose(ours, before, atol=1e-5)
