"""Errors of the library: the argument, its value, what is wrong with it, and the remedy, in one line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvdm_lightning.escaping import printable

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = 2.0**127
"""Of a number: more than that is infinite in float32."""


class InvalidArgumentError(ValueError):
    """An argument that cannot be used.

    Arguments are named ``Class.argument``, also inside of `problem` and `remedy`. The command line turns these names
    into its options.

    Args:
        argument: Such as ``Sampling.seed``.
        value: What was given.
        problem: What is wrong with it, without a full stop.
        remedy: What to do instead, a sentence.
    """

    def __init__(self, argument: str, value: object, problem: str, remedy: str) -> None:
        self.argument, self.value, self.problem, self.remedy = argument, value, problem, remedy
        # What comes from a file must not reach the terminal as it is.
        super().__init__(printable(" ".join(f"{argument} {value}: {problem}. {remedy}".split())))

    def __reduce__(self) -> tuple[type, tuple[str, str, str, str]]:  # it travels between processes
        return type(self), (self.argument, str(self.value), self.problem, self.remedy)


def check_at_least(argument: str, value: int | None, least: int) -> None:
    """Raise `InvalidArgumentError` if a number is given and is too small, or is none."""
    if value is not None and not value >= least:
        raise InvalidArgumentError(argument, value, f"is less than {least}", f"Give {least} or more.")


def check_numbers(owner: str, arguments: Mapping[str, Any]) -> None:
    """Raise `InvalidArgumentError` if a number among the arguments is NaN, infinite or too large for float32.

    A constructor calls it with ``locals()`` before anything else, so that no argument is forgotten.

    Args:
        owner: What the error calls the class or function.
        arguments: Values by name, lists and tables of numbers included.
    """
    for path, value in not_finite(arguments):
        argument = next(part for part in path if part != "kwargs")
        raise InvalidArgumentError(f"{owner}.{argument}", value, "is not a finite number", "Give a finite number.")


def not_finite(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """The path and the value of each number in nested tables and lists that float32 does not hold."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from not_finite(item, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from not_finite(item, path)
    elif isinstance(value, Real) and not abs(value) < LARGEST:  # type: ignore[operator]  # NaN compares with nothing
        yield path, value


def check_videos(argument: str, videos: Tensor, shape: str, unquantised: bool = False) -> None:
    """Raise `InvalidArgumentError` unless these are uint8 pixels of a shape such as ``[B 3 T H W]``; "" is any.

    Floats are refused whatever their range, which cannot be told from the values of a dark video; unless the caller
    knows that they are `unquantised` pixels, float32 in 0..255.
    """
    import torch

    if unquantised and isinstance(videos, torch.Tensor) and videos.dtype == torch.float32 and videos.numel():
        low, high = (float(end) for end in videos.aminmax())
        if not (low >= 0 and high <= 255):
            given = f"float32 from {low:.4g} to {high:.4g}"
            raise InvalidArgumentError(argument, given, "is not in 0..255", "Give pixels 0 to 255.")
        videos = videos.byte()

    axes = shape.strip("[]").split()
    given = f"{str(getattr(videos, 'dtype', type(videos).__name__)).removeprefix('torch.')} "
    given += str(list(getattr(videos, "shape", [])))
    if not isinstance(videos, torch.Tensor) or videos.dtype != torch.uint8:
        remedy = "Give values 0 to 255, of floats in [0, 1] as (255 * video).round().to(torch.uint8)."
        raise InvalidArgumentError(argument, given, f"is not uint8 {shape}".rstrip(), remedy)
    sizes = [int(axis) if axis.isdigit() else None for axis in axes]
    if shape and (len(sizes) != videos.dim() or any(size not in (None, n) for size, n in zip(sizes, videos.shape))):
        raise InvalidArgumentError(argument, given, f"is not uint8 {shape}", f"Bring the axes into the order {shape}.")
    if 0 in videos.shape[1:]:
        raise InvalidArgumentError(argument, given, "has no pixels", "Give at least one frame.")


def check_writable(argument: str, value: object, folder: Path) -> None:
    """Raise `InvalidArgumentError` if files cannot be written to a folder that exists or is yet to be made."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise InvalidArgumentError(argument, value, f"{there} is not a writable folder", "Name another.")
