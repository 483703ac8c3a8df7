"""The command line: LightningCLI for both stages, and the commands beside it."""

from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> None:
    """Run `pvdm`; see `pvdm_lightning.cli.program`."""
    from pvdm_lightning.cli.program import main as run

    run(args)
