"""The entry point of `pvdm`."""

from __future__ import annotations

import atexit
import signal
import sys
import time

from pvdm_lightning.cli.commands import COMMANDS, function_of
from pvdm_lightning.cli.console.errors import users_mistake
from pvdm_lightning.cli.console.help import classes_asked_for
from pvdm_lightning.cli.console.output import set_up_console
from pvdm_lightning.cli.parser import build_parser, parse
from pvdm_lightning.cli.processes.launcher import (
    Launcher,
    end_children,
    lost_line,
    lost_process,
    stopped_by,
    watch_parent,
)
from pvdm_lightning.cli.processes.signals import Stopped, received_signal, signals_stop
from pvdm_lightning.cli.pvdm_cli import run_command
from pvdm_lightning.cli.request import resolve
from pvdm_lightning.escaping import printable
from pvdm_lightning.printing import print_result
from pvdm_lightning.stopping import say, stopped_line

LAST_WORDS = 60.0
"""Seconds that other processes have to end in order after the first one."""
FIRST_SPEAKS = 2.0
"""Seconds that other processes leave the first one to say what is wrong."""


def main(arguments: list[str]) -> None:
    """Run `pvdm` with these arguments; see `pvdm_lightning.cli.main`."""
    set_up_console()
    watch_parent()
    with signals_stop():
        try:
            _run(arguments)
            end_children(LAST_WORDS)
        except KeyboardInterrupt:
            end_children(0)
            say(stopped_line(signal.SIGINT))
            raise SystemExit(128 + signal.SIGINT) from None
        except Stopped as stopped:
            end_children(LAST_WORDS if stopped.said else 0)
            if not stopped.said:
                say(stopped_line(stopped.signum))
            raise
        except Exception as error:
            _explain(error, arguments)
            raise
        finally:
            end_children(0)


def _run(arguments: list[str]) -> None:
    if listed := classes_asked_for(arguments):
        print_result(listed)
        return
    request = resolve(arguments)
    if COMMANDS[request.command].has_trainer:
        run_command(request)
    else:
        parser = build_parser(request.command)
        parser.set_defaults(request.defaults)
        options = vars(parser.instantiate(parse(parser, request.words)))
        options.pop("config", None)  # the paths of files whose contents are in the others
        function_of(request.command)(**options)


def _explain(error: Exception, arguments: list[str]) -> None:
    """End in one line for a user's mistake, or for a lost process, of which the error may be a consequence."""
    if Launcher.started_this_process():
        time.sleep(FIRST_SPEAKS)  # with the same error, or knowing better, the first process says it and ends this one
    lost = lost_process()
    signum = received_signal() or (stopped_by(lost[1]) if lost is not None else None)
    if signum is not None:
        say(stopped_line(signum))
        raise Stopped(signum) from None
    if lost is not None:
        rank, status = lost
        if status < 0:
            _fail(lost_line(rank, status))
        raise SystemExit(status) from None  # it has said why
    message = users_mistake(error, arguments)
    if message is not None:
        _fail(message)
    # After the stack trace, which the interpreter prints at its end.
    atexit.register(sys.stderr.write, "pvdm: this is a fault of pvdm itself; please report it with these lines.\n")


def _fail(message: str) -> None:
    sys.stderr.write(f"pvdm: error: {printable(message)}\n")
    raise SystemExit(2) from None
