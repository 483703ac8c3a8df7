"""The sampling loop that all samplers share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from pvdm_lightning.diffusion.binding import BoundDenoiser
from pvdm_lightning.diffusion.denoise import Denoise
from pvdm_lightning.diffusion.noise_schedule import NoiseSchedule
from pvdm_lightning.random import Generators, randn

OnStep = Callable[[int, int, Tensor], None]
"""Called after each step with its number, its time t, and the latents [B C L] that it led to."""
Step = Callable[..., tuple[Tensor, Tensor]]
RunStep = Callable[..., tuple[Tensor, Tensor]]
"""``run(step, *inputs)`` -> ``step(*inputs)``: calls the step, or replays what was captured of an equal one."""
MOST_NUMBERS = 2**24
"""Random numbers drawn and moved to the device at once: 64 MiB, all steps of a clip unless there are very many."""


def call(step: Step, *inputs: object) -> tuple[Tensor, Tensor]:
    """``step(*inputs)``."""
    return step(*inputs)


class Sampler(ABC):
    """Draws latents with a denoiser; subclasses define one step.

    All numbers of a step are known beforehand, as tables on the device, so that no step waits for the host, and one
    CUDA graph serves all steps. A sampler holds no state between steps: one instance may draw several batches, in turn
    or at once.

    Args:
        schedule: The forward process the denoiser was trained with.
        timesteps: The times to visit, falling.

    Attributes:
        alpha_bar: abar at the timesteps, float32 [N] on the CPU.
    """

    adds_noise = True
    """Whether steps take fresh noise."""

    def __init__(self, schedule: NoiseSchedule, timesteps: list[int]) -> None:
        self.schedule = schedule
        self.timesteps = timesteps
        self.alpha_bar = schedule.alpha_bar.cpu()[timesteps]

    @torch.no_grad()
    def __call__(
        self,
        denoise: Denoise,
        shape: tuple[int, int, int],
        generator: Generators = None,
        on_step: OnStep | None = None,
        run: RunStep = call,
    ) -> Tensor:
        """Sample latents.

        Args:
            denoise: Predicts epsilon.
            shape: (B, C, L).
            generator: See `randn`.
            on_step: Called after each step.
            run: Runs each step, see `CudaGraphs`.

        Returns:
            [B C L], within the clip range of the schedule.
        """
        device = self.schedule.alpha_bar.device
        steps = len(self.timesteps)
        noise = _draw(shape, generator, device, steps if self.adds_noise else 1)
        z = next(noise)
        table = _upload(self._table, device)
        times = _upload(torch.tensor(self.timesteps)[:, None].repeat(1, shape[0]), device)
        z_0 = zeros = torch.zeros_like(z)
        for number, t in enumerate(self.timesteps):
            # Chosen here, as the time is a tensor inside: a graph is of a step with guidance, or without.
            at_t = denoise.at(t) if isinstance(denoise, BoundDenoiser) else denoise
            z, z_0 = run(self._denoise_and_step, at_t, z, times[number], next(noise, zeros), z_0, table[number])
            if number + 1 == steps:
                z = z_0
            if on_step is not None:
                on_step(number, t, z)
        return z

    def step(
        self, number: int, z: Tensor, epsilon: Tensor, noise: Tensor, last_z_0: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Go from z_t at ``timesteps[number]`` to the next of the timesteps; the last step returns the clean latents.

        Args:
            number: Number of the step, from 0.
            z: z_t, [B C L].
            epsilon: The noise predicted in it.
            noise: Fresh standard normal noise; zeros if the sampler adds none.
            last_z_0: Clean latents that the step before predicted; None in the first step.

        Returns:
            The next latents [B C L], and the clean latents predicted in this step, clipped.
        """
        last_z_0 = torch.zeros_like(z) if last_z_0 is None else last_z_0
        z, z_0 = self._step(self._table[number].to(z.device), z, epsilon, noise, last_z_0)
        return (z_0, z_0) if number + 1 == len(self.timesteps) else (z, z_0)

    @abstractmethod
    def coefficients(self) -> dict[str, Tensor]:
        """Tables of the numbers that `advance` needs, each [N - 1] on the CPU, one number for each step but the last.

        Names are free. Computed once; whatever changes from step to step has to be in a table.
        """

    @abstractmethod
    def advance(
        self, c: Mapping[str, Tensor], z: Tensor, epsilon: Tensor, noise: Tensor, z_0: Tensor, last_z_0: Tensor
    ) -> Tensor:
        """Any step but the last: latents [B C L] at the next of the timesteps.

        Operations on tensors alone, the same in every step.

        Args:
            c: The coefficients of this step, by the names of their tables.
            z: See `step`.
            epsilon: See `step`.
            noise: See `step`.
            z_0: Clean latents predicted in this step, clipped.
            last_z_0: Those of the step before; zeros in the first step.
        """

    @cached_property
    def _own(self) -> dict[str, Tensor]:
        return self.coefficients()

    @cached_property
    def _table(self) -> Tensor:
        """A row for each step, float32 [N, 2 + coefficients]; those of the last step are zeros, and without effect."""
        own = [F.pad(column, (0, 1)) for column in self._own.values()]
        columns = [self.alpha_bar.rsqrt(), (1 / self.alpha_bar - 1).sqrt(), *own]
        return torch.stack([column.float() for column in columns], dim=1)

    def _denoise_and_step(
        self, denoise: Denoise, z: Tensor, t: Tensor, noise: Tensor, last_z_0: Tensor, row: Tensor
    ) -> tuple[Tensor, Tensor]:
        return self._step(row, z, denoise(z, t), noise, last_z_0)

    def _step(self, row: Tensor, z: Tensor, epsilon: Tensor, noise: Tensor, last_z_0: Tensor) -> tuple[Tensor, Tensor]:
        """A step by its row of the table, as if it was not the last."""
        of_z, of_epsilon, *own = row.unbind()
        # The z_0 that z_t came from if its noise was epsilon, clamped to the range of latents.
        z_0 = (of_z * z - of_epsilon * epsilon).clamp(-self.schedule.clip_range, self.schedule.clip_range)
        return self.advance(dict(zip(self._own, own, strict=True)), z, epsilon, noise, z_0, last_z_0), z_0


def _draw(shape: tuple[int, int, int], generator: Generators, device: torch.device, count: int) -> Iterator[Tensor]:
    """`count` draws of `randn` in turn, drawn ahead and moved to the device together."""
    source = device
    if generator is not None:
        source = (generator if isinstance(generator, torch.Generator) else generator[0]).device
    at_once = max(1, MOST_NUMBERS // math.prod(shape))
    for start in range(0, count, at_once):
        some = range(start, min(start + at_once, count))
        yield from _upload(torch.stack([randn(shape, generator, source) for _ in some]), device)


def _upload(numbers: Tensor, device: torch.device) -> Tensor:
    """Move to the device; a copy to a GPU is not waited for."""
    if numbers.device.type == "cpu" and device.type == "cuda":
        return numbers.pin_memory().to(device, non_blocking=True)
    return numbers.to(device)
