"""How close samplers come to 1000 ancestral steps, on a trained stage-two checkpoint.

    python -m benchmarks samplers runs/ldm-ucf101-256/latest --videos 64

Frechet distances between samples of the reference and of a sampler. Latents: each a vector of the means and stds
of every channel of every plane; beside it the largest difference of those means and stds. Pixels: each decoded
video a vector of its colours' means and stds and of its change from frame to frame and from pixel to pixel. No
network judges, so neither is an FVD. The line "reference again", other ancestral samples, is the least that the number
of videos lets anything reach.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped]

from benchmarks.timing import say
from benchmarks.yardstick.features import distance
from pvdm_lightning.diffusion import Sampler
from pvdm_lightning.diffusion.samplers import DDIMSampler, DDPMSampler, DPMSolverSampler
from pvdm_lightning.models.triplane import Triplane, TriplaneShape
from pvdm_lightning.pipeline.runs import checkpoint_in
from pvdm_lightning.training import LatentDiffusionModule


def latent_features(latents: Tensor, shape: TriplaneShape) -> Tensor:
    """[B C L] -> [B 6C], float64: means, then stds, of every channel of every plane."""
    planes = [plane.double().flatten(2) for plane in Triplane.from_sequence(latents, shape)]
    return torch.cat([plane.mean(2) for plane in planes] + [plane.std(2) for plane in planes], dim=1)


def pixel_features(video: Tensor) -> Tensor:
    """Uint8 [B 3 T H W] -> [B 12], float64, of values in [0, 1]."""
    video = video.double() / 255
    changes = [video.diff(dim=axis).abs().mean(dim=(2, 3, 4)) for axis in (2, 3)]
    return torch.cat([video.mean(dim=(2, 3, 4)), video.std(dim=(2, 3, 4)), *changes], dim=1)


def add_options(options: argparse.ArgumentParser) -> None:
    """What to sample from."""
    options.add_argument("checkpoint", help="of stage two, or its run")
    options.add_argument("--videos", type=int, default=64)
    options.add_argument("--batch-size", type=int, default=16)
    options.add_argument("--quick", action="store_true", help="few videos: shows that it runs")


def run(args: argparse.Namespace) -> None:
    """Print a line for each sampler."""
    count, batch = (8, 8) if args.quick else (args.videos, args.batch_size)
    module = LatentDiffusionModule.load_from_checkpoint(
        checkpoint_in(args.checkpoint, "checkpoint"), map_location="cpu"
    ).eval()
    network, schedule, denoise = module.ema.network, module.schedule, module.pipeline.bind()
    shape = network.latent_shape
    assert shape is not None

    def draw(sampler: Sampler, name: str, seed: int = 0) -> tuple[Tensor, Tensor, float]:
        started, drawn = time.perf_counter(), []
        for first in tqdm(range(0, count, batch), desc=name, leave=False):
            size = (min(batch, count - first), network.latent_channels, shape.num_tokens)
            drawn.append(sampler(denoise, size, generator=torch.Generator().manual_seed(1000 * seed + first)))
        seconds = time.perf_counter() - started
        pixels = torch.cat([pixel_features(module.pipeline.to_pixels(latents)) for latents in drawn])
        return latent_features(torch.cat(drawn), shape), pixels, seconds

    reference, reference_pixels, seconds = draw(DDPMSampler(schedule), "ancestral")
    say(f"{count} videos; ancestral sampling took {seconds:.0f} s\n\n")
    say(f"{'':28s}{'seconds':>9s}{'latents':>10s}{'mean off':>10s}{'std off':>10s}{'pixels':>10s}\n")
    samplers: dict[str, Sampler] = {"reference again": DDPMSampler(schedule)}
    samplers |= {f"DDIM {n}, eta {eta:.0f}": DDIMSampler(schedule, n, eta) for n in (100, 20) for eta in (0.0, 1.0)}
    samplers |= {f"DPM-Solver++ {n}": DPMSolverSampler(schedule, n) for n in (10, 15, 20)}
    samplers |= {f"SDE-DPM-Solver++ {n}": DPMSolverSampler(schedule, n, stochastic=True) for n in (10, 15, 20)}
    for name, sampler in samplers.items():
        drawn, pixels, seconds = draw(sampler, name, seed=1)
        mean, std = (drawn.mean(0) - reference.mean(0)).abs().chunk(2)
        say(f"{name:28s}{seconds:9.1f}{distance(reference, drawn):10.4f}{mean.max():10.4f}{std.max():10.4f}")
        say(f"{distance(reference_pixels, pixels):10.5f}\n")
