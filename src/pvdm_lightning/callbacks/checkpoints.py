"""Checkpoints after each validation, at the end, and when a run is interrupted."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException

from pvdm_lightning.errors import InvalidArgumentError, check_at_least, check_numbers
from pvdm_lightning.pipeline.runs import CHECKPOINTS, LAST
from pvdm_lightning.training.locked_output import LockedOutput

logger = logging.getLogger(__name__)
_FIELD = re.compile(r"\{([^{}:]*)(:[^{}]*)?\}")


class Checkpoints(LockedOutput, Checkpoint):
    """Writes the best checkpoints after validations, and last.ckpt also every so many steps and at the end.

    Without validations, the end of an epoch takes their place. Weights that are NaN or infinite are not saved. A
    checkpoint is deleted for a better one only after that one is written, and only if this run has written it.

    Args:
        monitor: Metric that selects the best checkpoint; null keeps the latest.
        mode: Whether the metric is best at its min or max.
        save_top_k: How many best checkpoints to keep; -1 keeps all.
        every_n_train_steps: Save last.ckpt also every so many steps, and without a monitor a checkpoint as well.
        save_last: Keep last.ckpt, the state to go on from.
        save_on_exception: Also save when training is interrupted, or, with a single process, fails.
        filename: Name of a checkpoint, with {step} and metrics.
        dirpath: Folder; left out, checkpoints/ in the folder of the run's log.
    """

    def __init__(
        self,
        monitor: str | None = None,
        mode: Literal["min", "max"] = "min",
        save_top_k: int = 1,
        every_n_train_steps: int | None = None,
        save_last: bool = True,
        save_on_exception: bool = True,
        filename: str = "step-{step}",
        dirpath: str | None = None,
    ) -> None:
        check_numbers("Checkpoints", locals())
        super().__init__()
        check_at_least("Checkpoints.every_n_train_steps", every_n_train_steps, 1)
        check_at_least("Checkpoints.save_top_k", save_top_k, -1)
        if mode not in ("min", "max"):
            raise InvalidArgumentError("Checkpoints.mode", mode, "is neither min nor max", "Give one of them.")
        _check_filename(filename)
        self.monitor, self.mode, self.save_top_k = monitor, mode, save_top_k
        self.save_every, self.save_last, self.save_on_exception = every_n_train_steps, save_last, save_on_exception
        self.filename = filename
        self.dirpath = str(Path(dirpath).expanduser().absolute()) if dirpath and "://" not in dirpath else dirpath
        self.scores: dict[str, float] = {}
        """Kept checkpoints by their file names: the monitored metric, or the step where none is monitored."""
        self.current_score: torch.Tensor | None = None
        """The monitored metric at the last validation."""
        self.last_model_path = ""
        self.after_save: Callable[[], None] | None = None
        """Called when a checkpoint has been written."""
        self._saved_step: int | None = None  # nothing is saved before training has begun

    @property
    def best_model_path(self) -> str:
        """Path of the best checkpoint; "" if there is none."""
        ranked = self._ranked(self.scores)
        return self._path(ranked[0]) if ranked else ""

    @property
    def best_model_score(self) -> torch.Tensor | None:
        """The monitored metric of the best checkpoint."""
        ranked = self._ranked(self.scores)
        return torch.tensor(self.scores[ranked[0]]) if ranked and self.monitor is not None else None

    @property
    def best_k_models(self) -> dict[str, torch.Tensor]:
        """The kept checkpoints by their paths, as loggers take them."""
        return {self._path(name): torch.tensor(score) for name, score in self.scores.items()}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if self.dirpath is None:
            self.dirpath = str(Path(trainer.log_dir or trainer.default_root_dir).absolute() / CHECKPOINTS)
        self.dirpath = trainer.strategy.broadcast(self.dirpath)
        if stage == "fit" and "://" not in self.dirpath and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self.lock_output(trainer, Path(self.dirpath), "Checkpoints.dirpath")
            if (Path(self.dirpath) / LAST).is_dir():
                problem = f"holds a folder called {LAST}"
                raise InvalidArgumentError("Checkpoints.dirpath", self.dirpath, problem, "Name another folder.")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._saved_step = trainer.global_step  # that of the checkpoint it goes on from
        self.scores = trainer.strategy.broadcast(self.scores)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # Not the best ones: the metric of this step is not known before its validation.
        if self.save_every is None or trainer.global_step % self.save_every or self._saved_step == trainer.global_step:
            return
        if self._may_save(trainer):
            if self.monitor is None:
                self._save_ranked(trainer)
            self._save_last(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._saves_at_epoch_ends(trainer):
            self._save_validated(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._saves_at_epoch_ends(trainer):
            self._save_validated(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._bring_last_up_to_date(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # Saving takes all processes: where one alone has failed, it would wait for the others, and they for it.
        together = trainer.world_size == 1 or isinstance(exception, KeyboardInterrupt | SIGTERMException)
        if self.save_on_exception and self._saved_step not in (None, trainer.global_step):
            if together:
                try:
                    self._bring_last_up_to_date(trainer)
                except OSError as error:  # the run has failed already, of this perhaps
                    logger.warning("last.ckpt stays as it was: %s", error)
            elif not trainer.sanity_checking:
                logger.warning("%s in one of several processes: last.ckpt stays as it was", type(exception).__name__)
        super().on_exception(trainer, pl_module, exception)

    def state_dict(self) -> dict[str, Any]:
        return {
            "monitor": self.monitor,
            "mode": self.mode,
            "current_score": self.current_score,
            "scores": dict(self.scores),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the kept checkpoints that are still there, by their names: the folder may have been moved since."""
        scores, ranking = state_dict.get("scores"), (state_dict.get("monitor"), state_dict.get("mode"))
        if ranking == (self.monitor, self.mode) and isinstance(scores, dict):
            self.scores = {
                name: float(score)
                for name, score in scores.items()
                if _is_file_name(name) and isinstance(score, int | float) and self._is_kept(name)
            }

    def _is_kept(self, name: str) -> bool:
        path = Path(self._path(name))
        return self.dirpath is not None and path.is_file() and not path.is_symlink()

    def _path(self, name: str) -> str:
        return f"{str(self.dirpath).rstrip('/')}/{name}"

    def _ranked(self, scores: Mapping[str, float]) -> list[str]:
        """Names of checkpoints, the best first; of equal ones the older."""
        sign = -1 if self.mode == "max" or self.monitor is None else 1
        return sorted(scores, key=lambda name: sign * scores[name])

    def _saves_at_epoch_ends(self, trainer: Trainer) -> bool:
        """Whether validations are at the end of each epoch, or are not, so that the epoch's own metrics are known."""
        if trainer.check_val_every_n_epoch != 1:
            return False
        # Where validations follow the clock, the Trainer has no interval.
        return sum(trainer.num_val_batches) == 0 or getattr(trainer, "val_check_interval", None) == 1.0

    def _may_save(self, trainer: Trainer) -> bool:
        if trainer.fast_dev_run or trainer.sanity_checking or trainer.state.fn != "fit":  # type: ignore[attr-defined]
            return False
        finite = trainer.strategy.reduce_boolean_decision(_finite(trainer.lightning_module), all=True)
        if not finite:
            logger.warning("step %d is not saved: its weights are NaN or infinite", trainer.global_step)
        return finite

    def _save_validated(self, trainer: Trainer) -> None:
        if self._may_save(trainer):
            self._save_ranked(trainer)
            # Also where this step has been saved: only now it holds which checkpoints are the best.
            self._save_last(trainer)

    def _bring_last_up_to_date(self, trainer: Trainer) -> None:
        if self.save_last and trainer.global_step != self._saved_step and self._may_save(trainer):
            self._save_last(trainer)

    def _save_last(self, trainer: Trainer) -> None:
        if self.save_last:
            self.last_model_path = self._path(LAST)
            self._write(trainer, self.last_model_path)

    def _save_ranked(self, trainer: Trainer) -> None:
        """Save a checkpoint if it is among the best, then delete the one that is no longer."""
        score = self._score(trainer)
        if score is None or self.save_top_k == 0:
            return
        name = self._name(trainer)
        before = self.scores
        # Without this step's own, written before its validation.
        others = {
            kept: other
            for kept, other in before.items()
            if (other != score if self.monitor is None else kept != name or "{step" not in self.filename)
        }
        new = ""
        ranked = self._ranked({**others, new: score})
        ranked = ranked if self.save_top_k == -1 else ranked[: self.save_top_k]
        if new not in ranked:
            return
        stem, number = name.removesuffix(".ckpt"), 1
        while name in ranked:  # another checkpoint that stays
            name, number = f"{stem}-v{number}.ckpt", number + 1
        self.scores = {**{kept: others[kept] for kept in others if kept in ranked}, name: score}
        self._write(trainer, self._path(name))
        if trainer.is_global_zero:
            for dropped in before.keys() - self.scores.keys():
                self._delete(trainer, dropped)

    def _score(self, trainer: Trainer) -> float | None:
        if self.monitor is None:
            return float(trainer.global_step)
        value = trainer.callback_metrics.get(self.monitor)
        if value is None:
            if sum(trainer.num_val_batches):
                every = sorted(trainer.callback_metrics)
                validated = [name for name in every if name.startswith("val/")]
                problem, remedy = "is no metric of this run", f"Give one of {', '.join(validated or every)}."
                raise InvalidArgumentError("Checkpoints.monitor", self.monitor, problem, remedy)
            return None
        # The processes may differ in the last digits of a metric.
        score = trainer.strategy.broadcast(float(value))
        self.current_score = torch.tensor(score)
        return score if score == score else float("inf" if self.mode == "min" else "-inf")

    def _name(self, trainer: Trainer) -> str:
        values = {name: value.detach() for name, value in trainer.callback_metrics.items()}
        values |= {"step": torch.tensor(trainer.global_step), "epoch": torch.tensor(trainer.current_epoch)}
        stem = _FIELD.sub(lambda field: format(_plain(values.get(field[1])), (field[2] or ":")[1:]), self.filename)
        return trainer.strategy.broadcast(f"{stem}.ckpt")

    def _write(self, trainer: Trainer, path: str) -> None:
        trainer.save_checkpoint(path)
        self._saved_step = trainer.global_step
        if trainer.is_global_zero:
            if self.after_save is not None:
                self.after_save()
            for one in trainer.loggers:
                one.after_save_checkpoint(self)  # type: ignore[arg-type]

    def _delete(self, trainer: Trainer, name: str) -> None:
        if "://" in str(self.dirpath):
            trainer.strategy.remove_checkpoint(self._path(name))
        elif self._is_kept(name):
            with contextlib.suppress(FileNotFoundError):
                Path(self._path(name)).unlink()


