"""The entry point of `pvdm`."""

from __future__ import annotations

import atexit
import signal
import sys

from pvdm_lightning.cli.commands import COMMANDS, function_of
from pvdm_lightning.cli.console import set_up_console
from pvdm_lightning.cli.errors import users_mistake
from pvdm_lightning.cli.help import classes_asked_for
from pvdm_lightning.cli.parser import build_parser, parse
from pvdm_lightning.cli.parts import run
from pvdm_lightning.cli.request import resolve
from pvdm_lightning.cli.signals import end_on_sigterm
from pvdm_lightning.escaping import printable
from pvdm_lightning.printing import print_result


def main(arguments: list[str]) -> None:
    """Run `pvdm` with these arguments; see `pvdm_lightning.cli.main`."""
    set_up_console()
    end_on_sigterm()
    try:
        if listed := classes_asked_for(arguments):
            print_result(listed)
            return
        request = resolve(arguments)
        if COMMANDS[request.command].has_trainer:
            run(request)
        else:
            parser = build_parser(request.command)
            options = parser.instantiate(parse(parser, request.words))
            function_of(request.command)(**vars(options))
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
