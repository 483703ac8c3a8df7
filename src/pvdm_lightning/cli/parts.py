"""What a command runs with: model, data and Trainer, built from its configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml  # type: ignore[import-untyped]
from jsonargparse import Namespace
from lightning import LightningDataModule, seed_everything

from pvdm_lightning.cli.checkpoint import OPTION, check_keyword
from pvdm_lightning.cli.commands import function_of
from pvdm_lightning.cli.dry_run import DryRun
from pvdm_lightning.cli.parser import build_parser, parse
from pvdm_lightning.cli.request import Request
from pvdm_lightning.cli.run.loggers import tensorboard
from pvdm_lightning.cli.run.start import FoundRun, find_run
from pvdm_lightning.cli.trainer import PvdmTrainer, build_trainer, purge_after
from pvdm_lightning.cpu.accelerate import accelerate
from pvdm_lightning.cpu.memory import keep_freed_memory
from pvdm_lightning.data import ClipDataModule
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pipeline.checkpoint import check_resumable, read_checkpoint
from pvdm_lightning.pipeline.public_classes import class_path
from pvdm_lightning.training import LatentDiffusionModule


@dataclass(frozen=True)
class Parts:
    """What a command is a function of.

    Attributes:
        request: What the user asks for; its checkpoint is that of --ckpt_path.
        config: The configuration as plain values.
        given: Its YAML, without what follows from the folder of a run, so that it starts other runs, too.
        sections: The configuration, instantiated: `parts.sections["sampling"]` is a `Sampling`.
        trainer: Runs the model.
        model: With the weights of the checkpoint, if there is one.
        data: None if none is configured.
        run: Of fit: the folder that it writes into and where it goes on; None of other commands.
    """

    request: Request
    config: dict[str, Any]
    given: str
    sections: Namespace
    trainer: PvdmTrainer
    model: Any
    data: LightningDataModule | None
    run: FoundRun | None

    @property
    def data_section(self) -> dict[str, Any] | None:
        """The data of the configuration; the class by its public path, by which alone files name it."""
        return None if self.data is None else {**self.config["data"], "class_path": class_path(type(self.data))}


def run(request: Request) -> None:
    """Run a command with the parts that its configuration describes.

    Raises:
        InvalidArgumentError: A part cannot be built, or does not fit the others.
    """
    parser = build_parser(request.command)
    parser.set_defaults(request.defaults)
    config = parse(parser, request.words)
    _seed(config)
    found = None
    if request.command == "fit":
        check_keyword(config["ckpt_path"] if config["ckpt_path"] != "last" else None)
        found = find_run(config)
    elif request.checkpoint is None:
        problem = f"{request.command} needs a trained model"
        raise InvalidArgumentError(OPTION, None, problem, "Give a .ckpt file of `pvdm fit`.")
    try:
        function_of(request.command)(_build(request, parser, config, found))
    finally:
        if found is not None:
            found.folder.discard()  # if nothing was written into it


def _build(request: Request, parser: Any, config: Namespace, found: FoundRun | None) -> Parts:
    checkpoint = request.checkpoint
    if request.command == "encode":
        config["model"] = None  # what encodes is the checkpoint's autoencoder
    default_logger = None
    if found is not None:
        if found.purge_step is not None:
            purge_after(found.purge_step, config["trainer"]["logger"])
        default_logger = tensorboard(found.folder.path, found.purge_step)
    elif checkpoint is not None and checkpoint.run_folder is not None:
        default_logger = tensorboard(checkpoint.run_folder)
    plain = yaml.safe_load(parser.dump(config, skip_unset=False))
    given = parser.dump(config if found is None else found.given, skip_unset=False)
    sections = parser.instantiate(config)
    options = DryRun.trainer_options() if sections.get("dry_run") else {}
    trainer = build_trainer(request.command, sections, default_logger, **options)
    model = _model(request, sections, trainer)
    data = sections["data"]
    if isinstance(data, ClipDataModule):
        data.default_to(model.clip_shape, model.clips_per_sample)
    if trainer.strategy.root_device.type == "cpu":
        keep_freed_memory()
        if sections["cpu_kernels"]:
            accelerate(model)
    if sections["compile"]:
        model.compile_networks()
    return Parts(request, plain, given, sections, trainer, model, data, found)


def _model(request: Request, sections: Namespace, trainer: PvdmTrainer) -> Any:
    """The module, with the weights of the checkpoint, or with what it needs to be trained."""
    if request.checkpoint is None:
        _prepare_training(sections["model"], trainer, sections["ckpt_path"])
    elif request.command == "encode":
        return request.checkpoint.encoder()
    else:
        request.checkpoint.load_into(sections["model"])
    return sections["model"]


def _prepare_training(model: Any, trainer: PvdmTrainer, path: str | None) -> None:
    """Give a module its first stage, and the Trainer the checkpoint that it goes on from."""
    if path is None:
        if isinstance(model, LatentDiffusionModule):
            model.load_first_stage()
        return
    contents = read_checkpoint(path, OPTION, expected=type(model).__name__)
    check_resumable(contents, path)
    if isinstance(model, LatentDiffusionModule):
        model.attach_carried_first_stage(contents)
    trainer.hand_over(path, contents)


def _seed(config: Namespace) -> None:
    seed = config["seed_everything"]
    if seed is False:
        return
    if seed is not True and not 0 <= seed < 2**32:
        raise InvalidArgumentError("--seed_everything", seed, "is no seed", "Give a number from 0 to 4294967295.")
    config["seed_everything"] = seed_everything(None if seed is True else seed, workers=True)
