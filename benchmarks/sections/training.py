"""Training steps at the paper's size, by the project's own modules, run by Lightning as `pvdm fit` runs them."""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import IterableDataset

from benchmarks.memory import Peaks
from benchmarks.networks import MODELS, TINY_AUTOENCODER
from benchmarks.sections.section import Part, Proof, attention_by, product_rate
from pvdm_lightning.diffusion import denoising_loss
from pvdm_lightning.gpu.accelerate import accelerate
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.gradient_checkpointing import GradientCheckpointing
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.pipeline import FrozenAutoencoder
from pvdm_lightning.pipeline.pixels import to_signed_float
from pvdm_lightning.random import make_generator
from pvdm_lightning.training import AutoencoderModule, LatentDiffusionModule
from pvdm_lightning.training.batches import choose_pairs, move_but_host_values
from pvdm_lightning.training.muon import hidden_and_others, orthogonalize
from pvdm_lightning.training.optimization import OptimizerName, make_optimizer
from pvdm_lightning.training.step_draws import StepDraws

Batch = dict[str, Tensor]
COUNTED = Path(__file__).with_name("counted.json")
"""What `python -m benchmarks memory --json` counted: on a GPU one would wait minutes for it."""
WARM_UP, LEAST, MOST = 2, 2, 12  # steps
BUDGET = 4.0  # seconds of steps that count
TOP, PROFILED, NAME_LENGTH = 10, 3, 70  # kernels, steps, characters
TINY_DENOISER: dict[str, Any] = {
    "base_channels": 32,
    "channel_multipliers": (1, 2),
    "blocks_per_level": 1,
    "norm_groups": 8,
}


@dataclass(frozen=True)
class Case:
    """A kind of training step.

    Args:
        name: As of `memory.CASES`.
        batch: Of the shipped configuration, or another; no more than the card is predicted to hold.
        pairs: Two kinds of steps take turns.
    """

    name: str
    batch: int
    pairs: bool = False

    @property
    def first_stage(self) -> bool:
        return self.name.startswith("stage one")

    def module(self, proof: Proof, kernels: bool = True, **options: Any) -> Any:
        """As the shipped configuration has it, without LPIPS, whose weights a bare machine lacks.

        Args:
            proof: Where.
            kernels: Whether it has its kernels for a GPU.
            options: More arguments of the module.
        """
        with torch.device(proof.device):  # a GPU draws the weights of PVDM-L at once
            module = self._autoencoder(proof, **options) if self.first_stage else self._denoiser(proof, **options)
        return accelerate(module) if kernels else module

    def _autoencoder(self, proof: Proof, **options: Any) -> AutoencoderModule:
        network = _autoencoder(proof, "selective" if "selective" in self.name else "checkpointing" in self.name)
        start = 0 if self.pairs else None
        return AutoencoderModule(network, perceptual_weight=0.0, adversarial_start=start, **options)

    def _denoiser(self, proof: Proof, **options: Any) -> LatentDiffusionModule:
        channels = MODELS[self.name[-1]]
        denoiser = TriplaneUNet(**(TINY_DENOISER if proof.tiny else {"base_channels": channels}))
        module = LatentDiffusionModule(denoiser, warmup_steps=10, **options)
        module.attach_first_stage(FrozenAutoencoder(_autoencoder(proof)))
        return module

    def data(self, module: Any, size: int) -> Batch:
        """A batch as a loader gives it: random pixels, or latents of pairs as from a cache."""
        index = torch.arange(size)
        if self.first_stage:
            return {"clip": torch.randint(0, 256, (size, 3, *module.clip_shape), dtype=torch.uint8), "index": index}
        network = module.first_stage.autoencoder
        shape = (size, network.latent_channels, network.latent_shape.num_tokens)
        clip, previous = torch.rand(2, *shape) * 2 - 1
        return {"clip": clip, "previous": previous, "has_previous": torch.ones(size, dtype=torch.bool), "index": index}

    def size(self, proof: Proof) -> int:
        """Clips a step."""
        if not proof.on_gpu:
            return 2 if proof.tiny else self.batch
        return min(self.batch, peaks(self).largest_batch(torch.cuda.get_device_properties(0).total_memory / 1e9))

    def bare_step(self, proof: Proof, module: Any) -> Callable[[], None]:
        """A step without Lightning, for the profiler: on the L1 loss, or on latents with the EMA."""
        module.to(proof.device).train()
        size, generator = self.size(proof), make_generator(0, 0)
        data = move_but_host_values(
            self.data(module, size), lambda moving: {name: value.to(proof.device) for name, value in moving.items()}
        )
        network = module.autoencoder if self.first_stage else module.denoiser
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6, fused=True)

        def loss() -> Tensor:
            if self.first_stage:
                clip = to_signed_float(data["clip"])
                return (network(clip) - clip).abs().mean()
            given, kept = {"previous": data["has_previous"]}, {"previous": module.conditional_probability}
            timesteps, latent_size = module.schedule.num_train_timesteps, tuple(data["clip"].shape[1:])
            draws = StepDraws.draw(generator, given, kept, timesteps, latent_size).to(module.device)
            z_0, condition = choose_pairs(data, draws, module.pipeline.to_latent)
            denoise = partial(network, condition=condition)
            return denoising_loss(denoise, module.schedule, z_0, draws.t, draws.noise).mean()

        def step() -> None:
            with proof.autocast():
                value = loss()
            value.backward()
            optimizer.step()
            optimizer.zero_grad()
            if not self.first_stage:
                module.ema.update(network)

        return step


