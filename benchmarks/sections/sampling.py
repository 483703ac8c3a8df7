"""Encoding, decoding and sampling at the paper's size, from random weights."""

from __future__ import annotations

import time
from typing import Any

import torch

from benchmarks.networks import awaken
from benchmarks.sections.section import Proof
from benchmarks.sections.training import LARGE
from pvdm_lightning.pipeline import Sampling
from pvdm_lightning.training import LatentDiffusionModule

BATCHES = (1, 8, 32)
BEST = 16  # videos at once
Kind = tuple[str, dict[str, Any]]
KINDS: tuple[Kind, ...] = (
    ("DPM-Solver++ 20", {"sampler": "dpm_solver", "num_inference_steps": 20}),
    ("DDIM 100/20", {"sampler": "ddim", "num_inference_steps": 100, "num_inference_steps_later": 20}),
)


def run(proof: Proof) -> None:
    """Clips a second of encoder and decoder, then seconds of whole videos, pixels included."""
    module = LARGE.module(proof).to(proof.device).eval()
    awaken(module.ema.network)
    coding(proof, module)
    shape = module.clip_shape
    long = 4 * shape[0] if proof.tiny else 128
    # The longest rows last: what the time does not allow is the last row that is missing.
    for videos in (1, BEST):
        for frames in (shape[0], long):
            for name, options in KINDS:
                if proof.tiny:
                    options = {**options, "num_inference_steps": 2, "num_inference_steps_later": 1}
                sampling = Sampling(num_frames=frames, batch_size=videos, **options)
                steps, later = sampling.steps(module.schedule)
                calls = steps + (sampling.num_clips(shape[0]) - 1) * later
                seconds = _once(proof, module, sampling, 2 if proof.tiny else videos)
                proof.row(
                    **{
                        "PVDM-L, bf16": name,
                        "frames": frames,
                        "videos at once": videos,
                        "s": seconds,
                        "s a video": seconds / videos,
                        "ms a call of the U-Net": 1e3 * seconds / calls,
                    }
                )


def coding(proof: Proof, module: LatentDiffusionModule) -> None:
    """Clips a second."""
    network = module.first_stage.autoencoder
    for batch in BATCHES[:2] if proof.tiny else BATCHES:
        clip = torch.rand(batch, 3, *network.clip_shape, device=proof.device) * 2 - 1
        with torch.no_grad(), proof.autocast():
            latent = network.encode(clip)
            encode = proof.seconds(lambda clip=clip: network.encode(clip), budget=0.5)  # type: ignore[misc]
            decode = proof.seconds(lambda latent=latent: network.decode(latent), budget=0.5)  # type: ignore[misc]
        proof.row(
            **{"autoencoder, bf16, batch": batch, "encoded clips/s": batch / encode, "decoded clips/s": batch / decode}
        )


def _once(proof: Proof, module: LatentDiffusionModule, sampling: Sampling, videos: int) -> float:
    """Seconds of one batch, after a short one that warms up."""
    quick = Sampling(sampler="dpm_solver", num_inference_steps=2)
    with proof.autocast():
        module.pipeline.generate(list(range(videos)), quick)
        proof.synchronize()
        started = time.perf_counter()
        module.pipeline.generate(list(range(videos)), sampling)
        proof.synchronize()
    return time.perf_counter() - started
