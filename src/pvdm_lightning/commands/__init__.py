"""Commands of `pvdm` beside Lightning's own: each a function whose arguments are its options."""

from pvdm_lightning.commands.import_original import import_original

__all__ = ["import_original"]