LARGE, SMALL = Case("stage two, L", 64), Case("stage two, S", 64)
CHECKPOINTING, PLAIN = Case("stage one, checkpointing", 8), Case("stage one", 8)
SELECTIVE = Case("stage one, selective checkpointing", 8)
ADVERSARIAL = Case("stage one, checkpointing, adversarial", 8, pairs=True)


def _autoencoder(proof: Proof, gradient_checkpointing: GradientCheckpointing = False) -> VideoAutoencoder:
    return VideoAutoencoder(**(TINY_AUTOENCODER if proof.tiny else {}), gradient_checkpointing=gradient_checkpointing)


def peaks(case: Case) -> Peaks:
    """Predicted memory."""
    counted = json.loads(COUNTED.read_text(encoding="utf-8"))[case.name]
    return Peaks(counted["one"], counted["each"], counted["rest"])


def tflop(case: Case) -> float:
    """Of forward and backward, one clip, without what gradient checkpointing repeats."""
    plain = "stage one" if case.first_stage else case.name
    return float(json.loads(COUNTED.read_text(encoding="utf-8"))[plain]["gflop"]) / 1e3


@dataclass(frozen=True)
class Variant:
    """A way to run a training step; what is measured with it beside `AS_SHIPPED` is one switch.

    Args:
        name: In the table.
        options: More arguments of `Case.module`.
        prepare: What is done to the module before it trains.
        switch: A context that it trains in.
        repeats_memory: Its memory is what was predicted.
    """

    name: str = "as shipped"
    options: dict[str, Any] = field(default_factory=dict)
    prepare: Callable[[Proof, Any], None] | None = None
    switch: Callable[[Proof], AbstractContextManager[Any]] = nullcontext
    repeats_memory: bool = True


def compile_networks(proof: Proof, module: Any) -> None:
    """As `--compile true`."""
    # A CPU may have no C++ compiler: a graph that is not lowered.
    module.compile_networks(**({} if proof.on_gpu else {"backend": "aot_eager"}))


def turn_discriminators(proof: Proof, module: Any) -> None:
    """Discriminators with channels-last weights, so that cuDNN convolves channels-last."""
    discriminators = module.loss.discriminators
    discriminators["frame"].to(memory_format=torch.channels_last)
    discriminators["clip"].to(memory_format=torch.channels_last_3d)


