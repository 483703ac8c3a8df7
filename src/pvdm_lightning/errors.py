"""What a user can get wrong, said in one line: the flag, its value, what is wrong and the remedy."""

import os
from pathlib import Path


class UserError(Exception):
    """A mistake in what the user gave; the command line prints it as one line and exits with status 2.

    Args:
        flag: The option as it is typed, e.g. ``--data.root``.
        value: What it held.
        problem: What is wrong with it, without a full stop.
        remedy: What to do instead, a sentence.
    """

    def __init__(self, flag: str, value: object, problem: str, remedy: str) -> None:
        self.flag, self.value, self.problem, self.remedy = flag, value, problem, remedy
        super().__init__(" ".join(f"{flag} {value}: {problem}. {remedy}".split()))


def check_at_least(flag: str, value: int | None, least: int) -> None:
    """Raise the `UserError` if a number is given and is too small."""
    if value is not None and value < least:
        raise UserError(flag, value, f"is less than {least}", f"Give {least} or more.")


def check_writable(flag: str, value: object, folder: Path) -> None:
    """Raise the `UserError` if files could not be put into a folder, there or yet to be made; makes nothing."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise UserError(flag, value, f"{there} is no folder that can be written to", "Name another.")
