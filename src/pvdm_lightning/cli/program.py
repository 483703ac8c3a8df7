"""The entry point of `pvdm`."""

from __future__ import annotations

import atexit
import signal
import sys
import tempfile
from pathlib import Path

from pvdm_lightning.cli import commands
from pvdm_lightning.cli.checkpoint_config import (
    with_checkpoint_config,
    with_found_checkpoint,
    with_found_configs,
    without_trusted_classes,
)
from pvdm_lightning.cli.comma_lists import with_comma_lists
from pvdm_lightning.cli.console import set_up_console
from pvdm_lightning.cli.errors import parse, users_mistake
from pvdm_lightning.cli.help import classes_asked_for
from pvdm_lightning.cli.pretrained_pipeline import with_pretrained_pipeline
from pvdm_lightning.cli.pvdm_cli import PvdmCLI
from pvdm_lightning.cli.signals import end_on_sigterm
from pvdm_lightning.escaping import printable
from pvdm_lightning.pipeline.public_classes import trust_classes
from pvdm_lightning.printing import print_result


def main(arguments: list[str]) -> None:
    """Run `pvdm` with these arguments; see `pvdm_lightning.cli.main`."""
    set_up_console()
    end_on_sigterm()
    try:
        if listed := classes_asked_for(arguments):
            print_result(listed)
            return
        arguments = with_comma_lists(arguments)
        if arguments and arguments[0] in commands.FUNCTIONS:
            command = commands.FUNCTIONS[arguments[0]]
            parser = commands.command_parser(arguments[0], command)
            options = parser.instantiate(parse(parser, arguments[1:]))
            command(**vars(options))
            return
        arguments, trusted = without_trusted_classes(arguments)
        trust_classes(trusted)
        with tempfile.TemporaryDirectory() as folder:
            arguments = with_found_checkpoint(with_found_configs(arguments))
            arguments = with_pretrained_pipeline(arguments, Path(folder))
            PvdmCLI(with_checkpoint_config(arguments, Path(folder)))
    except KeyboardInterrupt:
        sys.stderr.write("pvdm: interrupted\n")
        raise SystemExit(128 + signal.SIGINT) from None
    except Exception as error:
        message = users_mistake(error, arguments)
        if message is None:
            # After the stack trace, which the interpreter prints at its end.
            atexit.register(
                sys.stderr.write, "pvdm: this is a fault of pvdm itself; please report it with these lines.\n"
            )
            raise
        _fail(message)


def _fail(message: str) -> None:
    sys.stderr.write(f"pvdm: error: {printable(message)}\n")
    raise SystemExit(2)
