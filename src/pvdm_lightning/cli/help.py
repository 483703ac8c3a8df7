"""What `pvdm --help`, `pvdm COMMAND --help` and `--model.help` print. Importing this module loads no PyTorch."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from pvdm_lightning import __version__

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


class Command(NamedTuple):
    """A command of `pvdm`.

    Attributes:
        about: What it does, in a sentence.
        example: How it is typed at its shortest.
    """

    about: str
    example: str


COMMANDS = {
    "fit": Command(
        "Train stage one (the autoencoder) or stage two (latent diffusion).", "pvdm fit --config demo_ae.yaml"
    ),
    "validate": Command("Run the validation of a checkpoint.", "pvdm validate --ckpt_path latest"),
    "test": Command(
        "Measure reconstructions (stage one) or generated videos (stage two) against real ones.",
        "pvdm test --ckpt_path latest",
    ),
    "predict": Command(
        "Sample videos (stage two), or reconstruct validation clips (stage one).", "pvdm predict --ckpt_path showcase"
    ),
    "encode": Command(
        "Write the latents of a data set to a cache, from which stage two trains.", "pvdm encode --ckpt_path latest"
    ),
    "evaluate": Command(
        "Measure a folder of generated videos against a folder of real ones.",
        "pvdm evaluate --real videos/real --generated videos/generated",
    ),
    "check-data": Command(
        "Check that every video of a data set can be read.", "pvdm check-data --data VideoFolder --data.root videos"
    ),
    "weights": Command(
        "List the published networks that metrics and losses use, and fetch them.", "pvdm weights --fetch all"
    ),
    "completion": Command(
        "Print completion for a shell, or the JSON schema of configurations for an editor.",
        "pvdm completion --target bash",
    ),
    "import-original": Command(
        "Turn weights of the original implementation into checkpoints.",
        "pvdm import-original --autoencoder model_last.pth",
    ),
}


def overview() -> str:
    """The commands, a line each."""
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:{width}s}{command.about}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: pvdm COMMAND [options]",
            "",
            "Projected latent video diffusion: train, sample and evaluate.",
            "",
            *lines,
            "",
            "pvdm COMMAND --help lists the options of a command.",
            "Configurations: ae.yaml and ldm.yaml (the paper), demo_ae.yaml and demo_ldm.yaml (minutes on a CPU).",
            "",
        ]
    )


def unknown_command(arguments: Sequence[str]) -> str | None:
    """What is wrong with the first argument; None if it is a command or an option."""
    if not arguments or arguments[0] in COMMANDS or arguments[0].startswith("-"):
        return None
    near = difflib.get_close_matches(arguments[0], COMMANDS, n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return f"{arguments[0]}: there is no such command.{meant} Commands: {', '.join(COMMANDS)}."


def version() -> str:
    """The version of the package."""
    return f"pvdm {__version__}\n"


SECTIONS = {
    "sampling": "Sampling",
    "output": "Output",
    "evaluation": "Evaluation",
    "metrics": "Networks of the metrics",
    "model": "Model: --model.help lists the classes, --model.help CLASS the options of one",
    "data": "Data: --data.help lists the classes, --data.help CLASS the options of one",
    "ckpt_path": "Checkpoint to load",
    "checkpoint": "Checkpoints",
    "video_logger": "Videos in the dashboard",
    "finite": "Gradients that are NaN or infinite",
    "divergence": "Adversarial phase that diverges",
    "trainer": "Trainer of Lightning",
}
"""Sections of options in the order of the help."""


def arrange(parser: ArgumentParser, command: str) -> None:
    """Order and name the sections of a command's help, and shorten its usage: ours first, Lightning's Trainer last."""
    general, sections = [], {}
    for group in parser._action_groups:
        destinations = {str(action.dest).split(".")[0] for action in group._group_actions}
        section = next((name for name in SECTIONS if destinations == {name}), None)
        if section is None and destinations & {"ckpt_path"}:
            group.title = SECTIONS["ckpt_path"]
            sections["ckpt_path"] = group
        elif section is None:
            general.append(group)
        else:
            group.title = SECTIONS[section]
            sections[section] = group
    parser._action_groups = [*general, *(sections[name] for name in SECTIONS if name in sections)]
    for action in parser._actions:
        if (ours := _help_of(command).get(str(action.dest))) is not None:
            action.help = ours
            action.extra_help = lambda: ""  # type: ignore[attr-defined]  # which lists internal classes, too
    required = "--config CONFIG" if command == "fit" else "--ckpt_path CHECKPOINT"
    parser.description = COMMANDS[command].about
    parser.usage = f"pvdm {command} {required} [options]"


def _help_of(command: str) -> dict[str, str]:
    """Help of options where that of Lightning says what is not so here."""
    checkpoint = "A .ckpt file, the folder of a run, or `latest`, the newest run."
    if command == "fit":
        checkpoint = "Checkpoint to start from; `last` for the newest one of this run, as --resume."
    elif command == "predict":
        checkpoint += " `showcase` is the model that comes with the package."
    return {
        "ckpt_path": checkpoint,
        "model": f"One of {', '.join(_names('MODULES'))}, or a class of your own.",
        "data": f"One of {', '.join(_names('DATA_MODULES'))}, or a class of your own.",
    }


def _names(table: str) -> list[str]:
    from pvdm_lightning.pipeline import public_classes

    return sorted(path.rsplit(".", 1)[-1] for path in getattr(public_classes, table))


def classes_asked_for(args: list[str]) -> str | None:
    """The list of classes that `--model.help` or `--data.help` without a class asks for; None if none does."""
    from pvdm_lightning.pipeline.public_classes import DATA_MODULES, MODULES, find_class

    for i, arg in enumerate(args):
        if arg in ("--model.help", "--data.help") and (i + 1 == len(args) or args[i + 1].startswith("-")):
            paths = MODULES if arg == "--model.help" else DATA_MODULES
            about = {path: (inspect.getdoc(find_class(path)) or "").split("\n")[0] for path in paths}
            return "".join(f"{path.rsplit('.', 1)[-1]:24s}{about[path]}\n" for path in sorted(paths))
    return None


def class_options() -> list[str]:
    """Options that are arguments of our modules, data modules and networks, such as ``--data.batch_size``."""
    from pvdm_lightning.foreign_config import argument_types
    from pvdm_lightning.pipeline.public_classes import DATA_MODULES, MODULES, NETWORKS, find_class

    found = [f"--model.{name}" for path in MODULES for name in argument_types(find_class(path))]
    found += [f"--data.{name}" for path in DATA_MODULES for name in argument_types(find_class(path))]
    for option, network in {"autoencoder": "VideoAutoencoder", "denoiser": "TriplaneUNet"}.items():
        (path,) = (path for path in NETWORKS if path.endswith(f".{network}"))
        found += [f"--model.{option}.{name}" for name in argument_types(find_class(path))]
    return sorted(set(found))
