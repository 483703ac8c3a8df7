"""Guidance: predictions are moved away from those of less of the condition, or of a worse network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pvdm_lightning.diffusion.noise_schedule import NoiseSchedule
from pvdm_lightning.errors import InvalidArgumentError, check_numbers
from pvdm_lightning.models.condition import Condition

LARGEST_GUIDANCE = 1000
Predict = Callable[[Tensor, Tensor, Condition | None], Tensor]
"""Predicts the noise [B C L] in z_t [B C L] at times t int64 [B], given the condition of B samples or None."""
_CALLED = {"previous": "the clip before", "known": "the known frames", "label": "the class"}


@dataclass(frozen=True)
class Guidance:
    """How strongly samples follow what they are conditioned on, and when.

    With c without i as the condition that lacks part i, and eps' as the prediction of a worse network::

        eps(c) + sum_i (s_i - 1) (eps(c) - eps(c without i)) + (s' - 1) (eps(c) - eps'(c))

    The sum is classifier-free guidance (Ho and Salimans 2022), with a scale for each part (Liu et al. 2022); the last
    term is autoguidance (Karras et al. 2024a), which needs no condition. Each part that is guided, and the worse
    network, takes an evaluation more.

    Args:
        scales: s_i by the name of the part, 0 to 1000, as in diffusers: 0 leaves the part out, 1 is no guidance. Parts
            that are not named, or are not in a condition, are not guided.
        interval: First and last time of the guidance, as shares of the schedule's times: 0 is the least noise, 1 the
            most. Outside, only eps(c) is evaluated (Kynkäänniemi et al. 2024).
        rescale: phi, 0 to 1: how far the std of each sample's predicted z_0 is brought back from the guided one to that
            of eps(c) (Lin et al. 2024, section 3.4). They rescale the velocity, which is -z_0 where the noise is
            strongest and samples get too bright; the std of epsilon is about 1 with and without guidance.
        autoguidance_scale: s', 0 to 1000; 1 is no autoguidance.
    """

    scales: Mapping[str, float] = field(default_factory=dict)
    interval: tuple[float, float] = (0.0, 1.0)
    rescale: float = 0.0
    autoguidance_scale: float = 1.0

    def __post_init__(self) -> None:
        check_numbers("Guidance", vars(self))
        for part, scale in self.scales.items():
            check_scale("Guidance.scales", scale, part)
        check_scale("Guidance.autoguidance_scale", self.autoguidance_scale)
        check_interval("Guidance.interval", self.interval)
        check_rescale("Guidance.rescale", self.rescale)

    def parts(self, condition: Condition | None) -> list[str]:
        """Names of the parts of a condition that are guided."""
        given = () if condition is None else condition.given
        return [part for part in given if self.scales.get(part, 1.0) != 1]

    def times(self, schedule: NoiseSchedule) -> range:
        """The times of a schedule at which guidance acts."""
        last = schedule.num_train_timesteps - 1
        start, end = (round(share * last, 6) for share in self.interval)  # 0.7 * 10 is above 7
        return range(math.ceil(start), math.floor(end) + 1)

    def __str__(self) -> str:
        scales = {"previous": 1.0, **self.scales}
        first, last = self.interval
        words = [f"guidance scale {scales.pop('previous'):g}"]
        words += [f"{scale:g} for {part}" for part, scale in scales.items() if scale != 1]
        words += [f"autoguidance scale {self.autoguidance_scale:g}"] if self.autoguidance_scale != 1 else []
        words += [f"guided from {first:g} to {last:g} of the times"] if (first, last) != (0, 1) else []
        words += [f"rescaled by {self.rescale:g}"] if self.rescale else []
        return ", ".join(words)


def check_scale(argument: str, scale: float, part: str | None = None) -> None:
    """Raise `InvalidArgumentError` unless a scale of guidance can be followed.

    Args:
        argument: What the error calls it.
        scale: The value.
        part: The part of a condition that it is for; None is the worse network of autoguidance.
    """
    if not 0 <= scale <= LARGEST_GUIDANCE:
        away_from = "the better network" if part is None else _CALLED.get(part, f"the {part}")
        problem = f"steers away from {away_from}" if scale < 0 else "leaves nothing of a video"
        usual = "2 to 8" if part is not None else "1.5 to 3"
        remedy = f"Give 0 to {LARGEST_GUIDANCE}; 1 is no guidance, {usual} is usual."
        raise InvalidArgumentError(argument, scale, problem, remedy)


def check_interval(argument: str, interval: tuple[float, float]) -> None:
    """Raise `InvalidArgumentError` unless these are two rising shares of time."""
    shares = list(interval) if isinstance(interval, tuple | list) else [interval]
    if len(shares) != 2 or not 0 <= shares[0] <= shares[1] <= 1:
        problem = "is not a first and a last share of the times"
        given = ",".join(f"{share:g}" for share in shares)
        raise InvalidArgumentError(argument, given, problem, "Give two numbers from 0 to 1, such as 0.2,0.8.")


def check_rescale(argument: str, rescale: float) -> None:
    """Raise `InvalidArgumentError` unless this is a share."""
    if not 0 <= rescale <= 1:
        problem, remedy = "is not between 0 and 1", "Give 0 (not at all) to 1; 0.7 is usual."
        raise InvalidArgumentError(argument, rescale, problem, remedy)


def with_guidance(
    predict: Predict, guidance: Guidance, schedule: NoiseSchedule, predict_worse: Predict | None = None
) -> Predict:
    """Predict epsilon with guidance, whatever the time; all evaluations of one network are one batch.

    Args:
        predict: The network, which predicts epsilon.
        guidance: The guidance.
        schedule: The forward process of both networks.
        predict_worse: The network of autoguidance, which predicts epsilon, too; None leaves autoguidance out.
    """

    def predict_guided(z_t: Tensor, t: Tensor, condition: Condition | None) -> Tensor:
        parts = guidance.parts(condition)
        if condition is not None and parts:
            copies = 1 + len(parts)
            joined = Condition.cat([condition, *(condition.without(part) for part in parts)])
            full, *lesser = predict(torch.cat([z_t] * copies), torch.cat([t] * copies), joined).chunk(copies)
        else:
            full, lesser = predict(z_t, t, condition), []
        weights = [guidance.scales[part] - 1 for part in parts]
        if predict_worse is not None and guidance.autoguidance_scale != 1:
            lesser.append(predict_worse(z_t, t, condition))
            weights.append(guidance.autoguidance_scale - 1)
        guided = (1 + sum(weights)) * full
        for weight, prediction in zip(weights, lesser, strict=True):
            guided = guided - weight * prediction
        return guided if guidance.rescale == 0 else _rescaled(guided, full, z_t, t, schedule, guidance.rescale)

    return predict_guided


def _rescaled(guided: Tensor, full: Tensor, z_t: Tensor, t: Tensor, schedule: NoiseSchedule, rescale: float) -> Tensor:
    """Lin et al. 2024, equations 15 and 16, for the z_0 that predictions of epsilon [B C L] amount to."""
    alpha_bar = schedule.alpha_bar[t][:, None, None]
    sigma = (1 - alpha_bar).sqrt()
    # sqrt(abar) z_0; the factor in front has no part in the ratio.
    guided_z_0, full_z_0 = z_t - sigma * guided, z_t - sigma * full
    std, full_std = (z_0.std(dim=(1, 2), correction=0, keepdim=True) for z_0 in (guided_z_0, full_z_0))
    factor = 1 - rescale + rescale * full_std / std.clamp(min=torch.finfo(std.dtype).tiny)
    return (z_t - factor * guided_z_0) / sigma
