"""The trained model that a command was given: a checkpoint, a run, or a saved pipeline; read once."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pvdm_lightning.checksum import file_sha256
from pvdm_lightning.cli.arguments import expand, expand_paths
from pvdm_lightning.cli.run.checkpoint import checkpoint_of
from pvdm_lightning.config import plain
from pvdm_lightning.data.index.video_index import keep_index_apart
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.escaping import one_line
from pvdm_lightning.evaluation import TrainedModel
from pvdm_lightning.foreign_config import ForeignConfigError, check_node, without_machine
from pvdm_lightning.pipeline import FrozenAutoencoder, VideoPipeline, hub
from pvdm_lightning.pipeline.checkpoint import check_stage, read_checkpoint, stage_of
from pvdm_lightning.pipeline.loading import CONFIG, SAMPLING, WEIGHTS, fetch, find_folder
from pvdm_lightning.pipeline.public_classes import DATA_MODULES, allowed, find_class
from pvdm_lightning.pipeline.runs import display_name, run_of
from pvdm_lightning.training import AutoencoderModule, LatentDiffusionModule, LatentEncoder

logger = logging.getLogger(__name__)

OPTION = "--ckpt_path"
KEYWORDS = ("best", "last", "hpc", "registry")
"""Values of --ckpt_path that Lightning would resolve itself."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained model, with its weights and the configuration it was trained with.

    Attributes:
        given: What the user gave to --ckpt_path.
        path: Path of the checkpoint, or of the folder of a saved pipeline.
        contents: As `read_checkpoint` returns them; of a pipeline, those of the checkpoint that it could come from.
        sampling: Options of sampling that a saved pipeline brings; empty for a checkpoint.
    """

    given: str
    path: Path
    contents: Mapping[str, Any]
    sampling: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def find(cls, given: str, root: str) -> Checkpoint:
        """Read what a user means.

        Args:
            given: Path of a checkpoint; folder of a run or of all runs of a name; `latest`; folder of a saved pipeline,
                or the name of the one in the package; or hf://org/name, one of a model hub.
            root: Folder of all runs, for `latest`.

        Raises:
            InvalidArgumentError: There is none, or it cannot be used.
        """
        check_keyword(given)
        is_remote = given.startswith(hub.SCHEME)
        path = str(fetch(given, OPTION)) if is_remote else checkpoint_of(expand(given), OPTION, root)
        if find_folder(path) is None:
            if Path(path).is_dir():
                problem = "holds no pipeline that can be read, and no checkpoint"
                raise InvalidArgumentError(OPTION, path, problem, "Give a checkpoint or a saved pipeline.")
            return cls(given, Path(path), read_checkpoint(path, OPTION))
        try:
            pipeline = VideoPipeline.from_pretrained(path)
        except InvalidArgumentError as error:
            raise InvalidArgumentError(OPTION, path, error.problem, "Give a checkpoint or a saved pipeline.") from error
        sampling = {name: getattr(pipeline.sampling, name) for name in SAMPLING}
        return cls(given, Path(path), _contents_of(pipeline), sampling)

    @property
    def name(self) -> str:
        """What to give to --ckpt_path of the next command: not `latest`, which moves."""
        return str(self.path)

    @property
    def run_folder(self) -> Path | None:
        """Folder of the run that wrote the checkpoint; None if it lies elsewhere."""
        return run_of(self.path)

    @property
    def display_name(self) -> str:
        """How people name it: the run and the file, or the folder of a saved pipeline."""
        return Path(self.given).name if find_folder(self.path) is not None else display_name(self.path)

    @property
    def first_stage(self) -> str | None:
        """Checkpoint of the autoencoder: this one, or that which stage two was trained on."""
        if stage_of(self.contents) == "AutoencoderModule":
            return self.name
        recorded = self.contents["hyper_parameters"].get("autoencoder_checkpoint")
        return None if recorded is None else str(recorded)

    @property
    def model_node(self) -> dict[str, Any]:
        """Class and arguments of the module, as a configuration has them."""
        recorded = self.contents["hyper_parameters"]
        arguments = {key: value for key, value in recorded.items() if not key.startswith("_")}
        return {"class_path": recorded["_class_path"], "init_args": arguments}

    def data_node(self, root: str | None, command: str) -> dict[str, Any] | None:
        """Class and arguments of the data it was trained on, if a file may name the class; the folder read is logged.

        Args:
            root: Folder of the videos, where the user names one.
            command: What reads them: of cached latents, test and encode take the videos that were encoded, and predict
                reads nothing with a model of stage two.

        Raises:
            InvalidArgumentError: The arguments are not those of the class.
        """
        node, classes = self.contents.get("data_config"), allowed(DATA_MODULES)
        if command in ("test", "encode") and self.contents.get("encoded_data_config") is not None:
            node = self.contents["encoded_data_config"]
        if node is None:
            return None
        if isinstance(node, Mapping) and isinstance(node.get("class_path"), str) and node["class_path"] not in classes:
            name = one_line(node["class_path"], 80)
            logger.warning(
                "the checkpoint was trained on %s, which is not loaded from a file: name it with --data, or allow it "
                "with --trust_class %s if you know the file",
                name,
                name,
            )
            return None
        try:
            _, checked = check_node(node, classes, find_class)
        except ForeignConfigError as error:
            remedy = "Give a checkpoint that `pvdm fit` wrote, or name the data with --data."
            raise InvalidArgumentError(OPTION, self.path, f"its data section {error}", remedy) from None
        arguments = plain(without_machine(checked))
        expand_paths(arguments)  # now, so that what is checked is what is read
        own = arguments.get("root")
        if root is not None:
            for name in ("lock", "cuts"):  # they are of the other videos
                arguments.pop(name, None)
        if own is not None and root is None:
            if command != "predict" or stage_of(self.contents) == "AutoencoderModule":
                logger.info("videos are read from %s, as the checkpoint says; --data.root names another folder", own)
            keep_index_apart(Path(own))
        return {"class_path": node["class_path"], "init_args": arguments}

    def encoder(self) -> LatentEncoder:
        """The module that encodes with its autoencoder."""
        return LatentEncoder(FrozenAutoencoder.from_state(self.contents).autoencoder)

    def load_into(self, module: AutoencoderModule | LatentDiffusionModule) -> None:
        """Put the weights into a module of the same stage.

        Raises:
            InvalidArgumentError: They do not fit.
        """
        check_stage(self.contents, self.path, OPTION, type(module).__name__)
        if isinstance(module, LatentDiffusionModule):
            module.attach_carried_first_stage(self.contents)
        module.check_checkpoint(self.contents, self.path)
        module.load_state_dict(self.contents["state_dict"])

    def provenance(self) -> TrainedModel:
        """What reports and videos say of the model; reads the file once more, for its hash."""
        folder = find_folder(self.path)
        digest = file_sha256(self.path) if folder is None else _folder_sha256(folder)
        return TrainedModel(self.path, int(self.contents.get("global_step", 0)), digest)


def check_keyword(given: str | None) -> None:
    """Raise `InvalidArgumentError` for a value that Lightning would resolve itself."""
    if given in KEYWORDS:
        raise InvalidArgumentError(OPTION, given, "is no file", "Give the path of a .ckpt file.")


def _folder_sha256(folder: Path) -> str:
    """Of configuration and weights: both shape what is sampled."""
    return hashlib.sha256("".join(file_sha256(folder / name) for name in (CONFIG, WEIGHTS)).encode()).hexdigest()


def _contents_of(pipeline: VideoPipeline) -> dict[str, Any]:
    """What a checkpoint of a pipeline would hold; the tensors are the pipeline's own."""
    module = _module_of(pipeline)
    contents: dict[str, Any] = {
        "global_step": pipeline.about.get("steps", 0),
        "state_dict": module.state_dict(),
        "hyper_parameters": dict(module.hparams),
    }
    module.on_save_checkpoint(contents)
    if pipeline.about.get("data"):
        contents["data_config"] = pipeline.about["data"]
    return contents


def _module_of(pipeline: VideoPipeline) -> AutoencoderModule | LatentDiffusionModule:
    """The module that could have trained a pipeline, with its weights."""
    if pipeline.denoiser is None:
        return AutoencoderModule(pipeline.first_stage.autoencoder)
    schedule = {key: pipeline.schedule.config[key] for key in ("num_train_timesteps", "beta_start", "beta_end")}
    module = LatentDiffusionModule(
        pipeline.denoiser,
        normalize_latents=pipeline.normalization is not None,
        prediction_type=pipeline.prediction_type,
        **schedule,
    )
    if module.normalization is not None and pipeline.normalization is not None:
        module.normalization.load_state_dict(pipeline.normalization.state_dict())
    module.attach_first_stage(pipeline.first_stage)
    return module
