"""The entry point of `pvdm`."""

from __future__ import annotations

import atexit
import logging
import signal
import sys
import tempfile
import warnings
from pathlib import Path

from pvdm_lightning.cli import commands
from pvdm_lightning.cli.checkpoint_config import (
    with_checkpoint_config,
    with_found_configs,
    without_trusted_classes,
)
from pvdm_lightning.cli.messages import OptionFormatter, users_mistake
from pvdm_lightning.cli.pretrained_pipeline import with_pretrained_pipeline
from pvdm_lightning.cli.pvdm_cli import PvdmCLI
from pvdm_lightning.cli.signals import end_on_sigterm
from pvdm_lightning.pipeline.public_classes import trust_classes


def main(arguments: list[str]) -> None:
    """Run `pvdm` with these arguments; see `pvdm_lightning.cli.main`."""
    _quieten()
    end_on_sigterm()
    try:
        if arguments and arguments[0] in commands.FUNCTIONS:
            command = commands.FUNCTIONS[arguments[0]]
            parser = commands.command_parser(arguments[0], command)
            options = parser.instantiate(parser.parse_args(arguments[1:]))
            command(**vars(options))
            return
        arguments, trusted = without_trusted_classes(arguments)
        trust_classes(trusted)
        with tempfile.TemporaryDirectory() as folder:
            arguments = with_pretrained_pipeline(with_found_configs(arguments), Path(folder))
            PvdmCLI(with_checkpoint_config(arguments, Path(folder)))
    except KeyboardInterrupt:
        sys.stderr.write("pvdm: interrupted\n")
        raise SystemExit(128 + signal.SIGINT) from None
    except Exception as error:
        message = users_mistake(error)
        if message is None:
            # After the stack trace, which the interpreter prints at its end.
            atexit.register(
                sys.stderr.write, "pvdm: this is a fault of pvdm itself; please report it with these lines.\n"
            )
            raise
        _fail(message)


def _quieten() -> None:
    """Show our own messages at info level, and hide advice of libraries that does not apply."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OptionFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("pvdm_lightning").setLevel(logging.INFO)
    for message in (
        ".*does not have many workers.*",
        ".*LightningCLI's args parameter.*",
        ".*isinstance.treespec, LeafSpec.*",
        ".*GPU available but not used.*",
        ".*The dirpath has changed.*",
        ".*dataloader is not resumable.*",
        ".*the dataloader is not.*",
        ".*have overridden .transfer_batch_to_device. in .LightningModule.*",
        ".*ShardLoader. across ranks is zero.*",
    ):
        warnings.filterwarnings("ignore", message=message)


def _fail(message: str) -> None:
    sys.stderr.write(f"pvdm: error: {message}\n")
    raise SystemExit(2)