def cudnn_benchmark(proof: Proof) -> AbstractContextManager[Any]:
    """A context in which cuDNN times its kernels for each new shape and keeps the fastest."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=True)


AS_SHIPPED = Variant()
PLAIN_KERNELS = Variant("--gpu_kernels false", {"kernels": False}, repeats_memory=False)
COMPILED = replace(PLAIN_KERNELS, name="--gpu_kernels false, compiled", prepare=compile_networks)
OWN_CHOICE = Variant("attention as PyTorch chooses", switch=partial(attention_by, None))
FLASH = Variant("attention by FlashAttention", switch=partial(attention_by, "FLASH_ATTENTION"))
MUON = Variant("Muon", {"optimizer": "muon"}, repeats_memory=False)
BENCHMARK = Variant("cudnn.benchmark", switch=cudnn_benchmark, repeats_memory=False)
CHANNELS_LAST = Variant("channels-last discriminators", prepare=turn_discriminators, repeats_memory=False)


def measure(proof: Proof, case: Case, variant: Variant = AS_SHIPPED, profiled: bool = False) -> None:
    """A row with the step's time, its memory beside the prediction, and its share of the device's rate."""
    rate = proof.once("rate", lambda: product_rate(proof))
    proof.reset_memory()
    module, batch = case.module(proof, **variant.options), case.size(proof)
    if variant.prepare is not None:
        variant.prepare(proof, module)
    with variant.switch(proof):
        steps = train(proof, module, case.data(module, batch), pairs=case.pairs)
    predicted = peaks(case).at(batch) if variant.repeats_memory and not proof.tiny else None
    # A discriminators' turn has the autoencoder's forward pass alone: no share of the rate is claimed for it.
    work = None if case.pairs else batch * tflop(case)
    proof.row(
        **{
            "step": case.name + (" (mean of both turns)" if case.pairs else ""),
            "variant": variant.name,
            "batch": batch,
            "s a step": steps.seconds,
            "clips/s": batch / steps.seconds,
            "MFU %": None if work is None else 100 * work / steps.seconds / rate,
            "peak GiB": steps.peak,
            "predicted GiB": predicted,
            "off %": None if steps.peak is None or predicted is None else 100 * (steps.peak / predicted - 1),
            "start and first step s": steps.first,
        }
    )
    if profiled:
        title = f"{case.name}, {variant.name}"
        with variant.switch(proof):
            _busiest(proof, title, case.bare_step(proof, module), kernels=variant.prepare is compile_networks)


def optimizer_steps(proof: Proof) -> None:
    """Milliseconds of the optimizers alone, with all weights of PVDM-L."""
    network = LARGE.module(proof).denoiser
    for weight in network.parameters():
        weight.grad = torch.randn_like(weight)
    for name in get_args(OptimizerName):
        optimizer = make_optimizer(name, network, 1e-6, fused=True)
        proof.row(**{"optimizer, PVDM-L": name, "ms a step": 1e3 * proof.seconds(optimizer.step, budget=0.5)})


def newton_schulz(proof: Proof) -> None:
    """Milliseconds that Muon takes to make the momenta of PVDM-L orthogonal, by the precision of the products."""
    network = LARGE.module(proof).denoiser
    hidden, _ = hidden_and_others(network, network.edge_layers)
    momenta: dict[torch.Size, list[Tensor]] = {}
    for weight in hidden:
        matrix = torch.randn_like(weight).flatten(1)
        momenta.setdefault(matrix.shape, []).append(matrix)
    stacks = [torch.stack(same) for same in momenta.values()]

    def run(dtype: torch.dtype) -> None:
        for stack in stacks:
            orthogonalize(stack, dtype=dtype)

    for dtype in (torch.bfloat16, torch.float32):
        took = proof.seconds(partial(run, dtype), budget=0.5)
        name = str(dtype).removeprefix("torch.")
        proof.row(**{"Newton-Schulz, PVDM-L": name, "matrices": len(hidden), "ms a step": 1e3 * took})


def part(name: str, seconds: float, case: Case, variant: Variant = AS_SHIPPED, profiled: bool = False) -> Part:
    """A training step as a part of a section."""
    return Part(name, seconds, partial(measure, case=case, variant=variant, profiled=profiled))


STAGE_TWO = (
    part("PVDM-L", 20, LARGE, profiled=True),
    part("PVDM-L, --gpu_kernels false", 8, LARGE, PLAIN_KERNELS),
    part("PVDM-L, attention as PyTorch chooses", 7, LARGE, OWN_CHOICE),
    part("PVDM-L, attention by FlashAttention", 7, LARGE, FLASH),
    part("PVDM-S", 6, SMALL),
    part("PVDM-L, Muon", 8, LARGE, MUON),
    Part("Newton-Schulz", 3, newton_schulz),
    Part("optimizers", 4, optimizer_steps),
    part("PVDM-L, cudnn.benchmark", 9, LARGE, BENCHMARK),
)
STAGE_ONE = (
    part("gradient checkpointing", 16, CHECKPOINTING, profiled=True),
    part("selective gradient checkpointing", 10, SELECTIVE),
    part("all activations kept", 12, PLAIN, profiled=True),
    part("--gpu_kernels false", 8, CHECKPOINTING, PLAIN_KERNELS),
    part("attention as PyTorch chooses", 7, CHECKPOINTING, OWN_CHOICE),
    part("the adversarial phase", 12, ADVERSARIAL),
    part("the adversarial phase, channels-last discriminators", 10, ADVERSARIAL, CHANNELS_LAST),
    part("selective gradient checkpointing, 16 clips", 10, replace(SELECTIVE, batch=16)),
    part("gradient checkpointing, 24 clips", 12, replace(CHECKPOINTING, batch=24)),
    part("all activations kept, 12 clips", 8, replace(PLAIN, batch=12)),
)
COMPILED_STEPS = (part("stage one, gradient checkpointing", 25, CHECKPOINTING, COMPILED, profiled=True),)


def _busiest(proof: Proof, title: str, step: Callable[[], None], kernels: bool) -> None:
    """Report the operators that take the longest, or the kernels, and the share of time in which none runs."""
    _quieten()
    count = 1 if proof.tiny else PROFILED
    plain = proof.seconds(step, at_least=count, budget=0.0)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if proof.on_gpu else [])]
    with profile(activities=activities, acc_events=True) as profiled:
        for _ in range(count):
            step()
        proof.synchronize()
    on_host: dict[str, float] = {}
    on_gpu: dict[str, float] = {}
    for event in profiled.key_averages():
        on_device = event.device_type != DeviceType.CPU
        # Annotations of the profiler's user, such as the optimizer's, repeat the kernels inside them.
        if on_device and event.is_user_annotation:
            continue
        spent = event.self_device_time_total if proof.on_gpu else event.self_cpu_time_total
        times = on_gpu if on_device else on_host
        times[event.key] = times.get(event.key, 0.0) + spent / 1e3 / count
    chosen = on_gpu if kernels and proof.on_gpu else on_host
    busy = sum((on_gpu if proof.on_gpu else on_host).values())
    outside = 100 * (1 - busy / plain / 1e3)
    proof.row(**{"profile": title, "ms a step": 1e3 * plain, "ms in kernels": busy, "outside %": outside})
    for key, milliseconds in sorted(chosen.items(), key=lambda item: -item[1])[:TOP]:
        name = f"{title}: `{key[:NAME_LENGTH]}`"
        proof.row(**{"busiest": name, "ms": milliseconds, "% of kernels": 100 * milliseconds / busy})


@dataclass
class Steps:
    """What some training steps took.

    Args:
        first: Seconds of the start and the first step, which compiles if anything does.
        seconds: Of a later step, on average.
        peak: GiB of the device's memory; None on a CPU.
    """

    first: float
    seconds: float
    peak: float | None


class _Repeated(IterableDataset[Batch]):
    """The same batch for ever: what is timed is the step, not the data."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield self.batch


