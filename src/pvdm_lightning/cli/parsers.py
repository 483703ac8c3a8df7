"""The parsers of the command line, without parsing anything."""

from __future__ import annotations

from typing import Any

from pvdm_lightning.cli.pvdm_cli import PvdmCLI


class _Parsers(PvdmCLI):
    """Stops as soon as the parsers are built."""

    def parse_arguments(self, parser: Any, args: Any) -> None:
        raise _BuiltError(self._subcommand_parsers)


class _BuiltError(Exception):
    """Carries the parsers."""


def command_parsers() -> dict[str, Any]:
    """Parser of each command of LightningCLI, by name."""
    try:
        _Parsers([])
    except _BuiltError as built:
        parsers: dict[str, Any] = built.args[0]
    return parsers
