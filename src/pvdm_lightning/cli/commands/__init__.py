"""Commands of `pvdm` beside Lightning's own: each a function whose arguments are its options."""

from collections.abc import Callable

from jsonargparse import ArgumentParser

from pvdm_lightning.cli.commands.check_data import check_data
from pvdm_lightning.cli.commands.encode import encode
from pvdm_lightning.cli.commands.evaluate import evaluate
from pvdm_lightning.cli.commands.import_original import import_original
from pvdm_lightning.cli.commands.weights import weights

FUNCTIONS: dict[str, Callable[..., None]] = {
    "import-original": import_original,
    "check-data": check_data,
    "evaluate": evaluate,
    "weights": weights,
}
__all__ = ["FUNCTIONS", "check_data", "command_parser", "encode", "evaluate", "import_original", "weights"]


def command_parser(name: str, command: Callable[..., None]) -> ArgumentParser:
    """The parser of one of our own commands, from its signature and docstring."""
    parser = ArgumentParser(prog=f"pvdm {name}", description=(command.__doc__ or "").split("\n\n")[0].strip())
    parser.exit_on_error = False
    parser.add_function_arguments(command)
    return parser
