"""From a network to what samplers see: condition, prediction type and guidance are bound once, outside of the loop."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple, Protocol

from torch import Tensor

from pvdm_lightning.diffusion.guidance import Guidance, Predict, with_guidance
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
        predict: Predicts epsilon without guidance.
        condition: What the samples are conditioned on.
        predict_guided: Predicts epsilon with guidance; None if there is none.
        guided_times: Times at which a sampler takes the latter.
    """

    predict: Predict
    condition: Condition | None
    predict_guided: Predict | None = None
    guided_times: range = range(0)

    def at(self, t: int) -> BoundDenoiser:
        """What denoises at one time: outside of the interval of guidance, without any."""
        return self if t in self.guided_times else self._replace(predict_guided=None)

    def __call__(self, z_t: Tensor, t: Tensor) -> Tensor:
        predict = self.predict if self.predict_guided is None else self.predict_guided
        return predict(z_t, t, self.condition)


def bind(
    network: ConditionalNetwork,
    schedule: NoiseSchedule,
    prediction_type: PredictionType = "epsilon",
    condition: Condition | None = None,
    guidance: Guidance | None = None,
    predict_worse: Predict | None = None,
) -> BoundDenoiser:
    """Bind a network to all that does not change while a sampler runs; the result predicts epsilon.

    Args:
        network: The trained network.
        schedule: The forward process it was trained with.
        prediction_type: What it predicts.
        condition: What the samples are conditioned on; None is nothing.
        guidance: The guidance; None is none. Parts of the condition that are not there are not guided.
        predict_worse: Predicts epsilon by a worse network, for autoguidance: ``bind(worse, ...).predict``.
    """

    def predict(z_t: Tensor, t: Tensor, condition: Condition | None) -> Tensor:
        return to_epsilon_prediction(partial(network, condition=condition), schedule, prediction_type)(z_t, t)

    is_autoguided = guidance is not None and guidance.autoguidance_scale != 1 and predict_worse is not None
    if guidance is None or not (guidance.parts(condition) or is_autoguided):
        return BoundDenoiser(predict, condition)
    predict_guided = with_guidance(predict, guidance, schedule, predict_worse)
    return BoundDenoiser(predict, condition, predict_guided, guidance.times(schedule))
