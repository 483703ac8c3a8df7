"""The recorded results of the original on this device, in float32 and bf16, and batches beyond a CUDA grid."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from safetensors.torch import load_file
from torch import Tensor, nn

from proof.section import Proof
from pvdm_lightning.convert import load_autoencoder, load_denoiser
from pvdm_lightning.convert.i3d import load_i3d
from pvdm_lightning.diffusion import DDIMSampler, Denoise, NoiseSchedule, classifier_free_guidance
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.triplane import TriplaneShape
from pvdm_lightning.models.unet import TriplaneUNet

CASES = Path(__file__).parents[2] / "tests" / "parity"
TOLERANCE = 1e-4
SHAPE = TriplaneShape(16, 32, 32)


def run(proof: Proof) -> None:
    """A row for each recorded quantity, then those beyond a grid, then gradients."""
    in_full_float32()
    fill = _fill()
    parts: list[Callable[[Proof, Any], None]] = [
        _autoencoder_small,
        _denoiser_small,
        _sampling,
        beyond_a_grid,
        _gradients,
    ]
    if not proof.tiny:
        parts += [_i3d, _autoencoder_of_the_paper, _denoiser_of_the_paper]
    for part in parts:
        part(proof, fill)
        proof.reset_memory()


def in_full_float32() -> None:
    """No TF32: float32 products and convolutions keep their digits."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def _fill() -> Any:
    spec = importlib.util.spec_from_file_location("parity_fill", CASES / "fill.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def relative(ours: Tensor, recorded: Tensor) -> float:
    """Largest difference as a share of the largest recorded value."""
    recorded = recorded.to(ours.device)
    return ((ours.float() - recorded).abs().max() / recorded.abs().max()).item()


def _compare(proof: Proof, case: str, run: Callable[[], dict[str, tuple[Tensor, Tensor]]]) -> None:
    """Rows of a case whose `run` gives ours and the record by name."""
    with torch.no_grad():
        exact = {name: relative(*both) for name, both in run().items()}
        with proof.autocast():
            mixed = {name: relative(*both) for name, both in run().items()}
    for name, error in exact.items():
        _row(proof, case, name, error, mixed[name])


def _row(proof: Proof, case: str, quantity: str, error: float, mixed: float | None) -> None:
    proof.row(
        **{
            "case": case,
            "quantity": quantity,
            "relative error, float32": error,
            f"within {TOLERANCE:g}": error <= TOLERANCE,
            "in bf16 autocast": mixed,
        }
    )


def _autoencoder(proof: Proof, name: str, network: VideoAutoencoder, clip: Tensor, recorded: dict[str, Tensor]) -> None:
    network, clip = network.eval().to(proof.device), clip.to(proof.device)

    def outputs() -> dict[str, tuple[Tensor, Tensor]]:
        latent = network.encode(clip)
        frames = rearrange(network.decode(latent), "1 c s h w -> s c h w")
        if "reconstruction" in recorded:
            both = frames, recorded["reconstruction"]
        else:
            both = frames[:, :, ::16, ::16], recorded["reconstruction_every_16th_pixel"]
        return {"latent": (latent.to_sequence(), recorded["latent"]), "reconstruction": both}

    _compare(proof, name, outputs)


def _autoencoder_small(proof: Proof, fill: Any) -> None:
    _, checkpoint, recorded = fill.load_case(CASES / "autoencoder_64.json")
    network = load_autoencoder(checkpoint, frames=16, resolution=64)
    _autoencoder(proof, "autoencoder, 64 x 64", network, recorded["clip"], recorded)


def _autoencoder_of_the_paper(proof: Proof, fill: Any) -> None:
    about, checkpoint, recorded = fill.load_case(CASES / "autoencoder_base.json")
    clip = fill.tensor("clip", tuple(about["clip_shape"]), about["seed"]).clamp(-2, 2) / 2
    _autoencoder(proof, "autoencoder of the paper", load_autoencoder(checkpoint), clip, recorded)


def _denoiser(proof: Proof, fill: Any, title: str, case: str) -> None:
    about, checkpoint, recorded = fill.load_case(CASES / f"{case}.json")
    network = load_denoiser(checkpoint, SHAPE).eval().to(proof.device)
    shape, seed = tuple(about["latent_shape"]), about["seed"]
    z, condition = (fill.tensor(name, shape, seed).to(proof.device) for name in ("z", "cond"))
    t = recorded["t"].to(proof.device)
    _compare(
        proof,
        title,
        lambda: {
            "noise, given a clip": (network(z, t, condition), recorded["eps_conditional"]),
            "noise, given none": (network(z, t), recorded["eps_unconditional"]),
        },
    )


def _denoiser_small(proof: Proof, fill: Any) -> None:
    _denoiser(proof, fill, "U-Net, 32 channels", "unet_32")


def _denoiser_of_the_paper(proof: Proof, fill: Any) -> None:
    _denoiser(proof, fill, "U-Net of PVDM-L", "unet_base")


def _sampling(proof: Proof, fill: Any) -> None:
    """Whole trajectories where rounding does not grow along them, else each step from the recorded state before it."""
    about, checkpoint, recorded = fill.load_case(CASES / "sampling_32.json")
    states = load_file(CASES / "ddim_steps.safetensors")
    model = load_denoiser(checkpoint, SHAPE).eval().to(proof.device)
    schedule = NoiseSchedule().to(proof.device)
    runs = about["runs"]
    if proof.tiny:  # one run of each kind
        runs = {name: runs[name] for name in ("ddim_10_eta0", "ddim_10_eta1")}
    for name, settings in runs.items():
        run = _Run(
            sampler=DDIMSampler(schedule, settings["steps"], settings["eta"]),
            denoise=classifier_free_guidance(model, settings["guidance_w"]),
            condition=recorded["cond"].to(proof.device) if settings["conditional"] else None,
            seed=about["draw_seed"],
            shape=tuple(recorded[name].shape),
        )
        if name in states:
            steps = [*states[name], recorded[name]][: 3 if proof.tiny else None]
            worst, rounding = run.steps(steps, proof.device)
            quantity = f"{name}, worst step (one rounding of its input moves it by {rounding:.1e})"
            _row(proof, "DDIM", quantity, worst, None)
        else:
            _compare(proof, "DDIM", partial(run.whole, name, recorded[name]))


@dataclass
class _Run:
    """A recorded trajectory."""

    sampler: DDIMSampler
    denoise: Denoise
    condition: Tensor | None
    seed: int
    shape: tuple[int, int, int]

    def whole(self, name: str, recorded: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """From the first noise to the last latent."""
        generator = torch.Generator().manual_seed(self.seed)
        return {name: (self.sampler(self.denoise, self.shape, self.condition, generator), recorded)}

    @torch.no_grad()
    def steps(self, recorded: list[Tensor], device: str) -> tuple[float, float]:
        """The largest error of a step, and how far one rounding of its input moves a step at most."""
        generator = torch.Generator().manual_seed(self.seed)
        z = torch.randn(self.shape, generator=generator)
        worst, rounding = 0.0, 0.0
        for t, t_next, after in zip(self.sampler.timesteps, [*self.sampler.timesteps[1:], -1], recorded):
            fresh = torch.randn(self.shape, generator=generator).to(device)
            now = z.to(device)
            rounded = torch.nextafter(now, torch.full_like(now, torch.inf))  # each number one rounding away
            plain, moved = (self.step(state, t, t_next, fresh) for state in (now, rounded))
            worst = max(worst, relative(plain, after))
            rounding = max(rounding, relative(moved, plain.cpu()))
            z = after
        return worst, rounding

    def step(self, z: Tensor, t: int, t_next: int, fresh: Tensor) -> Tensor:
        noise = self.denoise(z, torch.full((len(z),), t, device=z.device), self.condition)
        return self.sampler.step(z, noise, t, t_next, fresh)


def _i3d(proof: Proof, fill: Any) -> None:
    about, checkpoint, recorded = fill.load_case(CASES / "i3d.json")
    video = fill.tensor("video", tuple(about["video_shape"]), about["seed"]) * 60 + 128
    video = video.clamp(0, 255).to(torch.uint8).permute(0, 4, 1, 2, 3).to(proof.device)
    network = load_i3d(checkpoint).to(proof.device)
    _compare(proof, "I3D", lambda: {"logits": (network(video), recorded["logits"])})


def beyond_a_grid(proof: Proof, fill: Any) -> None:
    """More sequences along time than a CUDA grid has blocks, beside the same clips in small batches."""
    clips, side = (3, 16) if proof.tiny else (1025, 64)
    for precision in ("float32", "bf16"):
        frames = 4 if precision == "float32" else 16
        torch.manual_seed(0)
        network = VideoAutoencoder(
            frames, side, dim=64, depth=1, heads=8, head_dim=64, projector_depth=1, projector_mlp_dim=64
        ).to(proof.device)
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
        proof.row(
            **{
                "sequences along time": clips * network.latent_shape.height * network.latent_shape.width,
                "precision": precision,
                "output, relative to small batches": relative(*outputs),
                "gradient, relative to small batches": relative(*gradients),
            }
        )
        proof.reset_memory()


def _gradients(proof: Proof, fill: Any) -> None:
    """Gradients of both networks on this device beside those on a CPU."""
    shape = TriplaneShape(4, 4, 4)
    torch.manual_seed(0)
    networks: dict[str, tuple[nn.Module, tuple[Tensor, ...]]] = {
        "autoencoder": (
            VideoAutoencoder(4, 32, dim=64, depth=2, heads=2, projector_depth=1, projector_mlp_dim=64),
            (torch.rand(2, 3, 4, 32, 32) * 2 - 1,),
        ),
        "U-Net": (
            # Two channels a group: with one, the norms cancel the biases before them, whose gradients are rounding.
            TriplaneUNet(shape, base_channels=64),
            (torch.randn(2, 4, shape.num_tokens), torch.tensor([10, 900]), torch.randn(2, 4, shape.num_tokens)),
        ),
    }
    for name, (network, inputs) in networks.items():
        awaken(network)
        found = []
        for device in ("cpu", proof.device):
            network.to(device).zero_grad()
            network(*(x.to(device) for x in inputs)).square().mean().backward()
            found.append({key: p.grad.cpu().clone() for key, p in network.named_parameters() if p.grad is not None})
        on_cpu, here = found
        worst = max(relative(here[key], on_cpu[key]) for key in on_cpu if on_cpu[key].abs().max() > 1e-7)
        _row(proof, f"gradients, {name}", "worst of all weights, beside a CPU", worst, None)


def awaken(network: nn.Module) -> None:
    """Draw what starts at zero, so that every branch says something."""
    for weight in network.parameters():
        if weight.dim() > 1 and not weight.detach().any():
            nn.init.normal_(weight, std=0.02)
