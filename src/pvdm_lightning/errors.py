"""Errors of the library: the argument, its value, what is wrong with it, and the remedy, in one line."""

import os
from pathlib import Path

from pvdm_lightning.escaping import printable


class InvalidArgumentError(ValueError):
    """An argument that cannot be used.

    Arguments are named ``Class.argument``, also inside of `problem` and `remedy`. The command line turns these names
    into its options.

    Args:
        argument: Such as ``TriplaneUNet.heads``.
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
    """Raise `InvalidArgumentError` if a number is given and is too small."""
    if value is not None and value < least:
        raise InvalidArgumentError(argument, value, f"is less than {least}", f"Give {least} or more.")


def check_writable(argument: str, value: object, folder: Path) -> None:
    """Raise `InvalidArgumentError` if files cannot be written to a folder that exists or is yet to be made."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise InvalidArgumentError(argument, value, f"{there} is not a writable folder", "Name another.")
