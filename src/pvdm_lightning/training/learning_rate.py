"""How the learning rate follows the step."""

from pvdm_lightning.errors import InvalidArgumentError


def check_decay(decay_steps: int, max_steps: int) -> None:
    """Raise `InvalidArgumentError` if the learning rate is to fall towards an end that the run does not have."""
    if decay_steps and max_steps < 0:
        raise InvalidArgumentError(
            "WarmupDecay.decay_steps",
            decay_steps,
            "counts back from the run's last step, which is not set",
            "Set Trainer.max_steps, or WarmupDecay.decay_steps 0.",
        )


def check_learning_rate(argument: str, rate: float) -> None:
    """Raise the `InvalidArgumentError` for a learning rate that is not positive."""
    if not rate > 0:
        raise InvalidArgumentError(argument, rate, "is not positive", "Give a number above 0, as 1e-4.")


def warmup_and_decay(step: int, warmup_steps: int, decay_steps: int, max_steps: int) -> float:
    """Factor in [0, 1] on the learning rate: linear from 0 over the first steps, linear to 0 over the last ones.

    Args:
        step: Optimizer steps done.
        warmup_steps: Steps of the rise; 0 for none.
        decay_steps: Steps of the fall, which ends at `max_steps`; 0 for none. A shorter run falls from its first step.
        max_steps: Steps of the run; not used without decay.
    """
    rise = min(1.0, (step + 1) / max(1, warmup_steps))
    fall = min(1.0, max(0, max_steps - step) / max(1, min(decay_steps, max_steps))) if decay_steps else 1.0
    return rise * fall