def last_checkpoint(trainer: Trainer) -> str:
    """Path of the last.ckpt that a run has written; "" if there is none."""
    callbacks = (callback for callback in trainer.callbacks if isinstance(callback, Checkpoints))  # type: ignore[attr-defined]
    return next((callback.last_model_path for callback in callbacks), "")


def _check_filename(filename: str) -> None:
    """Raise `InvalidArgumentError` unless a template makes the name of a file in the folder, and not last.ckpt."""
    fixed = _FIELD.sub("0", filename)
    problem = None
    if f"{fixed}.ckpt".casefold() == LAST:
        problem = f"is the name of {LAST}, which is written as well"
    elif not _is_file_name(f"{fixed}.ckpt"):
        problem = "is not the name of a file"
    elif "{" in fixed or "}" in fixed:
        problem = "has a brace without its counterpart"
    else:
        for field in _FIELD.finditer(filename):
            try:
                format(0 if field[1] in ("step", "epoch") else 0.0, (field[2] or ":")[1:])
            except ValueError as error:
                problem = f"has a field that cannot be formatted ({error})"
    if problem is not None:
        raise InvalidArgumentError("Checkpoints.filename", filename, problem, "Give one such as step-{step}.")


def _is_file_name(name: object) -> bool:
    """Whether this is the name of a checkpoint's file, without a folder, that a listing shows."""
    return (
        isinstance(name, str)
        and name.endswith(".ckpt")
        and name != LAST
        and not name.startswith(".")
        and "/" not in name
        and name.isprintable()
        and len(name.encode()) < 200  # a temporary name is longer
    )


def _plain(value: torch.Tensor | None) -> int | float:
    return 0 if value is None else value.item()


def _finite(module: torch.nn.Module) -> bool:
    values = [weight.detach() for weight in module.state_dict().values() if weight.is_floating_point()]
    return bool(torch.stack([value.isfinite().all() for value in values]).all()) if values else True