class _Stopwatch(Callback):
    """Notes when the first step, the warm-up and some steps more have ended, and ends the training.

    Args:
        proof: Where.
        turns: Kinds of steps that take turns; counts are of rounds of them.
        budget: Seconds for the steps that count.
    """

    def __init__(self, proof: Proof, turns: int, budget: float) -> None:
        self.proof, self.turns, self.budget = proof, turns, budget
        self.warm, self.count = (1, 1) if proof.tiny else (WARM_UP, MOST)
        self.ends = [time.perf_counter()]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        warmed = 1 + self.warm * self.turns
        last = warmed + self.count * self.turns
        if batch_idx + 1 not in (1, warmed, last):
            return  # the clock runs ahead of the device
        self.proof.synchronize()
        self.ends.append(time.perf_counter())
        if batch_idx + 1 == warmed and not self.proof.tiny:
            a_round = (self.ends[-1] - self.ends[-2]) / self.warm
            self.count = min(MOST, max(LEAST, round(self.budget / a_round)))
        trainer.should_stop = batch_idx + 1 == last


def train(proof: Proof, module: LightningModule, batch: Batch, pairs: bool = False, budget: float = BUDGET) -> Steps:
    """Fit `module` on one batch again and again, in bf16-mixed.

    Args:
        proof: Where.
        module: Trained as it is.
        batch: On the CPU, as a loader gives it.
        pairs: Two kinds of steps take turns; average over pairs.
        budget: Seconds for the steps that count; at least two do.

    Raises:
        torch.OutOfMemoryError: It does not fit.
    """
    _quieten()
    turns = 2 if pairs else 1
    stopwatch = _Stopwatch(proof, turns, budget)
    proof.reset_memory()
    trainer = Trainer(
        accelerator="gpu" if proof.on_gpu else "cpu",
        devices=1,
        precision="bf16-mixed",
        max_epochs=1,
        limit_val_batches=0,
        logger=False,
        callbacks=[stopwatch],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module.train()
    pinned = {name: value.pin_memory() if proof.on_gpu else value for name, value in batch.items()}
    trainer.fit(module, _Repeated(pinned))
    started, first, warmed, ended = stopwatch.ends
    return Steps(first - started, (ended - warmed) / (stopwatch.count * turns), proof.peak())


def _quieten() -> None:
    """Lightning's advice is for those who train."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    for message in (".*does not have many workers.*", ".*in eval mode.*", ".*no `val_dataloader`.*", ".*treespec.*"):
        warnings.filterwarnings("ignore", message=message)
