"""Encoding, decoding and sampling at the paper's size, from random weights."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from benchmarks.networks import awaken
from benchmarks.sections.section import Part, Proof, attention_by
from benchmarks.sections.training import LARGE
from pvdm_lightning.pipeline import Sampling, VideoPipeline

BATCHES = (1, 8, 32)
BEST = 16  # videos at once
SOLVER: dict[str, Any] = {"sampler": "dpm_solver", "num_inference_steps": 20}
DDIM: dict[str, Any] = {"sampler": "ddim", "num_inference_steps": 100, "num_inference_steps_later": 20}


@dataclass(frozen=True)
class Way:
    """A way to sample; what is measured with it beside `pvdm predict`'s is one switch.

    Args:
        name: In the table.
        dtype: Of the weights; float32 ones are cast by autocast, in each call.
        kernels: Whether the networks have their kernels for a GPU.
        switch: A context to sample in.
    """

    name: str
    dtype: torch.dtype = torch.float32
    kernels: bool = True
    switch: Callable[[Proof], AbstractContextManager[Any]] = nullcontext

    def run(self, proof: Proof, what: Callable[[VideoPipeline], Any]) -> Any:
        """`what` of the pipeline, sampling this way."""
        name = f"pipeline, kernels: {self.kernels}"
        pipeline = proof.once(name, lambda: _pipeline(proof, self.kernels)).to(dtype=self.dtype)
        try:
            autocast = proof.autocast() if self.dtype == torch.float32 else nullcontext()
            with torch.no_grad(), autocast, self.switch(proof):
                return what(pipeline)
        finally:
            pipeline.to(dtype=torch.float32)


AUTOCAST, BF16 = Way("bf16 autocast"), Way("weights in bf16", torch.bfloat16)
PLAIN = Way("bf16 autocast, --gpu_kernels false", kernels=False)
CUDNN, FLASH = (
    Way(f"attention by {name}", torch.bfloat16, switch=partial(attention_by, backend))
    for name, backend in (("cuDNN", "CUDNN_ATTENTION"), ("FlashAttention", "FLASH_ATTENTION"))
)


def _pipeline(proof: Proof, kernels: bool) -> VideoPipeline:
    module = LARGE.module(proof, kernels).to(proof.device).eval()
    awaken(module.ema.network)
    pipeline: VideoPipeline = module.pipeline
    return pipeline


def calls(proof: Proof, way: Way) -> None:
    """Milliseconds a step of the sampler takes, network and solver."""
    sampling = Sampling(num_videos=1, **{**SOLVER, **({"num_inference_steps": 2} if proof.tiny else {})})

    def seconds(pipeline: VideoPipeline, batch: int) -> float:
        sampler, _ = sampling.samplers(pipeline.schedule)
        network = pipeline.first_stage.autoencoder
        shape = (batch, network.latent_channels, network.latent_shape.num_tokens)
        denoise = pipeline.bind()
        return proof.seconds(lambda: sampler(denoise, shape), at_least=2, budget=0.5) / len(sampler.timesteps)

    for batch in (1, BEST):
        took = way.run(proof, partial(seconds, batch=batch))
        proof.row(**{"step of DPM-Solver++, PVDM-L": way.name, "videos at once": batch, "ms a step": 1e3 * took})


def videos(proof: Proof, way: Way, options: dict[str, Any], frames: int, at_once: int) -> None:
    """Seconds of a batch of whole videos, pixels included, after a short one that warms up."""
    if proof.tiny:
        frames, at_once = min(frames, 16), min(at_once, 2)
        options = {**options, "num_inference_steps": 2, "num_inference_steps_later": 1}
    sampling = Sampling(num_frames=frames, batch_size=at_once, **options)

    def seconds(pipeline: VideoPipeline) -> tuple[float, int]:
        calls = pipeline.num_steps(sampling)
        pipeline.generate(list(range(at_once)), Sampling(sampler="dpm_solver", num_inference_steps=2))
        proof.synchronize()
        started = time.perf_counter()
        pipeline.generate(list(range(at_once)), sampling)
        proof.synchronize()
        return time.perf_counter() - started, calls

    took, number = way.run(proof, seconds)
    name = f"{sampling.sampler}, {sampling.num_inference_steps} steps, {way.name}"
    figures = {"s": took, "s a video": took / at_once, "ms a call of the U-Net": 1e3 * took / number}
    proof.row(**{"PVDM-L": name, "frames": frames, "videos at once": at_once, **figures})


def coding(proof: Proof) -> None:
    """Clips a second of encoder and decoder."""

    def rows(pipeline: VideoPipeline) -> None:
        network = pipeline.first_stage.autoencoder
        for batch in BATCHES[:2] if proof.tiny else BATCHES:
            clip = torch.rand(batch, 3, *network.clip_shape, device=proof.device) * 2 - 1
            latent = network.encode(clip)
            encode = proof.seconds(partial(network.encode, clip), budget=0.5)
            decode = proof.seconds(partial(network.decode, latent), budget=0.5)
            figures = {"encoded clips/s": batch / encode, "decoded clips/s": batch / decode}
            proof.row(**{"autoencoder, bf16, batch": batch, **figures})

    AUTOCAST.run(proof, rows)


def part(seconds: float, way: Way, options: dict[str, Any], frames: int, at_once: int) -> Part:
    """Whole videos as a part of the section."""
    name = f"{at_once} videos of {frames} frames, {options['sampler']}, {way.name}"
    return Part(name, seconds, partial(videos, way=way, options=options, frames=frames, at_once=at_once))


SAMPLING = (
    *(Part(f"steps, {way.name}", 5, partial(calls, way=way)) for way in (AUTOCAST, BF16, PLAIN, CUDNN, FLASH)),
    part(10, BF16, SOLVER, 128, 1),
    part(10, AUTOCAST, SOLVER, 128, 1),
    Part("encoding and decoding", 6, coding),
    part(5, AUTOCAST, DDIM, 16, 1),
    part(12, BF16, SOLVER, 128, BEST),
)
