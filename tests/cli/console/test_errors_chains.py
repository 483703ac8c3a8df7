"""Errors that stand for each other in a circle, as those of a writer's thread do."""

import errno

from hypothesis import given, settings
from hypothesis import strategies as st

from pvdm_lightning.cli.console.errors import users_mistake
from pvdm_lightning.errors import InvalidArgumentError

ERRORS = [
    lambda: OSError(errno.ENOSPC, "No space left on device"),
    lambda: RuntimeError("another"),
    lambda: ValueError("again"),
    lambda: InvalidArgumentError("DataModule.root", "x", "is none", "Give one."),
]


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_every_walk_along_a_chain_ends(data):
    """Whatever leads to whatever."""
    errors = [make() for make in data.draw(st.lists(st.sampled_from(ERRORS), min_size=1, max_size=6))]
    for error in errors:
        error.__context__ = data.draw(st.sampled_from([None, *errors]))
        error.__cause__ = data.draw(st.sampled_from([None, *errors]))
    said = users_mistake(errors[0])
    assert said is None or "\n" not in said


def test_the_reason_is_found_in_a_circle():
    full = OSError(errno.ENOSPC, "No space left on device")
    first, second = RuntimeError("first"), RuntimeError("second")
    first.__context__, second.__context__, full.__context__ = second, full, first
    for error in (first, second, full):
        assert "No space left on device. Free some space" in (users_mistake(error) or "")


def test_too_many_open_files():
    assert "ulimit -n" in (users_mistake(OSError(errno.EMFILE, "Too many open files")) or "")
