"""LightningCLI for both stages, with this project's defaults and commands."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentError
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.plugins.environments import SLURMEnvironment
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch.utils.data import DataLoader

from pvdm_lightning.callbacks import (
    AtomicCheckpointIO,
    Checkpoints,
    DivergenceGuard,
    FiniteTraining,
    PredictionWriter,
    RunProgress,
    RunRecord,
    SamplingProgress,
    SaveDataConfig,
    Throughput,
    Utilization,
    VideoLogger,
    WeightNorms,
)
from pvdm_lightning.callbacks.checkpoints import last_checkpoint
from pvdm_lightning.callbacks.prediction_writer import PAGE, SHEET
from pvdm_lightning.cli import commands
from pvdm_lightning.cli.checkpoint_config import FROM_CHECKPOINT, KEYWORDS, value_of
from pvdm_lightning.cli.console import relative, say
from pvdm_lightning.cli.dry_run import DryRun
from pvdm_lightning.cli.errors import OptionError, parser_error, said_in_options
from pvdm_lightning.cli.help import arrange
from pvdm_lightning.cli.next_steps import after_encoding, after_training
from pvdm_lightning.cli.prediction_record import prediction_record
from pvdm_lightning.cli.resume import expand_paths
from pvdm_lightning.cli.run_folder import RunFolder
from pvdm_lightning.cli.run_loggers import tensorboard
from pvdm_lightning.cli.run_setup import find_run
from pvdm_lightning.cli.run_summary import conclude, introduce
from pvdm_lightning.cli.save_config import SaveConfig
from pvdm_lightning.cli.signals import TrainerSignals, end_of_training
from pvdm_lightning.cpu.accelerate import accelerate
from pvdm_lightning.cpu.memory import keep_freed_memory
from pvdm_lightning.data import ClipDataModule
from pvdm_lightning.data.latents.latent_cache import CacheOptions
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation import (
    Evaluation,
    FeatureNetworks,
    GenerationEvaluation,
    ReconstructionEvaluation,
    TrainedModel,
)
from pvdm_lightning.pipeline import Sampling
from pvdm_lightning.pipeline.checkpoint import check_resumable, read_checkpoint, stage_of
from pvdm_lightning.pipeline.loading import find_folder
from pvdm_lightning.pipeline.public_classes import class_path
from pvdm_lightning.pipeline.run_checkpoint import CHECKPOINTS
from pvdm_lightning.training import LatentDiffusionModule, LatentEncoder

logger = logging.getLogger(__name__)


class PvdmTrainer(Trainer):
    """The Trainer on which LightningCLI looks up each command and its options, with our signals and files."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._signal_connector = TrainerSignals(self)
        if type(self.strategy.checkpoint_io) is TorchCheckpointIO:
            self.strategy.checkpoint_io = AtomicCheckpointIO()
        environment = self._accelerator_connector.cluster_environment
        if isinstance(environment, SLURMEnvironment):
            environment.auto_requeue = False  # `end_of_training` does it, after a checkpoint for --resume

    def encode(self, ckpt_path: str | None = None) -> None:
        """Write the latents of a data set to a cache, from which stage two trains without its encoder.

        Args:
            ckpt_path: Checkpoint of stage one, or of stage two, which carries its autoencoder.
        """
        raise NotImplementedError("PvdmCLI.encode does it")


