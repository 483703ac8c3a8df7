"""From a network to what samplers see: condition, prediction type and guidance are bound once, outside of the loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from torch import Tensor

from pvdm_lightning.diffusion.guidance import classifier_free_guidance
from pvdm_lightning.diffusion.noise_schedule import NoiseSchedule
from pvdm_lightning.diffusion.prediction_type import PredictionType, to_epsilon_prediction
from pvdm_lightning.models.condition import Condition


class ConditionalNetwork(Protocol):
    """A network that denoises with or without a condition."""

    def __call__(self, z_t: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        """z_t [B C L], t int64 [B], condition of B samples -> [B C L], of the prediction type of its training."""
        ...


class BoundDenoiser(NamedTuple):
    """A denoiser, and apart from it the tensors that it is bound to: a CUDA graph takes those of each clip.

    Attributes:
        predict: Predicts epsilon of (z_t, t, condition).
        condition: What the samples are conditioned on.
    """

    predict: Callable[[Tensor, Tensor, Condition | None], Tensor]
    condition: Condition | None

    def __call__(self, z_t: Tensor, t: Tensor) -> Tensor:
        return self.predict(z_t, t, self.condition)


def bind(
    network: ConditionalNetwork,
    schedule: NoiseSchedule,
    prediction_type: PredictionType = "epsilon",
    condition: Condition | None = None,
    guidance_scale: float = 1.0,
) -> BoundDenoiser:
    """Bind a network to all that does not change while a sampler runs; the result predicts epsilon.

    Args:
        network: The trained network.
        schedule: The forward process it was trained with.
        prediction_type: What it predicts.
        condition: What the samples are conditioned on; None is nothing.
        guidance_scale: Scale of classifier-free guidance; 1 is none. Without a condition there is nothing to guide.
    """
    guided = condition is not None and guidance_scale != 1
    if condition is not None and guided:
        condition = Condition.cat([condition, condition.no_condition()])

    def predict(z_t: Tensor, t: Tensor, condition: Condition | None) -> Tensor:
        denoise = to_epsilon_prediction(partial(network, condition=condition), schedule, prediction_type)
        return (classifier_free_guidance(denoise, guidance_scale) if guided else denoise)(z_t, t)

    return BoundDenoiser(predict, condition)
