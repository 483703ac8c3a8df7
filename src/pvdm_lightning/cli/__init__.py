"""The command line: LightningCLI for both stages, and the commands beside it."""

import sys
from collections.abc import Sequence

from pvdm_lightning.printing import print_result


def main(args: Sequence[str] | None = None) -> None:
    """Run `pvdm`. A user's mistake ends in one line on stderr and exit status 2."""
    arguments = list(sys.argv[1:] if args is None else args)
    if arguments in (["--help"], ["-h"], ["--version"]):
        from pvdm_lightning.cli import help as texts

        print_result(texts.version() if arguments == ["--version"] else texts.overview())
        return
    from pvdm_lightning.cli import program

    program.main(arguments)
