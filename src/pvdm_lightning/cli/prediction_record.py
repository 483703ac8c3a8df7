"""What the files of `pvdm predict` say inside of themselves."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pvdm_lightning import __version__
from pvdm_lightning.cli.checkpoint_config import value_of
from pvdm_lightning.evaluation import TrainedModel
from pvdm_lightning.pipeline import Sampling


def prediction_record(ckpt_path: str, sampling: Sampling | None) -> dict[str, Any]:
    """How videos are made, as plain values; nothing in it changes when the command is repeated.

    Args:
        ckpt_path: Of the model.
        sampling: Options of sampling; None for reconstructions.
    """
    about = TrainedModel.read(ckpt_path).record()
    about.pop("checkpoint")
    name = Path(value_of(sys.argv, "--ckpt_path") or ckpt_path).name
    record: dict[str, Any] = {"pvdm": __version__, "checkpoint": {**about, "name": name}}
    if sampling is None:
        return {**record, "shows": "left: original, right: reconstruction"}
    # How many are drawn, and how many at once, changes no video.
    left_out = ("num_videos", "batch_size")
    return {**record, "sampling": {key: value for key, value in vars(sampling).items() if key not in left_out}}
