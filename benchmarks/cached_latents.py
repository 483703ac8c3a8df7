"""Steps a second of stage two, from pixels and from cached latents, in one run.

    python benchmarks/cached_latents.py
    python benchmarks/cached_latents.py --size L --root data/UCF-101 --batch-size 64 --accelerator gpu

Both train the same denoiser, with the validation left out; the runs take turns, and the median of each counts. From
pixels, a step waits for its clips, encodes them and then does what a step from the cache does. The autoencoder is
untrained: its cost does not depend on its weights. Where other programs share the machine, the processor's seconds tell
more than the clock's. The networks are those of the demo, or the paper's S or L with its autoencoder at 256 x 256.
"""

import argparse
import logging
import statistics
import sys
import tempfile
import time
import warnings
from typing import Any

import torch
import yaml
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from pvdm_lightning.cli.commands.encode import write_latents
from pvdm_lightning.cli.shipped_configs import config_folder
from pvdm_lightning.cpu.accelerate import accelerate
from pvdm_lightning.data import CachedLatents, ClipDataModule, Synthetic, VideoFolder
from pvdm_lightning.data.latents.latent_cache import CacheOptions
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.pipeline import FrozenAutoencoder
from pvdm_lightning.training import LatentDiffusionModule, LatentEncoder


def of_demo(stage: str, network: str) -> dict[str, Any]:
    """The arguments of a network in a configuration of the demo."""
    model = yaml.safe_load((config_folder() / f"demo_{stage}.yaml").read_text(encoding="utf-8"))["model"]
    arguments: dict[str, Any] = model["init_args"][network]["init_args"]
    return arguments


SIZES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "demo": (of_demo("ae", "autoencoder"), of_demo("ldm", "denoiser")),
    "S": ({}, {"base_channels": 128}),
    "L": ({}, {"base_channels": 256}),
}


class StepTimes(Callback):
    """Notes when each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.processor: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())
        self.processor.append(time.process_time())


def trainer_of(args: argparse.Namespace, steps: int = 0, *callbacks: Callback) -> Trainer:
    """A trainer that writes and shows nothing."""
    return Trainer(
        accelerator=args.accelerator,
        devices=1,
        precision=args.precision,
        max_steps=steps,
        limit_val_batches=0,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def measure(network: VideoAutoencoder, data: LightningDataModule, args: argparse.Namespace) -> tuple[float, float]:
    """Steps a second, and seconds of the processor a step, of a fresh run without its first steps."""
    torch.manual_seed(0)
    module = LatentDiffusionModule(TriplaneUNet(**SIZES[args.size][1]))
    module.attach_autoencoder(FrozenAutoencoder(network))
    accelerate(module)
    times = StepTimes()
    trainer_of(args, args.warmup + args.steps, times).fit(module, data)
    first = args.warmup - 1
    seconds, of_processor = times.ends[-1] - times.ends[first], times.processor[-1] - times.processor[first]
    return args.steps / seconds, of_processor / args.steps


def main() -> None:
    """Encode a set once, train from both, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="demo")
    parser.add_argument("--root", help="folder of videos; left out: drawn videos")
    parser.add_argument("--videos", type=int, default=32, help="how many are drawn")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--workers", type=int, default=0, help="that read videos; the cache is read without any")
    parser.add_argument("--steps", type=int, default=10, help="that count, of each run")
    parser.add_argument("--warmup", type=int, default=3, help="steps before those")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each kind")
    parser.add_argument("--accelerator", default="cpu")
    parser.add_argument("--precision", default="32-true")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    network = VideoAutoencoder(**SIZES[args.size][0])

    def videos() -> ClipDataModule:
        how = {"batch_size": args.batch_size, "num_workers": args.workers, "val_clips": 1}
        data = VideoFolder(args.root, **how) if args.root else Synthetic(args.videos, 1, **how)
        data.default_to(network.clip_shape, clips_per_sample=2)
        return data

    say = sys.stdout.write
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        write_latents(trainer_of(args), LatentEncoder(network), videos(), {}, CacheOptions(dir=folder))
        say(f"clips of {' x '.join(map(str, network.clip_shape))}, batch {args.batch_size}, size {args.size}\n")
        say(f"encoding one window a video took {time.perf_counter() - started:.1f} s\n\n")
        sources = {"pixels": videos, "cache": lambda: CachedLatents(folder, args.batch_size)}
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in sources}
        for _ in range(args.repeats):
            for name, source in sources.items():
                measured[name].append(measure(network, source(), args))
    say(f"{'from':10s}{'steps/s':>10s}{'slowest':>10s}{'fastest':>10s}{'ratio':>8s}{'CPU s/step':>14s}{'ratio':>8s}\n")
    base: tuple[float, float] | None = None
    for name, runs in measured.items():
        speeds, costs = zip(*runs)
        speed, cost = statistics.median(speeds), statistics.median(costs)
        base = base or (speed, cost)
        say(f"{name:10s}{speed:10.2f}{min(speeds):10.2f}{max(speeds):10.2f}{speed / base[0]:7.2f}x")
        say(f"{cost:14.3f}{base[1] / cost:7.2f}x\n")


if __name__ == "__main__":
    main()
