"""The command line: both stages through Lightning's Trainer, and the commands beside it."""

import sys
from collections.abc import Sequence

from pvdm_lightning.printing import print_result


def main(args: Sequence[str] | None = None) -> None:
    """Run `pvdm`. A user's mistake ends in one line on stderr and exit status 2."""
    arguments = list(sys.argv[1:] if args is None else args)
    if arguments in (["--help"], ["-h"], ["--version"]):
        from pvdm_lightning.cli.commands import overview, version

        print_result(version() if arguments == ["--version"] else overview())
        return
    _check_early(arguments)
    from pvdm_lightning.cli import program

    program.main(arguments)


def _check_early(arguments: Sequence[str]) -> None:
    """End with what is wrong with the command and the configurations, before seconds of imports."""
    from pvdm_lightning.cli.commands import unknown_command
    from pvdm_lightning.cli.shipped_configs import find_config
    from pvdm_lightning.errors import InvalidArgumentError
    from pvdm_lightning.escaping import printable

    message = unknown_command(arguments)
    try:
        for option, value in zip(arguments, [*arguments[1:], ""]):
            if option in ("--config", "-c") and value:
                find_config(value)
    except InvalidArgumentError as error:
        message = message or str(error)
    except OSError:  # what the system refuses is said below
        pass
    if message is not None:
        sys.stderr.write(f"pvdm: error: {printable(message)}\n")
        raise SystemExit(2)
