"""Classes by name or number, and which of them each sampled video gets."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from pvdm_lightning.errors import InvalidArgumentError

_LISTED = 12
"""Classes that an error lists; of more, the first ones."""


def find_label(name_or_number: str | int, class_names: Sequence[str], argument: str = "Sampling.class_names") -> int:
    """The label of a class: its place in `class_names`.

    Args:
        name_or_number: Its name as it is there, or its label, also as text. Where classes are called by numbers, a
            number is a name.
        class_names: Names of all classes by their labels.
        argument: What an error calls the value.

    Raises:
        InvalidArgumentError: There is no such class, or there are none; a name that is nearly right is suggested.
    """
    text = str(name_or_number)
    if text in class_names:
        return class_names.index(text)
    text = text.strip()
    if not class_names:
        problem = "the model was trained without classes"
        raise InvalidArgumentError(argument, text, problem, "Leave it out, or train on a data set with classes.")
    if text in class_names:
        return class_names.index(text)
    if text.isascii() and text.isdecimal() and len(text) < 10 and int(text) < len(class_names):
        return int(text)
    if text.lstrip("-").isdecimal():
        remedy = f"Give 0 to {len(class_names) - 1}, or a name."
        raise InvalidArgumentError(argument, text, f"there are {len(class_names)} classes", remedy)
    raise InvalidArgumentError(argument, text, "is not a class of the model", _suggestion(text, class_names))


def _suggestion(text: str, class_names: Sequence[str]) -> str:
    by_letters = {name.casefold(): name for name in reversed(class_names)}
    near = difflib.get_close_matches(text.casefold(), by_letters, n=1)
    if near:
        return f"Did you mean {by_letters[near[0]]}?"
    listed = ", ".join(class_names[:_LISTED])
    if len(class_names) <= _LISTED:
        return f"Give one of {listed}."
    return f"Give one of its {len(class_names)} classes, such as {listed}."


def balanced_classes(num_videos: int, classes: int | Sequence[int]) -> list[int]:
    """The label of each video to sample: all classes in turn, so that their numbers differ by one at most.

    A video's label follows from its number alone, whatever batch and process it is in.

    Args:
        num_videos: How many videos.
        classes: The labels to take, or the number of classes for all of them; without any, every label is -1.
    """
    labels = range(classes) if isinstance(classes, int) else classes
    return [labels[video % len(labels)] if labels else -1 for video in range(num_videos)]
