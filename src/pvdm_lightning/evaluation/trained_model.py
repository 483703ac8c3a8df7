"""What both stages' evaluations say of the checkpoint, the data and the run; and where the report goes."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning import Trainer

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.report import Report
from pvdm_lightning.printing import print_result

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedModel:
    """A checkpoint that is evaluated.

    Attributes:
        path: Path of the checkpoint, or of the folder of a saved pipeline.
        global_step: Optimizer steps it was trained for.
        sha256: Hash of the file, so that metrics and videos of other weights are never taken for its own.
    """

    path: Path
    global_step: int
    sha256: str

    def record(self) -> dict[str, Any]:
        """As plain values."""
        return {"checkpoint": self.path.name, "sha256": self.sha256, "global_step": self.global_step}


def data_record(datamodule: Any, split: str) -> dict[str, Any]:
    """Which set and split, as plain values."""
    root, fps = getattr(datamodule, "root", None), getattr(datamodule, "fps", None)
    record = {"data_set": type(datamodule).__name__, "split": split, **({"root": str(root)} if root else {})}
    return {**record, **({"fps": fps} if fps else {})}


def check_world_size(trainer: Trainer, num_clips: int) -> None:
    """Raise `InvalidArgumentError` if a process would have no batch.

    Lightning lets such a process leave before the metrics are combined.
    """
    if trainer.limit_test_batches == 0:
        raise InvalidArgumentError("Trainer.limit_test_batches", 0, "leaves nothing to test", "Leave it out.")
    if trainer.world_size > num_clips:
        problem = f"is more than the {num_clips} test clips, and each process needs one"
        raise InvalidArgumentError(
            "Trainer.devices", trainer.num_devices, problem, "Use fewer devices, or test on more clips."
        )


def publish(report: Report, trainer: Trainer, folder: Path, model: TrainedModel) -> None:
    """Put the report on the screen, into a JSON file and into the run's loggers; the first process does."""
    if not trainer.is_global_zero:
        return
    path = report.write(folder, model.path.stem)
    for run_logger in trainer.loggers:
        run_logger.log_metrics(dict(report.scalars()), step=model.global_step)
        run_logger.save()
    print_result(f"\n{report.table()}report: {path}\n")
