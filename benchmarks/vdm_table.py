"""The scaling benchmark's last table, in the form of the paper's comparison with VDM on a card of 24 GB.

The paper compares the largest batch of training, and the seconds and the memory of synthesis. A synthesis is as many
sampling steps as one likes, so a step is what counts here. A video longer than a clip is sampled by PVDM clip after
clip, in the memory of one. Encoding and decoding, which a denoiser of pixels does not need, come once a clip.
"""

from __future__ import annotations

from functools import partial

from measure import say, short
from memory import largest
from step_costs import Build, arithmetic, evaluation, evaluation_memory, training_memory
from step_times import Stopwatch
from sweep import OURS, SAMPLING, TRAINING, Clip, Sweep
from torch import Tensor, nn, rand
from tqdm import tqdm

from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.triplane import Triplane

CARD = 24 * 10**9 / 2**30  # a card's GB are 10^9 bytes, ours are GiB
TINY = {"dim": 64, "depth": 1, "heads": 2, "projector_depth": 1}


class _Encoding(nn.Module):
    def __init__(self, clip: Clip, sizes: dict[str, int]) -> None:
        super().__init__()
        self.autoencoder = VideoAutoencoder(clip.frames, clip.side, **sizes)

    def forward(self, pixels: Tensor) -> Triplane:
        return self.autoencoder.encode(pixels)


class _Decoding(_Encoding):
    def forward(self, latent: Tensor) -> Tensor:
        return self.autoencoder.decode(Triplane.from_sequence(latent, self.autoencoder.latent_shape))


def _encoding(clip: Clip, sizes: dict[str, int], batch: int) -> tuple[nn.Module, tuple[Tensor, ...]]:
    return _Encoding(clip, sizes), (rand(batch, 3, clip.frames, clip.side, clip.side),)


def _decoding(clip: Clip, sizes: dict[str, int], batch: int) -> tuple[nn.Module, tuple[Tensor, ...]]:
    return _Decoding(clip, sizes), (rand(batch, 4, clip.shape.num_tokens),)


def show(sweep: Sweep, stopwatch: Stopwatch) -> None:
    """Print the table: the sweep's shortest and longest clips, then what comes once a clip."""
    clip, video = sweep.by_frames[0], sweep.by_frames[-1]
    clips = video.frames // clip.frames
    training, steps = sweep.steps[TRAINING, clip], (sweep.steps[SAMPLING, clip], sweep.steps[SAMPLING, video])
    batches = _batches(sweep, clip)
    say(f"In the form of the paper's comparison with VDM, {clip.side} x {clip.side}\n\n")
    over = (f"a training step, {clip.frames} frames", *(f"sampling step, {c.frames} frames" for c in (clip, video)))
    say(f"{'':22s}{over[0]:>29s}{over[1]:>26s}{over[2]:>26s}\n")
    say(f"{'':22s}{'batch, 24 GB':>13s}{'s':>8s}{'GiB':>8s}" + f"{'s':>18s}{'GiB':>8s}" * 2 + "\n")
    for name, batch in batches.items():
        say(f"{name:22s}{batch:13d}{short(training.seconds.get(name)):>8s}{short(training.gib[name]):>8s}")
        say("".join(f"{short(step.seconds.get(name)):>18s}{short(step.gib[name]):>8s}" for step in steps) + "\n")
    one = steps[0].seconds.get(OURS)
    in_turn = None if one is None else clips * one  # not timed: the same step again and again
    say(f"{f'{OURS}, {clips} clips':22s}{'':55s}{short(in_turn):>18s}{short(steps[0].gib[OURS]):>8s}\n\n")
    _once_a_clip(clip, TINY if sweep.base_channels < 64 else {}, stopwatch)


def _batches(sweep: Sweep, clip: Clip) -> dict[str, int]:
    batches = {}
    for name, build in tqdm(sweep.builds(clip).items(), desc="largest batch", unit="model", leave=False):
        at = {batch: training_memory(build, batch) for batch in (128, 256)}
        batches[name] = largest({1: sweep.steps[TRAINING, clip].gib[name], **at}, CARD)
    return batches


def _once_a_clip(clip: Clip, sizes: dict[str, int], stopwatch: Stopwatch) -> None:
    builds: dict[str, Build] = {
        "encoding (training from pixels)": partial(_encoding, clip, sizes),
        "decoding (sampling)": partial(_decoding, clip, sizes),
    }
    work = {name: arithmetic(evaluation(build)).total for name, build in builds.items()}
    gib = {name: evaluation_memory(evaluation(build)) for name, build in builds.items()}
    seconds = stopwatch.seconds(str(clip), "autoencoder", builds, work, gib)
    say(f"{OURS}'s autoencoder, once a clip of {clip}\n\n{'':34s}{'s':>8s}{'GiB':>8s}{'GFLOP':>8s}\n")
    for name in builds:
        say(f"{name:34s}{short(seconds.get(name)):>8s}{short(gib[name]):>8s}{short(work[name]):>8s}\n")
    say("\n")
