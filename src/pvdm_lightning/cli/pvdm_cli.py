"""LightningCLI for one command: model, data and Trainer, built from its configuration."""

from __future__ import annotations

from typing import Any

import yaml  # type: ignore[import-untyped]
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from pvdm_lightning.cli.checkpoint import OPTION, check_keyword
from pvdm_lightning.cli.commands import function_of
from pvdm_lightning.cli.compilation import prepare_compilation
from pvdm_lightning.cli.dry_run import DryRun
from pvdm_lightning.cli.parser import build_parser, parse
from pvdm_lightning.cli.request import Request
from pvdm_lightning.cli.run.loggers import tensorboard
from pvdm_lightning.cli.run.start import FoundRun, find_run
from pvdm_lightning.cli.trainer import PvdmTrainer, build_trainer, purge_after
from pvdm_lightning.cpu import accelerate as cpu
from pvdm_lightning.cpu.memory import keep_freed_memory
from pvdm_lightning.data import ClipDataModule
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.gpu import accelerate as gpu
from pvdm_lightning.gpu.cuda_graph import CudaGraphs
from pvdm_lightning.pipeline import Sampling
from pvdm_lightning.pipeline.checkpoint import check_resumable, read_checkpoint
from pvdm_lightning.pipeline.public_classes import class_path
from pvdm_lightning.training import LatentDiffusionModule


def run_command(request: Request) -> None:
    """Build what a command needs, and run its function.

    Raises:
        InvalidArgumentError: A part cannot be built, or does not fit the others.
    """
    cli = PvdmCLI(request)
    try:
        function_of(request.command)(cli)
    finally:
        cli.discard_empty_run()


class PvdmCLI(LightningCLI):
    """LightningCLI with the parser of our table of options, without subcommands; commands are functions of it.

    Beside `trainer`, `model` (with the weights of the checkpoint, if there is one), `datamodule`, `config` and
    `config_init` (`config_init["sampling"]` is a `Sampling`):

    Args:
        request: What the user asks for; its checkpoint is that of --ckpt_path.

    Attributes:
        plain_config: The configuration as plain values.
        given: Its YAML, without what follows from the folder of a run, so that it starts other runs, too.
        run: For fit, the folder that it writes into and where it goes on; None of other commands.
    """

    trainer: PvdmTrainer
    model: Any

    def __init__(self, request: Request) -> None:
        self.request = request
        self.run: FoundRun | None = None
        try:
            super().__init__(
                trainer_class=PvdmTrainer,
                save_config_callback=None,
                args=request.words,
                run=False,
                auto_configure_optimizers=False,
                load_from_checkpoint_support=False,  # modules record their arguments themselves
            )
        except BaseException:
            self.discard_empty_run()
            raise

    def discard_empty_run(self) -> None:
        """Remove the folder of a run if nothing was written into it."""
        if self.run is not None:
            self.run.folder.discard()

    @property
    def data_section(self) -> dict[str, Any] | None:
        """The data of the configuration; the class by its public path, by which alone files name it."""
        if self.datamodule is None:
            return None
        return {**self.plain_config["data"], "class_path": class_path(type(self.datamodule))}

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        parser = build_parser(self.request.command)
        assert isinstance(parser, LightningArgumentParser)
        parser.set_defaults(self.request.defaults)
        return parser

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Nothing: all options come from the table."""

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Nothing: all options come from the table."""

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        self.config = parse(parser, self.request.words)
        seed = self.config["seed_everything"]
        if not isinstance(seed, bool) and not 0 <= seed < 2**32:
            raise InvalidArgumentError("--seed_everything", seed, "is no seed", "Give a number from 0 to 4294967295.")

    def before_instantiate_classes(self) -> None:
        """Find the run of fit, and the folder of the default logger."""
        config, checkpoint = self.config, self.request.checkpoint
        self.default_logger: TensorBoardLogger | None = None
        given = config
        if self.request.command == "fit":
            check_keyword(config["ckpt_path"] if config["ckpt_path"] != "last" else None)
            self.run = find_run(config)
            if self.run.purge_step is not None:
                purge_after(self.run.purge_step, config["trainer"]["logger"])
            self.default_logger = tensorboard(self.run.folder.path, self.run.purge_step)
            given = self.run.given
        elif checkpoint is None:
            problem = f"{self.request.command} needs a trained model"
            raise InvalidArgumentError(OPTION, None, problem, "Give a .ckpt file of `pvdm fit`.")
        elif checkpoint.run_folder is not None and self.request.command == "test":
            # Not those of validate: they would come at step 0, and TensorBoard drops what it has of later steps.
            self.default_logger = tensorboard(checkpoint.run_folder)
        if self.request.command == "encode":
            config["model"] = None  # what encodes is the checkpoint's autoencoder
        self.plain_config: dict[str, Any] = yaml.safe_load(self.parser.dump(config, skip_unset=False))
        self.given = self.parser.dump(given, skip_unset=False)

    def instantiate_trainer(self, **kwargs: Any) -> PvdmTrainer:
        options = DryRun.trainer_options() if self.config_init.get("dry_run") else {}
        return build_trainer(self.request.command, self.config_init, self.default_logger, **options)

    def after_instantiate_classes(self) -> None:
        """Give the model its weights, the data the sizes that the model takes, and a CPU its kernels."""
        checkpoint = self.request.checkpoint
        if checkpoint is None:
            self._prepare_training(self.config_init["ckpt_path"])
        elif self.request.command == "encode":
            self.model = checkpoint.encoder()
        else:
            checkpoint.load_into(self.model)
        if isinstance(self.datamodule, ClipDataModule):
            self.datamodule.default_to(self.model.clip_shape, self.model.clips_per_sample)
        networks: list[nn.Module] = [self.model]
        sampling = self.config_init.get("sampling")
        if sampling is not None and isinstance(self.model, LatentDiffusionModule):
            self._prepare_sampling(sampling)
            worse = self.model.pipeline.autoguidance
            networks += [] if worse is None or worse.denoiser is None else [worse.denoiser]
        if self.trainer.strategy.root_device.type == "cpu":
            keep_freed_memory()
            if self.config_init["cpu_kernels"]:
                for network in networks:
                    cpu.accelerate(network)
        elif self.trainer.strategy.root_device.type == "cuda" and self.config_init["gpu_kernels"]:
            for network in networks:
                gpu.accelerate(network)
        if self.config_init["compile"]:
            prepare_compilation(self.trainer.strategy.root_device.type)
            self.model.compile_networks()

    def _prepare_sampling(self, sampling: Sampling) -> None:
        """Find what autoguidance needs, and sample through CUDA graphs where there is a GPU for them."""
        self.model.pipeline.prepare_guidance(sampling)
        if self.trainer.strategy.root_device.type == "cuda":
            self.model.pipeline.graphs = CudaGraphs()
        elif sampling.cuda_graph == "on":
            problem = f"needs a CUDA device, and this runs on {self.trainer.strategy.root_device.type}"
            raise InvalidArgumentError("Sampling.cuda_graph", "on", problem, "Leave it out, or give auto.")

    def _prepare_training(self, path: str | None) -> None:
        """Give a module its first stage, and the Trainer the checkpoint that it goes on from."""
        stage_two = isinstance(self.model, LatentDiffusionModule)
        if path is None:
            if stage_two:
                self.model.load_first_stage()
            return
        contents = read_checkpoint(path, OPTION, expected=type(self.model).__name__)
        check_resumable(contents, path)
        if stage_two:
            self.model.attach_carried_first_stage(contents)
        self.trainer.hand_over(path, contents)
