"""Trains both stages on the embedded data with the project's own commands, samples, and draws what came out.

Writes samples.png and samples.mp4 (GIF where PyAV is missing), long.mp4, reconstructions.png and losses.png.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from proof.section import Proof
from pvdm_lightning import cli
from pvdm_lightning.data.videos.writing import write_video

ENLARGED = 3
FPS = 8
PROBE_STEPS = 40  # of a first run, from which the number of steps that fit into the time follows
Scalars = dict[str, list[tuple[int, float]]]


@dataclass(frozen=True)
class Sizes:
    """What is trained.

    Args:
        side: Height and width of a frame.
        videos: Of the training set.
        sampled: Videos to sample.
        long: Frames of the long video.
        steps: Steps of DDIM, for the first clip and for later ones.
        autoencoder: Options of stage one.
        denoiser: Options of stage two.
    """

    side: int
    videos: int
    sampled: int
    long: int
    steps: tuple[int, int]
    autoencoder: dict[str, Any]
    denoiser: dict[str, Any]


def sizes(proof: Proof) -> Sizes:
    """128 x 128 where there are at least three minutes, else 64 x 64; toys for a dry run."""
    if proof.tiny:
        narrow = {"autoencoder.init_args.dim": 16, "autoencoder.init_args.head_dim": 8, "warmup_steps": 1}
        tiny_unet = {"denoiser.init_args.base_channels": 8, "warmup_steps": 1}
        return Sizes(16, 8, 2, 32, (2, 1), narrow, tiny_unet)
    large = proof.left() > 180
    autoencoder = {
        "autoencoder.init_args.dim": 192,
        "autoencoder.init_args.depth": 2,
        "autoencoder.init_args.heads": 3,
        "autoencoder.init_args.head_dim": 64,
        "autoencoder.init_args.projector_depth": 2,
        "autoencoder.init_args.projector_mlp_dim": 384,
        "autoencoder.init_args.patch": 8 if large else 4,
        "discriminator_channels": 32,
        "learning_rate": 1e-3,
        "warmup_steps": 100,
    }
    denoiser = {
        "denoiser.init_args.base_channels": 128,
        "denoiser.init_args.blocks_per_level": 2,
        "denoiser.init_args.channel_multipliers": "[1,2,2]",
        "denoiser.init_args.heads": 4,
        "denoiser.init_args.norm_groups": 16,
        "learning_rate": 1e-3,
        "warmup_steps": 100,
        "ema_decay": 0.995,
    }
    return Sizes(128 if large else 64, 4096, 16, 128, (100, 50), autoencoder, denoiser)


def run(proof: Proof) -> None:
    """Stage one, the latent cache, stage two, samples; each stage gets its share of the time."""
    size = sizes(proof)
    with tempfile.TemporaryDirectory() as folder:
        studio = _Studio(proof, size, Path(folder))
        studio.run()


@dataclass
class _Studio:
    proof: Proof
    size: Sizes
    folder: Path

    def run(self) -> None:
        proof, folder = self.proof, self.folder
        ready = folder / "latents"
        # Stage one, then stage two; the rest is for the cache, for sampling and for drawing.
        first = self.fit("demo_ae.yaml", "autoencoder", self.size.autoencoder, batch=16, share=0.38)
        checkpoint = folder / "autoencoder" / "latest"
        self.predict(checkpoint, "reconstructions", videos=4)
        self.pvdm("encode", "--ckpt_path", checkpoint, "--output.dir", ready, "--output.windows_per_video", 1)
        options = {**self.size.denoiser, "autoencoder_checkpoint": checkpoint}
        cached = ["--config", "data/cached_latents.yaml", "--data.root", ready]
        second = self.fit("demo_ldm.yaml", "latent_diffusion", options, batch=64, share=0.72, data=cached)
        checkpoint = folder / "latent_diffusion" / "latest"
        first_clip, later = self.size.steps
        steps = ["--sampling.num_inference_steps", first_clip, "--sampling.num_inference_steps_later", later]
        self.predict(checkpoint, "samples", self.size.sampled, *steps)
        self.predict(checkpoint, "long", 1, *steps, "--sampling.num_frames", self.size.long)
        draw_losses(proof.out / "losses.png", {"stage one": first, "stage two": second})

    def fit(
        self, config: str, name: str, model: dict[str, Any], batch: int, share: float, data: Sequence[Any] = ()
    ) -> Scalars:
        """Train for a share of the time that is left, and report it; the curves."""
        proof, size = self.proof, self.size
        batch = 2 if proof.tiny else batch
        common = ["fit", "--config", config, *data, "--data.batch_size", batch, *self.trainer()]
        if not data:
            common += ["--model.autoencoder.init_args.resolution", size.side, "--data.num_videos", size.videos]
            common += ["--data.num_val_videos", 4 if proof.tiny else 32]
        if proof.on_gpu:
            common += ["--data.num_workers", 12]
        common += [word for option, value in model.items() for word in (f"--model.{option}", value)]
        seconds = share * proof.left()
        started = time.monotonic()
        # The first run says how fast a step is here, waiting for data included.
        probe = 2 if proof.tiny else PROBE_STEPS
        self.pvdm(*common, *self.steps(probe), "--trainer.default_root_dir", self.folder / "probe", "--run_name", name)
        rate = scalars(self.folder / "probe" / name)["train/clips_per_second"][-1][1] / batch
        seconds -= 1.3 * (time.monotonic() - started)
        steps = 4 if proof.tiny else max(probe, round(rate * seconds))
        command = [*common, *self.steps(steps), "--trainer.max_time", _clock(max(5.0, seconds))]
        command += ["--model.decay_steps", max(1, round(0.6 * steps))]
        if not data:
            command += ["--model.adversarial_start", round(0.75 * steps)]
        started = time.monotonic()
        self.pvdm(*command, "--trainer.default_root_dir", self.folder, "--run_name", name)
        curves = scalars(self.folder / name)
        done = curves["train/clips_per_second"][-1][0] + 1
        proof.row(
            **{
                "stage": name,
                "pixels": f"{size.side} x {size.side}",
                "steps": done,
                "batch": batch,
                "s": time.monotonic() - started,
                "clips/s": curves["train/clips_per_second"][-1][1],
                "PSNR dB": curves["val/psnr"][-1][1] if "val/psnr" in curves else None,
                "validation loss": curves["val/loss"][-1][1] if "val/loss" in curves else None,
            }
        )
        proof.row(command=f"`{self.shown(command)}`")
        return curves

    def steps(self, number: int) -> list[Any]:
        """Options of a run of so many steps, validated at its end."""
        interval = max(1, min(10, number // 20))
        return ["--trainer.max_steps", number, "--trainer.val_check_interval", number, *self.logged(interval)]

    def logged(self, interval: int) -> list[Any]:
        return ["--trainer.log_every_n_steps", interval, "--trainer.enable_progress_bar", "false"]

    def trainer(self) -> list[Any]:
        if self.proof.on_gpu:
            return ["--trainer.accelerator", "gpu", "--trainer.precision", "bf16-mixed"]
        return ["--trainer.accelerator", "cpu"]

    def predict(self, checkpoint: Path, name: str, videos: int, *options: Any) -> None:
        """Sample, or reconstruct, and draw: a contact sheet of several videos, and all of them as one video."""
        out = self.folder / name
        started = time.monotonic()
        command = ["predict", "--ckpt_path", checkpoint, "--sampling.num_videos", videos, *options]
        command += ["--sampling.batch_size", videos, "--output.dir", out, "--output.formats", "[npy]"]
        self.pvdm(*command, *self.trainer())
        self.proof.row(
            what=name,
            videos=videos,
            **{"s, start included": time.monotonic() - started},
            command=f"`{self.shown(command)}`",
        )
        made = [np.load(path) for path in sorted(out.glob("*.npy"))]  # [T H W 3] each
        if videos > 1:
            contact_sheet(made).save(self.proof.out / f"{name}.png")
        if name != "reconstructions":
            kind = "mp4" if find_spec("av") else "gif"
            write_video(enlarge(grid(made)), self.proof.out / f"{name}.{kind}", FPS)

    def pvdm(self, *arguments: Any) -> None:
        """Run a command of the project, in this process."""
        cli.main([str(argument) for argument in arguments])

    def shown(self, command: Sequence[Any]) -> str:
        """As typed, with folders relative to the run's."""
        return "pvdm " + " ".join(str(word).replace(f"{self.folder}/", "") for word in command)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"00:{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"


