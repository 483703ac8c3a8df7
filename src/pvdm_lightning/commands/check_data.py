"""`pvdm check-data`: look at every video of a data set without training."""

import logging
import tempfile
from pathlib import Path

from pvdm_lightning.data import ClipDataModule
from pvdm_lightning.data.check import summarise, write_report
from pvdm_lightning.errors import UserError

logger = logging.getLogger(__name__)


def check_data(data: ClipDataModule, report: str | None = None) -> None:
    """Look at every video of a data set: how many can be used, and what is wrong with the others.

    Args:
        data: The data set, as for fit, e.g. --data UCF101 --data.root data/UCF-101.
        report: File for the list of all videos as JSON; its folder is made if it is not there.
    """
    if report is not None:
        _refuse_unwritable(Path(report))  # before a check that may take hours
    checked = data.check()
    if not checked:
        logger.info("%s: a generated set, there are no files to check", type(data).__name__)
        return
    logger.info(summarise(checked))
    if report is not None:
        try:
            write_report(checked, report)
        except OSError as error:
            raise _unwritable(report, error) from None
        logger.info("wrote %s", report)


def _refuse_unwritable(report: Path) -> None:
    if report.is_dir():
        raise UserError("--report", report, "is a folder", "Name a file.")
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=report.parent):
            pass
    except OSError as error:
        raise _unwritable(report, error) from None


def _unwritable(report: str | Path, error: OSError) -> UserError:
    return UserError("--report", report, f"cannot be written ({error.strerror})", "Name another file.")
