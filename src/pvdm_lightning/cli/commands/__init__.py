"""The table of commands: each is a file in this package, imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from pvdm_lightning import __version__


@dataclass(frozen=True)
class Command:
    """A command of `pvdm`.

    Attributes:
        about: What it does, in a line.
        has_trainer: Whether it runs with a model, data and a Trainer, built from the table of options; the arguments
            of any other command's function are its options.
        takes_model: Whether it needs a trained model, --ckpt_path.
    """

    about: str
    has_trainer: bool = False
    takes_model: bool = False


COMMANDS = {
    "fit": Command("Train stage one (the autoencoder) or stage two (latent diffusion).", has_trainer=True),
    "validate": Command("Run the validation of a checkpoint.", True, True),
    "test": Command(
        "Measure reconstructions (stage one) or generated videos (stage two) against real ones.", True, True
    ),
    "predict": Command("Sample videos (stage two), or reconstruct validation clips (stage one).", True, True),
    "encode": Command("Write the latents of a data set to a cache, from which stage two trains.", True, True),
    "evaluate": Command("Measure a folder of generated videos against a folder of real ones."),
    "check-data": Command("Check that every video of a data set can be read."),
    "weights": Command("List the published networks that metrics and losses use, and fetch them."),
    "completion": Command("Print completion for a shell, or the JSON schema of configurations for an editor."),
    "import-original": Command("Turn weights of the original implementation into checkpoints."),
}


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
