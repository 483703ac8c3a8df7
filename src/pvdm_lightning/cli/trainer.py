"""The Trainer of a command, with our signals and files, and the callbacks that each command adds."""

from __future__ import annotations

from typing import Any

import torch
from jsonargparse import Namespace
from lightning import Callback, Trainer
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

from pvdm_lightning.callbacks import AtomicCheckpointIO, RunProgress
from pvdm_lightning.cli.processes.launcher import Launcher
from pvdm_lightning.cli.processes.signals import TrainerSignals
from pvdm_lightning.cli.sections import sections_of
from pvdm_lightning.errors import InvalidArgumentError


class PvdmTrainer(Trainer):
    """A Trainer whose signals end all processes in order, and whose checkpoints are whole or absent."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._signal_connector = TrainerSignals(self)
        if type(self.strategy.launcher) is _SubprocessScriptLauncher:
            self.strategy._launcher = Launcher.in_place_of(self.strategy.launcher)
        if type(self.strategy.checkpoint_io) is TorchCheckpointIO:
            self.strategy.checkpoint_io = AtomicCheckpointIO()

    def hand_over(self, path: str, contents: dict[str, Any]) -> None:
        """Go on from a checkpoint that has been read; a strategy that shards its weights reads the file itself."""
        if isinstance(self.strategy.checkpoint_io, AtomicCheckpointIO):
            self.strategy.checkpoint_io.hand_over(path, contents)

    @property
    def callback_list(self) -> list[Callback]:
        """The callbacks, to add to."""
        callbacks: list[Callback] = self.callbacks  # type: ignore[attr-defined]
        return callbacks


def build_trainer(command: str, objects: Namespace, default_logger: Logger | None, **options: Any) -> PvdmTrainer:
    """The Trainer of a command.

    Args:
        command: Its name.
        objects: The sections of its configuration, instantiated.
        default_logger: Logger of a run for which none is configured.
        **options: Arguments of the Trainer in place of those of the configuration.

    Raises:
        InvalidArgumentError: The accelerator cannot compute the metrics.
    """
    given = {**vars(objects["trainer"]), **options}
    given["accelerator"] = _accelerator(given["accelerator"])
    if given["logger"] in (None, True):
        given["logger"] = default_logger or False
    callbacks = given["callbacks"] or []
    callbacks = list(callbacks) if isinstance(callbacks, list) else [callbacks]
    if given["enable_progress_bar"] is not False and not any(isinstance(one, ProgressBar) for one in callbacks):
        callbacks.append(RunProgress())
    callbacks += [objects[section.name] for section in sections_of(command) if issubclass(section.kind, Callback)]
    return PvdmTrainer(**{**given, "callbacks": callbacks})


def _accelerator(given: Any) -> Any:
    has_mps = torch.backends.mps.is_available()
    if given == "mps" or (given == "gpu" and has_mps):
        problem = "Apple's GPU has no float64, which the metrics are computed in"
        raise InvalidArgumentError("--trainer.accelerator", given, problem, "Give cpu, or leave it out.")
    if given in ("gpu", "cuda") and not torch.cuda.is_available():
        problem = "PyTorch finds no GPU on this machine"
        raise InvalidArgumentError("--trainer.accelerator", given, problem, "Give cpu, or auto.")
    return "cpu" if given == "auto" and has_mps else given


def purge_after(step: int, loggers: Any) -> None:
    """Let TensorBoard drop the entries after a step, which a run that goes on from it makes once more.

    Args:
        step: The step.
        loggers: trainer.logger of a parsed configuration, changed in place.
    """
    for node in loggers if isinstance(loggers, list) else [loggers]:
        if isinstance(node, Namespace) and str(node["class_path"]).endswith(".TensorBoardLogger"):
            node["init_args"]["purge_step"] = step
