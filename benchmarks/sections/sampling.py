"""Encoding, decoding and sampling at the paper's size, from random weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.networks import awaken
from benchmarks.sections.section import Part, Proof, attention_by
from benchmarks.sections.training import LARGE
from pvdm_lightning.diffusion.samplers.sampler import call
from pvdm_lightning.gpu.cuda_graph import CudaGraphs, Replay, capture_on_cuda
from pvdm_lightning.pipeline import Sampling, VideoPipeline

BATCHES = (1, 8, 32)
BEST = 16  # videos at once
SOLVER: dict[str, Any] = {"sampler": "dpm_solver", "num_inference_steps": 20}
DDIM: dict[str, Any] = {"sampler": "ddim", "num_inference_steps": 100, "num_inference_steps_later": 20}


AIM_CALL, AIM_LONG = 10.0, 2.0
"""Milliseconds of a step for one video, and seconds of 128 frames with DPM-Solver++ in 20 steps."""


@dataclass(frozen=True)
class Way:
    """A way to sample; what is measured beside `AS_SHIPPED` differs from it in one switch.

    Args:
        name: In the table.
        dtype: Data type of the weights. Networks in float32 run under bf16 autocast.
        cast: Whether weights are converted for autocast once, and not in each call.
        graph: Whether steps are replayed as CUDA graphs.
        kernels: Whether the networks have their kernels for a GPU.
        switch: A context to sample in.
    """

    name: str
    dtype: torch.dtype = torch.float32
    cast: bool = True
    graph: bool = True
    kernels: bool = True
    switch: Callable[[Proof], AbstractContextManager[Any]] = nullcontext

    def run(self, proof: Proof, what: Callable[[VideoPipeline, CudaGraphs], Any]) -> tuple[Any, bool]:
        """`what` of the pipeline and of graphs to replay, sampling this way; and whether a graph was captured."""
        name = f"pipeline, kernels: {self.kernels}"
        pipeline = proof.once(name, lambda: _pipeline(proof, self.kernels)).to(dtype=self.dtype)
        captured: list[Replay] = []

        def capture(function: Callable[..., Sequence[Tensor]], inputs: Sequence[Tensor]) -> Replay:
            captured.append(capture_on_cuda(function, inputs) if proof.on_gpu else partial(function, *inputs))
            return captured[-1]

        autocast = proof.autocast() if self.dtype == torch.float32 else nullcontext()
        uncast = nullcontext() if self.cast else patch.object(pipeline, "cast_weights", nullcontext)
        try:
            with torch.no_grad(), autocast, uncast, self.switch(proof):
                return what(pipeline, CudaGraphs(capture)), bool(captured)
        finally:
            pipeline.graphs = None
            pipeline.to(dtype=torch.float32)


AS_SHIPPED, BF16 = Way("as shipped"), Way("weights in bf16", torch.bfloat16)
ONE_OFF = (
    Way("without CUDA graphs", graph=False),
    Way("weights cast in each call", cast=False),
    Way("attention as PyTorch chooses", switch=partial(attention_by, None)),
    Way("attention by FlashAttention", switch=partial(attention_by, "FLASH_ATTENTION")),
    Way("--gpu_kernels false", kernels=False),
)
NONE = Way("none of these", cast=False, graph=False, kernels=False)


def _pipeline(proof: Proof, kernels: bool) -> VideoPipeline:
    module = LARGE.module(proof, kernels).to(proof.device).eval()
    awaken(module.ema.network)
    pipeline: VideoPipeline = module.pipeline
    return pipeline


def calls(proof: Proof, way: Way) -> None:
    """Milliseconds a step of the sampler takes, network and solver."""
    sampling = Sampling(num_videos=1, **{**SOLVER, **({"num_inference_steps": 2} if proof.tiny else {})})

    def seconds(pipeline: VideoPipeline, graphs: CudaGraphs, batch: int) -> float:
        sampler, _ = sampling.samplers(pipeline.schedule)
        network = pipeline.first_stage.autoencoder
        shape = (batch, network.latent_channels, network.latent_shape.num_tokens)
        run: Any = partial(graphs, "step") if way.graph else call
        with pipeline.cast_weights():
            draw = partial(sampler, pipeline.bind(), shape, run=run)
            return proof.seconds(draw, at_least=2, budget=0.5) / len(sampler.timesteps)

    for batch in (1, BEST):
        took, captured = way.run(proof, partial(seconds, batch=batch))
        figures = {"CUDA graph": captured, "ms a step": 1e3 * took, "aim": AIM_CALL if batch == 1 else None}
        proof.row(**{"step of DPM-Solver++, PVDM-L": way.name, "videos at once": batch, **figures})


def videos(proof: Proof, way: Way, options: dict[str, Any], frames: int, at_once: int) -> None:
    """Seconds of a batch of whole videos, pixels included, after a short one of two clips that warms up."""
    aim = AIM_LONG if (options, frames, at_once) == (SOLVER, 128, 1) else None
    if proof.tiny:
        frames, at_once = min(frames, 16), min(at_once, 2)
        options = {**options, "num_inference_steps": 2, "num_inference_steps_later": 1}
    sampling = Sampling(num_frames=frames, batch_size=at_once, cuda_graph="on" if way.graph else "off", **options)

    def seconds(pipeline: VideoPipeline, graphs: CudaGraphs) -> tuple[float, int]:
        pipeline.graphs = graphs
        calls = pipeline.num_steps(sampling)
        short = replace(sampling, num_frames=min(frames, 2 * pipeline.clip_shape[0]))
        pipeline.generate(list(range(at_once)), short)
        proof.synchronize()
        started = time.perf_counter()
        pipeline.generate(list(range(at_once)), sampling)
        proof.synchronize()
        return time.perf_counter() - started, calls

    (took, number), captured = way.run(proof, seconds)
    name = f"{sampling.sampler}, {sampling.num_inference_steps} steps, {way.name}"
    figures = {"s": took, "aim": aim, "s a video": took / at_once, "ms a call of the U-Net": 1e3 * took / number}
    proof.row(**{"PVDM-L": name, "frames": frames, "videos at once": at_once, "CUDA graph": captured, **figures})


def coding(proof: Proof) -> None:
    """Clips a second of encoder and decoder."""

    def rows(pipeline: VideoPipeline, _: CudaGraphs) -> None:
        network = pipeline.first_stage.autoencoder
        for batch in BATCHES[:2] if proof.tiny else BATCHES:
            clip = torch.rand(batch, 3, *network.clip_shape, device=proof.device) * 2 - 1
            latent = network.encode(clip)
            encode = proof.seconds(partial(network.encode, clip), budget=0.5)
            decode = proof.seconds(partial(network.decode, latent), budget=0.5)
            figures = {"encoded clips/s": batch / encode, "decoded clips/s": batch / decode}
            proof.row(**{"autoencoder, bf16, batch": batch, **figures})

    AS_SHIPPED.run(proof, rows)


def part(seconds: float, way: Way, options: dict[str, Any], frames: int, at_once: int) -> Part:
    """Whole videos as a part of the section."""
    name = f"{at_once} videos of {frames} frames, {options['sampler']}, {way.name}"
    return Part(name, seconds, partial(videos, way=way, options=options, frames=frames, at_once=at_once))


SAMPLING = (
    *(Part(f"steps, {way.name}", 4, partial(calls, way=way)) for way in (AS_SHIPPED, *ONE_OFF, BF16, NONE)),
    part(8, AS_SHIPPED, SOLVER, 128, 1),
    part(12, NONE, SOLVER, 128, 1),
    Part("encoding and decoding", 6, coding),
    part(4, AS_SHIPPED, DDIM, 16, 1),
    part(10, AS_SHIPPED, SOLVER, 128, BEST),
)
