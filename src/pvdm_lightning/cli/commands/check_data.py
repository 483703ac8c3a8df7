"""`pvdm check-data`: check every video of a data set."""

import logging
from pathlib import Path

from pvdm_lightning.cli.console.next_steps import after_checking
from pvdm_lightning.cli.console.output import say
from pvdm_lightning.data import ClipDataModule
from pvdm_lightning.data.index.check import summarise, write_report
from pvdm_lightning.data.index.video_classes import summarise_classes
from pvdm_lightning.data.index.video_tables import summarise_captions
from pvdm_lightning.errors import InvalidArgumentError, check_writable
from pvdm_lightning.printing import print_result

logger = logging.getLogger(__name__)


def check_data(data: ClipDataModule, report: str | None = None) -> None:
    """Check every video of a data set: count the usable ones, and list the others with the reason. Then the classes.

    Args:
        data: The data set, as for fit, e.g. --data UCF101 --data.root data/UCF-101.
        report: File for the list of all videos as JSON; its folder is made if it is not there.
    """
    if report is not None:
        # Before a check that may take hours.
        if Path(report).is_dir():
            raise InvalidArgumentError("--report", report, "is a folder", "Name a file.")
        check_writable("--report", report, Path(report).parent)
    checked = data.check()
    classes = summarise_classes(data.class_names, data.labels().values())
    if not checked:
        logger.info("%s: a generated set, there are no files to check", type(data).__name__)
        print_result(f"{classes}\n" if classes else "")
        return
    if report is not None:
        write_report(checked, report)
        logger.info("wrote %s", report)
    captions = summarise_captions(data.captions(), len(checked))
    print_result("".join(f"{line}\n" for line in (summarise(checked), classes, captions) if line))
    if all(video.status == "broken" for video in checked):
        where, remedy = getattr(data, "root", None), "Name a folder of videos that can be read."
        raise InvalidArgumentError("DataModule.root", where, "holds no video that can be read", remedy)
    say(after_checking())
