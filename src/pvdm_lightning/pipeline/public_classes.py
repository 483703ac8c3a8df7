"""The classes that a file may name, by their public paths: those of this project, and those that the user trusts."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from pvdm_lightning import PUBLIC
from pvdm_lightning.errors import InvalidArgumentError

PACKAGE = "pvdm_lightning"


def _public(*modules: str) -> tuple[str, ...]:
    """Paths of the public names in these modules."""
    return tuple(f"{PACKAGE}.{name}" for start in modules for name, m in PUBLIC.items() if m.startswith(start))


NETWORKS = _public("models.autoencoder", "models.unet")
LOSSES = _public("losses")
MODULES = _public("training")
DATA_MODULES = _public("data.datamodules")
_TRUSTED: set[str] = set()


def trust_classes(paths: Iterable[str]) -> None:
    """Let files that are read from now on name these classes of the user's own (a network or a data module).

    Args:
        paths: Such as ``my_package.MyVideos``.

    Raises:
        InvalidArgumentError: There is no such class.
    """
    for path in paths:
        try:
            find_class(path)
        except (ImportError, AttributeError, ValueError) as error:
            remedy = "Give the path by which Python imports it, such as my_package.MyVideos."
            raise InvalidArgumentError("trust_class", path, f"cannot be imported ({error})", remedy) from error
        _TRUSTED.add(path)


def allowed(paths: Iterable[str]) -> frozenset[str]:
    """These paths of the table, and what the user trusts."""
    return frozenset(paths) | _TRUSTED


def find_class(path: str) -> type:
    """The class of a path that was found in the table, or that the user gave."""
    module, _, name = path.rpartition(".")
    found = getattr(import_module(module), name)
    if not isinstance(found, type):
        raise AttributeError(f"{path} is no class")
    return found


def class_path(cls: type) -> str:
    """The name by which YAML and checkpoints call a class: a public one, whatever file it is in, if it has one."""
    public = f"{PACKAGE}.{cls.__qualname__}"
    known = cls.__module__.startswith(f"{PACKAGE}.") and public in (*NETWORKS, *LOSSES, *MODULES, *DATA_MODULES)
    return public if known else f"{cls.__module__}.{cls.__qualname__}"
