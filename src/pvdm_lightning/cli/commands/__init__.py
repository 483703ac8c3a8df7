"""Commands of `pvdm` beside Lightning's own: each a function whose arguments are its options."""

from pvdm_lightning.cli.commands.check_data import check_data
from pvdm_lightning.cli.commands.encode import encode
from pvdm_lightning.cli.commands.evaluate import evaluate
from pvdm_lightning.cli.commands.import_original import import_original

__all__ = ["check_data", "encode", "evaluate", "import_original"]
