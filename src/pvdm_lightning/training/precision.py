"""Supported precisions: weights and pixels stay in float32, matrix products may be narrower."""

from lightning import Trainer

from pvdm_lightning.errors import InvalidArgumentError

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


def check_precision(trainer: Trainer) -> None:
    """Raise `InvalidArgumentError` if a run's precision is none of `PRECISIONS`."""
    precision = getattr(trainer, "precision", PRECISIONS[0])
    if precision not in PRECISIONS:
        problem = "is not a precision that the networks run in"
        raise InvalidArgumentError("Trainer.precision", precision, problem, f"Give one of {', '.join(PRECISIONS)}.")
