"""PyAV and decord, imported when the first video file is opened."""

from __future__ import annotations

import functools
from types import ModuleType

import torch  # noqa: F401  (decord loaded before torch crashes CUDA programs)


@functools.cache
def pyav() -> ModuleType:
    """The module `av`, silenced: FFmpeg prints what it thinks of damaged files straight to stderr.

    Raises:
        ImportError: It is not installed.
    """
    import av

    av.logging.set_level(None)
    return av


@functools.cache
def decord() -> ModuleType | None:
    """The module `decord`, silenced as well; None where it is not installed.

    There are no wheels for macOS and aarch64, where PyAV reads everything.
    """
    try:
        import decord as module
    except ImportError:
        return None
    module.logging.set_level(module.logging.FATAL)
    return module


@functools.cache
def file_errors() -> tuple[type[Exception], ...]:
    """What reading a damaged file may raise; FFmpeg's and decord's errors share no base class.

    Mistakes of a program (AttributeError, TypeError and the like) are not among these: they must not pass for damaged
    files.
    """
    of_decord = decord()
    return (
        pyav().FFmpegError,
        OSError,
        ValueError,
        LookupError,
        ArithmeticError,
        RuntimeError,
        EOFError,
        MemoryError,
        *(() if of_decord is None else (of_decord.DECORDError, of_decord.DECORDLimitReachedError)),
    )
