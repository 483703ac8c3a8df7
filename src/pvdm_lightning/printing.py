"""Results on stdout, which may be closed or full: what matters is in a file by then."""

import logging
import os
import sys
from pathlib import Path

from pvdm_lightning.escaping import printable

logger = logging.getLogger(__name__)


def print_result(text: str) -> None:
    """Write a text to stdout at once; if nobody reads it, or a disk is full, go on without."""
    if sys.stdout is None:  # closed before the start
        return
    text = printable(text, keep="\n\t")  # names of files are bytes
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except UnicodeEncodeError:  # a locale without these letters
        sys.stdout.write(text.encode("ascii", "backslashreplace").decode())
    except (OSError, ValueError) as error:
        if not isinstance(error, BrokenPipeError):
            logger.warning("the result cannot be printed (%s)", error)
        # What is still in the buffer would fail once more at the end of the process.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
