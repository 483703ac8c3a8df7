"""Memory that is free, and whether something fits into it before it is allocated."""

from __future__ import annotations

from pathlib import Path

from pvdm_lightning.errors import InvalidArgumentError

_CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int | None:
    """Bytes that this process may still take, page cache included; None if unknown.

    The less of what the machine has and of what its container may use.
    """
    known = [value for value in (_of_machine(), _of_container()) if value is not None]
    return min(known, default=None)


def check_memory(argument: str, value: object, needed: int, what: str) -> None:
    """Raise `InvalidArgumentError` if something certainly does not fit into memory.

    Args:
        argument: The argument that sizes it.
        value: What was given.
        needed: Its bytes.
        what: What it is, such as ``a batch``.
    """
    free = available_memory()
    if free is not None and needed > free:
        problem = f"{what} would take {needed / 2**30:,.1f} GiB, and {free / 2**30:,.1f} GiB are free"
        raise InvalidArgumentError(argument, value, problem, "Give less.")


def _of_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kilobytes = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return next((1024 * int(number) for number in kilobytes), None)


def _of_container() -> int | None:
    """Of control groups version 2, which containers have as their root."""
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
        lines = (_CGROUP / "memory.stat").read_text().splitlines()
    except (OSError, ValueError):  # "max" is no limit
        return None
    files = sum(int(line.split()[1]) for line in lines if line.split()[0] in ("inactive_file", "active_file"))
    return max(0, limit - used + files)