class PvdmCLI(LightningCLI):
    """LightningCLI for both stages; the configuration names model and data."""

    def __init__(self, args: Sequence[str]) -> None:
        self.run_folder: RunFolder | None = None
        try:
            super().__init__(
                LightningModule,
                trainer_class=PvdmTrainer,
                subclass_mode_model=True,
                save_config_callback=None,
                seed_everything_default=0,
                auto_configure_optimizers=False,
                # Batch sizes are per process, and the paper's: more GPUs only if they are asked for.
                trainer_defaults={"default_root_dir": "runs", "devices": 1, "enable_model_summary": False},
                parser_kwargs={"description": "Projected latent video diffusion: train, validate, test and sample."},
                args=list(args),
            )
        finally:
            if self.run_folder is not None:
                self.run_folder.discard()  # if nothing was written into it

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Lightning's own commands and encode, each with the arguments that are not options."""
        return {**LightningCLI.subcommands(), "encode": set()}

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        return super().init_parser(exit_on_error=False, allow_abbrev=False, **kwargs)

    def _add_subcommands(self, parser: LightningArgumentParser, **kwargs: Any) -> None:
        super()._add_subcommands(parser, **kwargs)
        for name, command in commands.FUNCTIONS.items():
            # Among the choices where a command is unknown; `program.main` runs them.
            own = commands.command_parser(name, command)
            parser._subcommands_action.add_subcommand(name, own, help=own.description)  # type: ignore[union-attr]

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        self._adding = subcommand
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        arrange(parser, subcommand)
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """As Lightning's, with mistakes said in one line."""
        try:
            super().parse_arguments(parser, args)
        except ArgumentError as error:
            known = self._subcommand_parsers.get(args[0] if args else "")
            raise OptionError(parser_error(str(error), known, args)) from None
        seed = self.config[self.config.subcommand].get("seed_everything")
        if isinstance(seed, int) and not isinstance(seed, bool) and not 0 <= seed < 2**32:
            raise InvalidArgumentError("--seed_everything", seed, "is no seed", "Give a number from 0 to 4294967295.")

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        # For every command, so that one configuration serves them all.
        parser.add_lightning_class_args(Checkpoints, "checkpoint")
        parser.add_lightning_class_args(VideoLogger, "video_logger")
        parser.add_argument(
            "--compile",
            type=bool,
            default=False,
            help="Compile the networks with torch.compile: slow first steps, faster later ones, the same checkpoints.",
        )
        parser.add_argument(
            "--trust_class",
            type=str | None,
            help="A class of your own (a network or a data module) that a checkpoint may name, such as "
            "my_package.MyVideos; may be repeated.",
        )
        parser.add_argument(
            "--cpu_kernels",
            type=bool,
            default=True,
            help="On a CPU, use faster kernels that agree with PyTorch's own up to rounding; false uses PyTorch's own.",
        )
        parser.add_argument(
            "--run_name",
            type=str | None,
            help="Of fit: name of the folder of runs like this one, below --trainer.default_root_dir. Default: stage, "
            "data and resolution, such as ae-ucf101-256.",
        )
        if self._adding == "fit":
            parser.add_lightning_class_args(FiniteTraining, "finite")
            parser.add_lightning_class_args(DivergenceGuard, "divergence")
            parser.add_argument(
                "--dry_run",
                action="store_true",
                help="Take a few steps, print shapes, parameters, memory, time and disk space of the run, and stop.",
            )
            parser.add_argument(
                "--resume",
                action="store_true",
                help="Go on from the newest whole checkpoint of this run, in its folder; start it if there is none.",
            )
        if self._adding == "encode":
            parser.add_class_arguments(CacheOptions, "output")
            parser.set_defaults({"trainer.logger": False})
        if self._adding == "predict":
            parser.add_class_arguments(Sampling, "sampling")
            parser.add_lightning_class_args(PredictionWriter, "output")
            parser.set_defaults({"trainer.logger": False})
        elif self._adding == "test":
            parser.add_class_arguments(Evaluation, "evaluation")
            parser.add_class_arguments(FeatureNetworks, "metrics")
            parser.add_class_arguments(Sampling, "sampling", skip={"num_videos", "num_frames"})

    def before_instantiate_classes(self) -> None:
        """Find the checkpoint that a run goes on from; other commands take theirs by its path."""
        config = self.config[self.subcommand]
        expand_paths(config)
        path = config.get("ckpt_path")
        if path in KEYWORDS and not (self.subcommand == "fit" and path == "last"):
            raise InvalidArgumentError("--ckpt_path", path, "is no file", "Give the path of a .ckpt file.")
        if self.subcommand == "fit":
            found = find_run(config)
            self.run_folder, self._given, self._purge_step = found.folder, found.given, found.purge_step

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        accelerator = self._get(self.config_init, "trainer.accelerator", default="auto")
        if accelerator == "mps" or (accelerator == "gpu" and torch.backends.mps.is_available()):
            problem = "Apple's GPU has no float64, which the metrics are computed in"
            raise InvalidArgumentError("--trainer.accelerator", accelerator, problem, "Give cpu, or leave it out.")
        if accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
            problem = "PyTorch finds no GPU on this machine"
            raise InvalidArgumentError("--trainer.accelerator", accelerator, problem, "Give cpu, or auto.")
        if accelerator == "auto" and torch.backends.mps.is_available():
            kwargs["accelerator"] = "cpu"
        dry_run = self.subcommand == "fit" and self._get(self.config_init, "dry_run")
        if dry_run:
            kwargs |= DryRun.trainer_options()
        elif self._get(self.config_init, "trainer.logger") in (None, True):
            kwargs["logger"] = self._default_logger()
        given = self._get(self.config_init, "trainer.callbacks") or []
        given = given if isinstance(given, list) else [given]
        wants_progress = self._get(self.config_init, "trainer.enable_progress_bar") is not False
        if wants_progress and not any(isinstance(callback, ProgressBar) for callback in given):
            kwargs["callbacks"] = [*given, RunProgress()]
        trainer = super().instantiate_trainer(**kwargs)
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        if dry_run:
            assert self.run_folder is not None
            self._dry_run = DryRun(self.run_folder.path)
            self._dry_run.planned = trainer.max_steps
            self._dry_run.attach(trainer)
        elif self.subcommand == "fit":
            for run_logger in trainer.loggers:
                if isinstance(run_logger, TensorBoardLogger) and self._purge_step is not None:
                    run_logger._kwargs["purge_step"] = self._purge_step  # steps after it are made once more
            assert self.run_folder is not None
            text = self._parser("fit").dump(self._given, skip_none=False)
            compiled = bool(self._get(self.config_init, "compile"))
            callbacks += [Throughput(), Utilization(compiled), WeightNorms()]
            callbacks += [RunRecord(text), SaveConfig(text, self.run_folder)]
            if data := self._data_section():
                callbacks.append(SaveDataConfig(data))
        elif self.subcommand == "predict":
            callbacks.append(SamplingProgress())
        return trainer

    def _default_logger(self) -> TensorBoardLogger | bool:
        """TensorBoard in the folder of the run; of commands other than fit, of the run that the checkpoint is of."""
        if self.run_folder is not None:
            return tensorboard(self.run_folder.path)
        path = Path(self._get(self.config_init, "ckpt_path") or "")
        return tensorboard(path.parents[1]) if path.parent.name == CHECKPOINTS else False

    def _parse_ckpt_path(self) -> None:
        """Nothing: Lightning's own lets the checkpoint's hyper-parameters override the command line's."""

    def after_instantiate_classes(self) -> None:
        on_cpu = self.trainer.strategy.root_device.type == "cpu"
        if on_cpu:
            keep_freed_memory()
        self._attach_what_the_model_lacks()
        if isinstance(self.datamodule, ClipDataModule):
            self.datamodule.default_to(self.model.clip_shape, self.model.clips_per_sample)
        if on_cpu and self._get(self.config_init, "cpu_kernels"):
            accelerate(self.model)
        if self._get(self.config_init, "compile"):
            self.model.compile_networks()

    def _attach_what_the_model_lacks(self) -> None:
        path = self._get(self.config_init, "ckpt_path")
        if path is None:
            if self.subcommand in FROM_CHECKPOINT:
                raise InvalidArgumentError(
                    "--ckpt_path", None, f"{self.subcommand} needs a trained model", "Give a .ckpt file."
                )
            if isinstance(self.model, LatentDiffusionModule):
                self.model.load_first_stage()
            return
        if isinstance(self.model, LatentEncoder):
            checkpoint = read_checkpoint(path, "--ckpt_path")
            self.model.load_weights(checkpoint)
            stage_one = stage_of(checkpoint) == "AutoencoderModule"
            self._first_stage = path if stage_one else checkpoint["hyper_parameters"].get("autoencoder_checkpoint")
            return
        checkpoint = read_checkpoint(path, "--ckpt_path", expected=type(self.model).__name__)
        self._recorded_data = checkpoint.get("data_config")
        if self.subcommand == "fit":
            check_resumable(checkpoint, path)
        if isinstance(self.model, LatentDiffusionModule):
            self.model.attach_carried_first_stage(checkpoint)

    def fit(self, **kwargs: Any) -> None:
        """Train; a signal ends it with a checkpoint."""
        if self._get(self.config_init, "dry_run"):
            self.trainer.fit(**kwargs)
            return
        begin, first_step = time.monotonic(), self._purge_step or 0
        introduce(self.trainer, self.model, self.datamodule, self.run_folder)
        try:
            self.trainer.fit(**kwargs)
        except SIGTERMException:
            last = last_checkpoint(self.trainer)
            if self.trainer.is_global_zero:
                goes_on = f"{last} holds its state, --resume goes on" if last else "no checkpoint was kept"
                logger.warning("training ends at step %d: %s", self.trainer.global_step, goes_on)
            raise end_of_training(self.trainer) from None
        conclude(self.trainer, self.model, self.run_folder, first_step, time.monotonic() - begin)

    def test(self, **kwargs: Any) -> None:
        """Measure reconstructions (stage one) or generated videos (stage two) against real ones."""
        if not hasattr(self.datamodule, "reference_dataloader"):
            held = type(self.datamodule).__name__ if self.datamodule else None
            raise InvalidArgumentError(
                "--data", held, "evaluation needs real videos", "Give --data of the videos, as to fit."
            )
        options: Evaluation = self._get(self.config_init, "evaluation")
        networks: FeatureNetworks = self._get(self.config_init, "metrics")
        model = TrainedModel.read(kwargs["ckpt_path"])
        callback: Callback
        if isinstance(self.model, LatentDiffusionModule):
            found = said_in_options(networks.find("FVD", inception_score=options.inception_splits > 0))
            callback = GenerationEvaluation(options, self._get(self.config_init, "sampling"), found, model)
        else:
            callback = ReconstructionEvaluation(options, said_in_options(networks.find("R-FVD", lpips=True)), model)
        self.trainer.callbacks.append(callback)  # type: ignore[attr-defined]
        self.trainer.test(**{**kwargs, "verbose": False})

    def predict(self, **kwargs: Any) -> None:
        """Sample videos (stage two), or reconstruct validation clips (stage one)."""
        sampling: Sampling = self._get(self.config_init, "sampling")
        if isinstance(self.model, LatentDiffusionModule):
            self.model.predict_with(sampling)
            sampling.samplers(self.model.schedule)
            sampling.check_memory(self.model.clip_shape)
            if self.trainer.world_size > sampling.num_videos:
                problem = f"is fewer than the {self.trainer.world_size} processes, and each needs one"
                raise InvalidArgumentError(
                    "--sampling.num_videos", sampling.num_videos, problem, "Use fewer --trainer.devices."
                )
            kwargs.pop("datamodule", None)
            numbers = torch.arange(sampling.num_videos)
            kwargs["dataloaders"] = DataLoader(numbers, batch_size=sampling.batch_size)  # type: ignore[arg-type]
        elif self.datamodule is None:
            raise InvalidArgumentError("--data", None, "reconstructing needs clips", "Give --data, as to fit.")
        else:
            self.datamodule.limit_validation(sampling.num_videos)
        writer = next(one for one in self.trainer.callbacks if isinstance(one, PredictionWriter))  # type: ignore[attr-defined]
        drawn = sampling if isinstance(self.model, LatentDiffusionModule) else None
        writer.about = prediction_record(kwargs["ckpt_path"], drawn)
        self.trainer.predict(**{**kwargs, "return_predictions": False})
        if self.trainer.is_global_zero:
            rows = [("videos", f"{relative(writer.dir)} ({', '.join(writer.formats)})")]
            for name, wanted in ((PAGE, writer.page), (SHEET, writer.contact_sheets)):
                rows += [("look at", str(relative(writer.dir / name)))] if wanted else []
            say(rows)

    def encode(self, **kwargs: Any) -> None:
        """Write the latents of the data set to a cache."""
        if not isinstance(self.datamodule, ClipDataModule):
            value = None if self.datamodule is None else type(self.datamodule).__name__
            raise InvalidArgumentError("--data", value, "encoding needs videos", "Give their data set, as to fit.")
        options = self._get(self.config_init, "output")
        commands.encode(self.trainer, self.model, self.datamodule, self.config_dump["data"], options)
        if self.trainer.is_global_zero:
            say(after_encoding(options.dir, self.model.frozen.autoencoder, self._first_stage))

    def validate(self, **kwargs: Any) -> None:
        """Run the validation of a checkpoint."""
        self.trainer.validate(**kwargs)
        if self.trainer.is_global_zero:
            typed = value_of(sys.argv, "--ckpt_path")
            named = typed if typed and find_folder(typed) else kwargs["ckpt_path"]  # a saved pipeline, or a file
            encoded = getattr(self.datamodule, "encoded_data", None)
            say(after_training(self.model, named, self._data_section(), self._recorded_data, encoded))

    def _data_section(self) -> dict[str, Any] | None:
        """The data section of the configuration; its class by its public path, by which alone files name it."""
        data = self.config_dump.get("data")
        return {**data, "class_path": class_path(type(self.datamodule))} if data else None