def scalars(folder: Path) -> Scalars:
    """What a run has logged to TensorBoard, by tag: step and value."""
    events = EventAccumulator(str((folder / "latest").resolve().parent), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def contact_sheet(videos: Sequence[np.ndarray], columns: int = 8) -> Image.Image:
    """A row a video, frames from left to right, enlarged without smoothing."""
    rows = []
    for video in videos[:12]:
        chosen = np.linspace(0, len(video) - 1, min(columns, len(video))).round().astype(int)
        rows.append(np.concatenate(list(video[chosen]), axis=1))
    sheet = np.concatenate(rows)
    factor = max(1, min(ENLARGED, 2400 // sheet.shape[1]))
    return Image.fromarray(sheet.repeat(factor, axis=0).repeat(factor, axis=1))


def grid(videos: Sequence[np.ndarray]) -> Tensor:
    """Videos of one length side by side, as near to a square as they go: uint8 [3 T H W]."""
    columns = math.ceil(math.sqrt(len(videos)))
    blank = np.zeros_like(videos[0])
    padded = [*videos, *[blank] * (-len(videos) % columns)]
    rows = [np.concatenate(padded[i : i + columns], axis=2) for i in range(0, len(padded), columns)]
    return torch.from_numpy(np.concatenate(rows, axis=1)).permute(3, 0, 1, 2)


def enlarge(video: Tensor) -> Tensor:
    """Without smoothing, to at most about 768 pixels."""
    factor = max(1, min(ENLARGED, 768 // video.shape[-1]))
    return video.repeat_interleave(factor, 2).repeat_interleave(factor, 3)


def draw_losses(path: Path, stages: dict[str, Scalars]) -> None:
    """A panel for each training curve that matters, on a logarithmic axis where its values allow."""
    panels = [
        (f"{stage}: {tag}", points)
        for stage, curves in stages.items()
        for tag, points in curves.items()
        if tag in ("train/psnr", "train/pixel", "train/loss") and len(points) > 1
    ]
    width, height, margin = 560, 300, 46
    picture = Image.new("RGB", (width * max(1, len(panels)), height), "white")
    draw = ImageDraw.Draw(picture)
    for number, (title, points) in enumerate(panels):
        left, right, top, bottom = number * width + margin, (number + 1) * width - 12, 30, height - margin // 2
        steps, values = np.array(points).T
        low, high = values.min(), values.max()
        x = left + (right - left) * (steps - steps[0]) / max(1, steps[-1] - steps[0])
        logarithmic = low > 0 and high / low > 5
        along = np.log(values / low) / np.log(high / low) if logarithmic else (values - low) / max(high - low, 1e-12)
        y = bottom - (bottom - top) * along
        draw.rectangle((left, top, right, bottom), outline="grey")
        draw.line(list(zip(x.tolist(), y.tolist())), fill="navy", width=2)
        draw.text((left, 8), title + (" (log)" if logarithmic else ""), fill="black")
        draw.text((number * width + 2, top), f"{high:.3g}", fill="black")
        draw.text((number * width + 2, bottom - 10), f"{low:.3g}", fill="black")
        draw.text((right - 90, bottom + 4), f"step {steps[-1]:.0f}", fill="black")
    picture.save(path)
