"""Trains both stages of the demo in the time that is left, with the project's own commands, and samples.

Writes samples.png and samples.mp4 (GIF where PyAV is missing), long.mp4 and reconstructions.png.
"""

from __future__ import annotations

import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmarks.sections.section import Part, Proof
from pvdm_lightning import cli
from pvdm_lightning.data.output.contact_sheet import contact_sheet, video_grid
from pvdm_lightning.data.output.writing import write_video

PROBE_STEPS = 40  # of a first run, from which the number of steps that fit into the time follows
SAMPLING = ("--sampling.num_inference_steps", 100, "--sampling.num_inference_steps_later", 50)
# Toys where the section is only tried: each name a command's, or the stage's.
TINY: dict[str, tuple[Any, ...]] = {
    "autoencoder": (
        *("--model.autoencoder.resolution", 16, "--model.autoencoder.dim", 16, "--model.autoencoder.head_dim", 8),
        *("--data.num_videos", 8, "--data.num_val_videos", 4, "--model.warmup_steps", 1),
        *("--video_logger.num_videos", 0),
    ),
    "latent_diffusion": (
        *("--model.denoiser.base_channels", 8, "--model.warmup_steps", 1, "--video_logger.num_videos", 0),
        *("--validation_distance.num_videos", 0),
    ),
    "predict": ("--sampling.num_inference_steps", 2, "--sampling.num_inference_steps_later", 1),
}


def _run(proof: Proof) -> None:
    """Stage one, the latent cache, stage two, samples; each stage gets its share of the time."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        autoencoder, denoiser = folder / "autoencoder" / "latest", folder / "latent_diffusion" / "latest"
        _fit(proof, folder, "demo_ae.yaml", "autoencoder", batch=32, share=0.38)
        _predict(proof, autoencoder, "reconstructions", 4)
        known = ("--output.known_frames", "[first:4]")  # as long videos continue clips
        _pvdm(proof, "encode", "--ckpt_path", autoencoder, "--output.dir", folder / "latents", *known)
        cached = ("--config", "model/ldm_conditions.yaml", "--config", "data/cached_latents.yaml",
                  "--data.root", folder / "latents", "--model.autoencoder_checkpoint", autoencoder)  # fmt: skip
        _fit(proof, folder, "demo_ldm.yaml", "latent_diffusion", *cached, batch=128, share=0.72)
        _predict(proof, denoiser, "samples", 2 if proof.tiny else 16, *SAMPLING)
        _predict(proof, denoiser, "long", 1, *SAMPLING, "--sampling.num_frames", 32 if proof.tiny else 128)


def _pvdm(proof: Proof, *arguments: Any) -> None:
    """Run a command of the project, in this process."""
    device = ("gpu", "--trainer.precision", "bf16-mixed") if proof.on_gpu else ("cpu",)
    cli.main([str(argument) for argument in (*arguments, "--trainer.accelerator", *device)])


def _fit(proof: Proof, folder: Path, config: str, name: str, *options: Any, batch: int, share: float) -> None:
    """Train for a share of the time that is left, and report what was reached on the way."""
    batch = 2 if proof.tiny else batch
    seconds, started = share * proof.left(), time.monotonic()
    common = ("fit", "--config", config, *options, *(TINY[name] if proof.tiny else ()), "--data.batch_size", batch)
    common += ("--run_name", name, "--data.num_workers", 12 if proof.on_gpu else 0)

    def fit(root: Path, steps: int, *more: Any) -> dict[str, list[tuple[int, float]]]:
        _pvdm(
            proof, *common, "--trainer.default_root_dir", root, "--trainer.max_steps", steps, *more,
            "--trainer.val_check_interval", steps, "--trainer.enable_progress_bar", "false",
            "--trainer.log_every_n_steps", max(1, min(10, steps // 20)), "--model.decay_steps", max(1, 3 * steps // 5),
        )  # fmt: skip
        return _scalars(root / name)

    # The first run says how fast a step is here, waiting for data included.
    probe = 2 if proof.tiny else PROBE_STEPS
    rate = fit(folder / "probe", probe)["train/clips_per_second"][-1][1] / batch
    seconds -= 1.3 * (time.monotonic() - started)
    steps, started = 4 if proof.tiny else max(probe, round(rate * seconds)), time.monotonic()
    minutes, rest = divmod(max(5, int(seconds)), 60)
    curves = fit(folder, steps, "--trainer.max_time", f"00:{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}")
    clips_per_second = curves["train/clips_per_second"][-1][1]
    proof.row(stage=name, batch=batch, s=time.monotonic() - started, **{"clips/s": clips_per_second})
    for tag in {"train/psnr", "val/psnr", "train/loss", "val/loss"} & curves.keys():
        for step, value in curves[tag][:: max(1, len(curves[tag]) // 8)]:
            proof.row(curve=f"{name}, {tag}", step=step, value=value)


def _predict(proof: Proof, checkpoint: Path, name: str, videos: int, *options: Any) -> None:
    """Sample, or reconstruct, and draw: a contact sheet of several videos, and all of them as one video."""
    with tempfile.TemporaryDirectory() as out:
        started = time.monotonic()
        command = ("predict", "--ckpt_path", checkpoint, "--sampling.num_videos", videos, *options)
        command += (*(TINY["predict"] if proof.tiny else ()), "--sampling.batch_size", videos)
        _pvdm(proof, *command, "--output.dir", out, "--output.formats", "[npy]")
        proof.row(what=name, videos=videos, **{"s, start included": time.monotonic() - started})
        arrays = [np.load(path) for path in sorted(Path(out).glob("*.npy"))]  # [T H W 3] each
    made = torch.stack([torch.from_numpy(array).permute(3, 0, 1, 2) for array in arrays])
    if videos > 1:
        contact_sheet(made).save(proof.out / f"{name}.png")
    if name != "reconstructions":
        columns = max(n for n in range(1, len(made) + 1) if len(made) % n == 0 and n * n <= len(made))
        write_video(video_grid(made, columns), proof.out / f"{name}.{'mp4' if find_spec('av') else 'gif'}", 8)


def _scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    """What a run has logged to TensorBoard, by tag: step and value."""
    events = EventAccumulator(str((run / "latest").resolve().parent), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


GALLERY = (Part("both stages", 46, _run),)
