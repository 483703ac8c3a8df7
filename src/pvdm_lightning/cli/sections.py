"""The table of options: what each command takes, in the order of its help."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lightning import LightningDataModule, LightningModule, Trainer

from pvdm_lightning.callbacks import (
    Checkpoints,
    DivergenceGuard,
    FiniteTraining,
    PredictionWriter,
    TimeBudget,
    ValidationDistance,
    VideoLogger,
)
from pvdm_lightning.cli.commands import COMMANDS
from pvdm_lightning.cli.sampling_from_files import SamplingFromFiles
from pvdm_lightning.data.latents.latent_cache import CacheOptions
from pvdm_lightning.evaluation import Evaluation, FeatureNetworks
from pvdm_lightning.models.denoiser import Denoiser
from pvdm_lightning.pipeline import Sampling
from pvdm_lightning.pipeline.public_classes import NETWORKS, find_class

_ALL = tuple(name for name, command in COMMANDS.items() if command.has_trainer)
_EVALUATION = {
    "Evaluation": "",
    "RealClips": "real.",
    "GeneratedClips": "generated.",
    "FramePreparation": "preparation.",
}
_TAKE_MODEL = tuple(name for name in _ALL if COMMANDS[name].takes_model)


@dataclass(frozen=True)
class Section:
    """Options --name.argument, one for each argument of a class.

    Attributes:
        name: What the options begin with.
        kind: The class.
        title: In the help.
        commands: That have the section.
        skip: Arguments that are no options.
        library: Classes of the library whose arguments are options of this section -> what their names begin with.
    """

    name: str
    kind: type
    title: str
    commands: tuple[str, ...] = _ALL
    skip: frozenset[str] = frozenset()
    library: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether the options are those of a subclass that the user names, such as --data UCF101."""
        return self.kind in (LightningModule, LightningDataModule)


SECTIONS = (
    Section("sampling", SamplingFromFiles, "Sampling", ("predict",), library={"Sampling": ""}),
    Section("sampling", Sampling, "Sampling", ("test",), frozenset({"num_videos", "num_frames"})),
    Section("output", PredictionWriter, "Output", ("predict",), library={"PredictionWriter": ""}),
    Section("output", CacheOptions, "Output", ("encode",), library={"CacheOptions": ""}),
    Section("evaluation", Evaluation, "Evaluation", ("test",), library=_EVALUATION),
    Section("evaluation", Evaluation, "Evaluation", ("evaluate",), frozenset({"split"}), _EVALUATION),
    Section(
        "metrics", FeatureNetworks, "Networks of the metrics", ("test", "evaluate"), library={"FeatureNetworks": ""}
    ),
    Section(
        "model",
        LightningModule,
        "Model: --model.help lists the classes, --model.help CLASS the options of one",
        library={
            **dict.fromkeys(
                ("AutoencoderLoss", "AutoencoderModule", "LatentDiffusionModule", "NoiseSchedule", "WarmupDecay"), ""
            ),
            "Denoiser": "denoiser.",
            "EMA": "ema_",
        },
    ),
    Section(
        "data",
        LightningDataModule,
        "Data: --data.help lists the classes, --data.help CLASS the options of one",
        library={"DataModule": ""},
    ),
    # For every command, so that one configuration serves them all.
    Section("checkpoint", Checkpoints, "Checkpoints", library={"Checkpoints": ""}),
    Section("video_logger", VideoLogger, "Videos in the dashboard"),
    Section(
        "validation_distance",
        ValidationDistance,
        "Distance of samples to held-out clips, at validations of stage two",
        library={"ValidationDistance": ""},
    ),
    Section(
        "finite",
        FiniteTraining,
        "Gradients that are NaN or infinite",
        ("fit",),
        library={"FiniteTraining": ""},
    ),
    Section(
        "divergence",
        DivergenceGuard,
        "Adversarial phase that diverges",
        ("fit",),
        library={"DivergenceGuard": ""},
    ),
    Section("budget", TimeBudget, "Time that training may take", ("fit",), library={"TimeBudget": ""}),
    Section("trainer", Trainer, "Trainer of Lightning", library={"Trainer": ""}),
)


@dataclass(frozen=True)
class Option:
    """An option of no section.

    Attributes:
        name: Without dashes.
        type: Type of its value; None for an option that takes none.
        default: Where it is not given.
        help: What it does.
        commands: That have it.
    """

    name: str
    type: Any
    default: Any
    help: str
    commands: tuple[str, ...] = _ALL


OPTIONS = (
    Option(
        "ckpt_path",
        str | None,
        None,
        "The trained model: a .ckpt file, the folder of a run, `latest`, the newest run, or a saved pipeline such as "
        "`showcase`, or hf://org/name of a model hub.",
        _TAKE_MODEL,
    ),
    Option(
        "ckpt_path", str | None, None, "Checkpoint to go on from, in a new run; --resume finds it itself.", ("fit",)
    ),
    Option(
        "resume",
        None,
        False,
        "Go on from the newest whole checkpoint of this run, in its folder; start it if there is none.",
        ("fit",),
    ),
    Option(
        "dry_run",
        None,
        False,
        "Take a few steps, print shapes, parameters, memory, time and disk space of the run, and stop.",
        ("fit",),
    ),
    Option(
        "run_name",
        str | None,
        None,
        "Of fit: name of the folder of runs like this one, below --trainer.default_root_dir. Default: stage, data and "
        "resolution, such as ae-ucf101-256.",
    ),
    Option("seed_everything", bool | int, 0, "Seed of all random numbers; true chooses one."),
    Option(
        "compile",
        bool,
        False,
        "Compile what networks compute element by element with torch.compile: some seconds in the first steps, "
        "less memory traffic later, the same checkpoints.",
    ),
    Option(
        "cpu_kernels",
        bool,
        True,
        "On a CPU, use faster kernels that agree with PyTorch's own up to rounding; false uses PyTorch's own.",
    ),
    Option(
        "gpu_kernels",
        bool,
        True,
        "On an NVIDIA GPU, use faster kernels that agree with PyTorch's own up to rounding; false uses PyTorch's own.",
    ),
    Option(
        "trust_class",
        str | None,
        None,
        "A class of your own (a network or a data module) that a checkpoint may name, such as my_package.MyVideos; may "
        "be repeated.",
    ),
)


def sections_of(command: str) -> Iterator[Section]:
    """The sections of a command, in the order of its help."""
    return (section for section in SECTIONS if command in section.commands)


def options_of(command: str) -> Iterator[Option]:
    """The options of a command that are in no section."""
    return (option for option in OPTIONS if command in option.commands)


def library_names() -> dict[str, str]:
    """Classes and functions of the library -> what the options begin with that their arguments come from."""
    own = {name: f"--{section.name}.{prefix}" for section in SECTIONS for name, prefix in section.library.items()}
    for network in map(find_class, NETWORKS):
        own[network.__name__] = f"--model.{'denoiser' if issubclass(network, Denoiser) else 'autoencoder'}."
    functions = ("measure_folders", "measure_features", "measure_pairs", "InputOptions")
    return {**own, **dict.fromkeys(functions, "--")}
