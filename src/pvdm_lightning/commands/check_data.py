"""`pvdm check-data`: look at every video of a data set without training."""

import logging
from pathlib import Path

from pvdm_lightning.data import ClipDataModule
from pvdm_lightning.data.check import summarise, write_report

logger = logging.getLogger(__name__)


def check_data(data: ClipDataModule, report: str | None = None) -> None:
    """Look at every video of a data set: how many can be used, and what is wrong with the others.

    Args:
        data: The data set, as for fit, e.g. --data UCF101 --data.root data/UCF-101.
        report: File for the list of all videos as JSON.
    """
    checked = data.check()
    for video in checked:
        if video.status != "good":
            logger.warning("%s: %s (%s)", video.status, video.path, video.reason)
    logger.info(summarise(checked))
    if report is not None:
        write_report(checked, Path(report))
        logger.info("wrote %s", report)
