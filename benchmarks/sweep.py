"""The clips that the scaling benchmark goes through, and what was counted and measured of each denoiser on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import pixel_unet
from stage_two import inputs
from step_costs import Arithmetic, Build, arithmetic, evaluation, evaluation_memory, training_memory
from step_times import Stopwatch
from torch import Tensor, nn
from tqdm import tqdm

from pvdm_lightning.cpu.accelerate import accelerate
from pvdm_lightning.models.triplane import TriplaneShape
from pvdm_lightning.models.unet import TriplaneUNet

PATCH = 8
OURS, PIXEL = "PVDM", "pixel U-Net"
KINDS = SAMPLING, TRAINING = "sampling", "training"


@dataclass(frozen=True)
class Clip:
    """Frames, and pixels of a frame's side."""

    frames: int
    side: int

    def __str__(self) -> str:
        return f"{self.frames} x {self.side} x {self.side}"

    @property
    def shape(self) -> TriplaneShape:
        return TriplaneShape.of_clip(self.frames, self.side, self.side, PATCH)


@dataclass
class Step:
    """One step on a clip, of each denoiser by its name: the peak of its memory, and seconds of those that ran."""

    gib: dict[str, float]
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass
class Sweep:
    """Clips of the first number of frames and the side `at` belong to both series.

    Args:
        base_channels: Width of the denoisers.
        frames: Of the clips that grow in time, at the side `at`.
        sides: Of the clips that grow in space, in pixels, at the first number of frames.
        at: Pixels.
        multipliers: Channels of each level of the denoisers as multiples of the base channels.
    """

    base_channels: int
    frames: tuple[int, ...]
    sides: tuple[int, ...]
    at: int
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    arithmetic: dict[tuple[str, Clip], Arithmetic] = field(default_factory=dict)
    steps: dict[tuple[str, Clip], Step] = field(default_factory=dict)

    @property
    def by_frames(self) -> list[Clip]:
        return [Clip(frames, self.at) for frames in self.frames]

    @property
    def by_side(self) -> list[Clip]:
        return [Clip(self.frames[0], side) for side in self.sides]

    @property
    def clips(self) -> list[Clip]:
        """Each clip once, those of fewest pixels first."""
        return sorted({*self.by_frames, *self.by_side}, key=lambda clip: (clip.frames * clip.side**2, clip.frames))

    def builds(self, clip: Clip) -> dict[str, Build]:
        """The denoisers for a clip; that of pixels is left out where its package is not installed."""
        both: dict[str, Build] = {OURS: partial(self._ours, clip)}
        if pixel_unet.installed():
            both[PIXEL] = partial(self._pixels, clip)
        return both

    def count(self) -> None:
        """Fill in arithmetic and memory."""
        for clip in tqdm(self.clips, desc="counting", unit="clip", leave=False):
            builds = self.builds(clip)
            self.arithmetic |= {(name, clip): arithmetic(evaluation(build)) for name, build in builds.items()}
            self.steps[SAMPLING, clip] = Step(
                {name: evaluation_memory(evaluation(build)) for name, build in builds.items()}
            )
            self.steps[TRAINING, clip] = Step({name: training_memory(build) for name, build in builds.items()})

    def run(self, stopwatch: Stopwatch) -> None:
        """Fill in the seconds."""
        for clip in tqdm(self.clips, desc="timing", unit="clip", leave=False):
            builds = self.builds(clip)
            # A backward pass computes each product of the forward pass twice, once for each factor's gradient.
            for kind, passes in zip(KINDS, (1, 3)):
                step = self.steps[kind, clip]
                work = {name: passes * self.arithmetic[name, clip].total for name in builds}
                step.seconds = stopwatch.seconds(str(clip), kind, builds, work, step.gib)

    def _ours(self, clip: Clip, batch: int) -> tuple[nn.Module, tuple[Tensor, ...]]:
        network = TriplaneUNet(clip.shape, base_channels=self.base_channels, channel_multipliers=self.multipliers)
        return accelerate(network), inputs(batch, clip.shape)

    def _pixels(self, clip: Clip, batch: int) -> tuple[nn.Module, tuple[Tensor, ...]]:
        network = pixel_unet.PixelUNet(self.base_channels, self.multipliers)
        return network, pixel_unet.inputs(batch, clip.frames, clip.side)
