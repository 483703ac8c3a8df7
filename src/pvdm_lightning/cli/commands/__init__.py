"""The table of commands: each is a file in this package, imported when it is asked for."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

from pvdm_lightning import __version__


@dataclass(frozen=True)
class Command:
    """A command of `pvdm`.

    Attributes:
        about: What it does, in a line.
        example: How it is typed at its shortest.
        has_trainer: Whether it runs with a model, data and a Trainer, built from the table of options; the arguments
            of any other command's function are its options.
        takes_model: Whether it needs a trained model, --ckpt_path.
    """

    about: str
    example: str
    has_trainer: bool = False
    takes_model: bool = False


COMMANDS = {
    "fit": Command(
        "Train stage one (the autoencoder) or stage two (latent diffusion).", "pvdm fit --config demo_ae.yaml", True
    ),
    "validate": Command("Run the validation of a checkpoint.", "pvdm validate --ckpt_path latest", True, True),
    "test": Command(
        "Measure reconstructions (stage one) or generated videos (stage two) against real ones.",
        "pvdm test --ckpt_path latest",
        True,
        True,
    ),
    "predict": Command(
        "Sample videos (stage two), or reconstruct validation clips (stage one).",
        "pvdm predict --ckpt_path showcase",
        True,
        True,
    ),
    "encode": Command(
        "Write the latents of a data set to a cache, from which stage two trains.",
        "pvdm encode --ckpt_path latest",
        True,
        True,
    ),
    "evaluate": Command(
        "Measure a folder of generated videos against a folder of real ones.",
        "pvdm evaluate --real videos/real --generated videos/generated",
    ),
    "compare": Command(
        "Compare the reports of test and evaluate: comparable, different, and what a difference is made of.",
        "pvdm compare a.json b.json",
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


def unknown_command(arguments: Sequence[str]) -> str | None:
    """What is wrong with the first argument; None if it is a command."""
    known = f"Commands: {', '.join(COMMANDS)}."
    if not arguments or arguments[0].startswith("-"):
        return f"no command is given. {known}"
    if arguments[0] in COMMANDS:
        return None
    near = difflib.get_close_matches(arguments[0], COMMANDS, n=1)
    return f"{arguments[0]}: there is no such command.{f' Did you mean {near[0]}?' if near else ''} {known}"


def function_of(command: str) -> Callable[..., None]:
    """The function that runs a command; importing it may load PyTorch."""
    name = command.replace("-", "_")
    function: Callable[..., None] = getattr(import_module(f"{__name__}.{name}"), name)
    return function


def overview() -> str:
    """What `pvdm --help` prints: the commands, a line each."""
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


def version() -> str:
    """What `pvdm --version` prints."""
    return f"pvdm {__version__}\n"
