"""`pvdm fit`: train a stage, or go on with it."""

from __future__ import annotations

import logging
import time

from lightning.pytorch.utilities.exceptions import SIGTERMException

from pvdm_lightning.callbacks import RunRecord, SaveDataConfig, Throughput, Utilization, WeightNorms
from pvdm_lightning.callbacks.checkpoints import last_checkpoint
from pvdm_lightning.cli.dry_run import DryRun
from pvdm_lightning.cli.processes.signals import end_of_training
from pvdm_lightning.cli.pvdm_cli import PvdmCLI
from pvdm_lightning.cli.run.record import SaveRun
from pvdm_lightning.cli.run.summary import conclude, introduce

logger = logging.getLogger(__name__)


def fit(cli: PvdmCLI) -> None:
    """Train; a signal ends it with a checkpoint."""
    trainer, model, data, run = cli.trainer, cli.model, cli.datamodule, cli.run
    assert run is not None
    if cli.config_init["dry_run"]:
        DryRun(run.folder.path, trainer.max_steps).attach(trainer)
        trainer.fit(model, datamodule=data)
        return
    trainer.callback_list.extend([Throughput(), Utilization(), WeightNorms()])
    trainer.callback_list.extend([RunRecord(cli.given), SaveRun(cli.given, run.folder)])
    if cli.data_section is not None:
        trainer.callback_list.append(SaveDataConfig(cli.data_section))
    begin, first_step = time.monotonic(), run.purge_step or 0
    introduce(trainer, model, data, run.folder)
    try:
        trainer.fit(model, datamodule=data, ckpt_path=cli.config_init["ckpt_path"])
    except SIGTERMException:
        last = last_checkpoint(trainer)
        if trainer.is_global_zero:
            goes_on = f"{last} holds its state, --resume goes on" if last else "no checkpoint was kept"
            logger.warning("training ends at step %d: %s", trainer.global_step, goes_on)
        raise end_of_training(trainer) from None
    conclude(trainer, model, run.folder, first_step, time.monotonic() - begin)
