"""The recorded results of the original on this device, in float32 and bf16, and batches beyond a CUDA grid."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmarks.networks import SHAPE, awaken
from benchmarks.sections.section import Part, Proof
from pvdm_lightning.convert import load_autoencoder, load_denoiser
from pvdm_lightning.convert.i3d import load_i3d
from pvdm_lightning.diffusion import Denoise, Guidance, NoiseSchedule, bind
from pvdm_lightning.diffusion.samplers import DDIMSampler
from pvdm_lightning.gpu.accelerate import accelerate
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.condition import Condition
from pvdm_lightning.models.triplane import TriplaneShape
from pvdm_lightning.models.unet import TriplaneUNet

CASES = Path(__file__).parents[2] / "tests" / "parity"
TITLES = {
    "autoencoder_64": "autoencoder, 64 x 64",
    "autoencoder_base": "autoencoder of the paper",
    "unet_32": "U-Net, 32 channels",
    "unet_base": "U-Net of PVDM-L",
}
TOLERANCE = 1e-4
Both = dict[str, tuple[Tensor, Tensor]]
"""Ours and the record, by the name of the quantity."""


def _fill() -> Any:
    """The module that regenerates the weights of the recorded cases."""
    spec = importlib.util.spec_from_file_location("parity_fill", CASES / "fill.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _relative(ours: Tensor, recorded: Tensor) -> float:
    """Largest difference as a share of the largest recorded value."""
    recorded = recorded.to(ours.device)
    return ((ours.float() - recorded).abs().max() / recorded.abs().max()).item()


def _compare(proof: Proof, case: str, run: Callable[[], Both], in_bf16: bool = True) -> None:
    """Rows of a case."""
    with torch.no_grad():
        exact = {name: _relative(*both) for name, both in run().items()}
        with proof.autocast():
            mixed = {name: _relative(*both) for name, both in run().items()} if in_bf16 else {}
    for name, error in exact.items():
        _row(proof, case, name, error, mixed.get(name))


def _row(proof: Proof, case: str, quantity: str, error: float, mixed: float | None = None) -> None:
    within = {f"within {TOLERANCE:g}": error <= TOLERANCE, "in bf16 autocast": mixed}
    proof.row(case=case, quantity=quantity, **{"relative error, float32": error, **within})


def _autoencoder(case: str, sizes: dict[str, int], proof: Proof, fill: Any) -> None:
    if proof.tiny and not sizes:
        return
    about, checkpoint, recorded = fill.load_case(CASES / f"{case}.json")
    network = load_autoencoder(checkpoint, **sizes).eval().to(proof.device)
    drawn = recorded.get("clip")
    if drawn is None:
        drawn = fill.tensor("clip", tuple(about["clip_shape"]), about["seed"]).clamp(-2, 2) / 2
    clip = drawn.to(proof.device)

    def outputs() -> Both:
        latent = network.encode(clip)
        frames = rearrange(network.decode(latent), "1 c s h w -> s c h w")
        whole, every_16th = recorded.get("reconstruction"), recorded.get("reconstruction_every_16th_pixel")
        both = (frames, whole) if every_16th is None else (frames[:, :, ::16, ::16], every_16th)
        return {"latent": (latent.to_sequence(), recorded["latent"]), "reconstruction": both}

    _compare(proof, TITLES[case], outputs)


def _denoiser(case: str, proof: Proof, fill: Any) -> None:
    if proof.tiny and case == "unet_base":
        return
    about, checkpoint, recorded = fill.load_case(CASES / f"{case}.json")
    network = load_denoiser(checkpoint, SHAPE).eval().to(proof.device)
    shape, seed = tuple(about["latent_shape"]), about["seed"]
    z, condition = (fill.tensor(name, shape, seed).to(proof.device) for name in ("z", "cond"))
    t = recorded["t"].to(proof.device)

    def outputs() -> Both:
        given = network(z, t, Condition(condition)), recorded["eps_conditional"]
        return {"noise, given a clip": given, "noise, given none": (network(z, t), recorded["eps_unconditional"])}

    _compare(proof, TITLES[case], outputs, not proof.tiny)
    accelerate(network)
    _compare(proof, f"{TITLES[case]}, our kernels", outputs, not proof.tiny)


def _i3d(proof: Proof, fill: Any) -> None:
    if proof.tiny:
        return
    about, checkpoint, recorded = fill.load_case(CASES / "i3d.json")
    video = fill.tensor("video", tuple(about["video_shape"]), about["seed"]) * 60 + 128
    video = video.clamp(0, 255).to(torch.uint8).permute(0, 4, 1, 2, 3).to(proof.device)
    network = load_i3d(checkpoint).to(proof.device)
    _compare(proof, "I3D", lambda: {"logits": (network(video), recorded["logits"])})


def _sampling(proof: Proof, fill: Any) -> None:
    """Whole trajectories where rounding does not grow along them, else each step from the recorded state before it."""
    about, checkpoint, recorded = fill.load_case(CASES / "sampling_32.json")
    states = load_file(CASES / "ddim_steps.safetensors")
    model = load_denoiser(checkpoint, SHAPE).eval().to(proof.device)
    for name in ("ddim_10_eta0",) if proof.tiny else about["runs"]:
        settings, shape = about["runs"][name], tuple(recorded[name].shape)
        schedule = NoiseSchedule().to(proof.device)
        sampler = DDIMSampler(schedule, settings["steps"], settings["eta"])
        condition = Condition(recorded["cond"].to(proof.device)) if settings["conditional"] else None
        # The record has the paper's weight of guidance.
        guidance = Guidance({"previous": settings["guidance_w"] + 1})
        denoise = bind(model, schedule, condition=condition, guidance=guidance)
        if name not in states:
            whole = partial(_whole, sampler, denoise, about["draw_seed"], name, recorded[name])
            _compare(proof, "DDIM", whole, not proof.tiny)
            continue
        generator = torch.Generator().manual_seed(about["draw_seed"])
        z, worst, rounding = torch.randn(shape, generator=generator), 0.0, 0.0
        following = [*states[name], recorded[name]][: 3 if proof.tiny else None]
        for (number, t), after in zip(enumerate(sampler.timesteps), following):
            fresh = torch.randn(shape, generator=generator).to(proof.device)
            now = z.to(proof.device)
            rounded = torch.nextafter(now, torch.full_like(now, torch.inf))  # each number one rounding away
            stepped = []
            for state in (now, rounded):
                with torch.no_grad():
                    noise = denoise(state, torch.full((len(state),), t, device=state.device))
                    stepped.append(sampler.step(number, state, noise, fresh)[0])
            worst, rounding = max(worst, _relative(stepped[0], after)), max(rounding, _relative(stepped[1], stepped[0]))
            z = after
        _row(proof, "DDIM", f"{name}, worst step (one rounding of its input moves it by {rounding:.1e})", worst)


def _whole(sampler: DDIMSampler, denoise: Denoise, seed: int, name: str, recorded: Tensor) -> Both:
    batch, channels, length = recorded.shape
    generator = torch.Generator().manual_seed(seed)
    return {name: (sampler(denoise, (batch, channels, length), generator), recorded)}


def _beyond_a_grid(proof: Proof, fill: Any) -> None:
    """More sequences along time than a CUDA grid has blocks, beside the same clips in small batches."""
    clips, side = (3, 16) if proof.tiny else (1025, 64)
    for precision, frames in (("float32", 4), ("bf16", 16)):
        torch.manual_seed(0)
        sizes: dict[str, Any] = {
            "dim": 64,
            "depth": 1,
            "heads": 8,
            "head_dim": 64,
            "projector_depth": 1,
            "projector_mlp_dim": 64,
        }
        network = VideoAutoencoder(frames, side, **sizes).to(proof.device)
        awaken(network)
        clip = torch.rand(clips, 3, frames, side, side, device=proof.device) * 2 - 1
        outputs, gradients = [], []
        for size in (clips, max(1, clips // 8)):
            network.zero_grad()
            parts = []
            for some in clip.split(size):
                with torch.autocast(proof.device, torch.bfloat16, enabled=precision == "bf16"):
                    made = network(some)
                # Sums, so that gradients of parts add up to that of the whole.
                (made * some).sum().div(clip.numel()).backward()
                parts.append(made.detach())
            outputs.append(torch.cat(parts))
            gradients.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]))
        sequences = clips * network.latent_shape.height * network.latent_shape.width
        errors = {"output": _relative(*outputs), "gradient": _relative(*gradients)}
        beside = {f"{name}, relative to small batches": error for name, error in errors.items()}
        proof.row(**{"sequences along time": sequences, "precision": precision, **beside})
        proof.reset_memory()


def _gradients(proof: Proof, fill: Any) -> None:
    """Gradients of both networks on this device beside those on a CPU."""
    shape = TriplaneShape(4, 4, 4)
    torch.manual_seed(0)
    networks: dict[str, tuple[nn.Module, tuple[Any, ...]]] = {
        "autoencoder": (
            VideoAutoencoder(4, 32, dim=64, depth=2, heads=2, projector_depth=1, projector_mlp_dim=64),
            (torch.rand(2, 3, 4, 32, 32) * 2 - 1,),
        ),
        "U-Net": (
            # Two channels a group: with one, the norms cancel the biases before them, whose gradients are rounding.
            TriplaneUNet(shape, base_channels=64),
            (
                torch.randn(2, 4, shape.num_tokens),
                torch.tensor([10, 900]),
                Condition(torch.randn(2, 4, shape.num_tokens)),
            ),
        ),
    }
    for name, (network, inputs) in networks.items():
        awaken(network)
        found = []
        for device in ("cpu", proof.device):
            (network if device == "cpu" else accelerate(network)).to(device).zero_grad()
            to_device = methodcaller("to", device)
            here = (x.map(to_device) if isinstance(x, Condition) else to_device(x) for x in inputs)
            network(*here).square().mean().backward()
            found.append({key: p.grad.cpu().clone() for key, p in network.named_parameters() if p.grad is not None})
        on_cpu, there = found
        worst = max(_relative(there[key], on_cpu[key]) for key in on_cpu if on_cpu[key].abs().max() > 1e-7)
        _row(proof, f"gradients, {name}", "worst of all weights, beside a CPU", worst)


def _checked(proof: Proof, check: Callable[[Proof, Any], None]) -> None:
    """A check whose float32 keeps its digits."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    check(proof, proof.once("fill", _fill))
    proof.reset_memory()


_CHECKS: dict[str, tuple[float, Callable[[Proof, Any], None]]] = {
    TITLES["autoencoder_64"]: (5, partial(_autoencoder, "autoencoder_64", {"frames": 16, "resolution": 64})),
    TITLES["unet_32"]: (3, partial(_denoiser, "unet_32")),
    "DDIM": (8, _sampling),
    "more sequences than a grid has blocks": (6, _beyond_a_grid),
    "gradients": (3, _gradients),
    TITLES["unet_base"]: (10, partial(_denoiser, "unet_base")),
    TITLES["autoencoder_base"]: (6, partial(_autoencoder, "autoencoder_base", {})),
    "I3D": (5, _i3d),
}
PARITY = tuple(Part(name, seconds, partial(_checked, check=check)) for name, (seconds, check) in _CHECKS.items())
