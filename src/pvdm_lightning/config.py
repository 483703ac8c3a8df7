"""Recording a constructor's arguments, from which checkpoints and saved folders rebuild the object."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from pvdm_lightning.errors import check_numbers

Constructor = TypeVar("Constructor", bound=Callable[..., None])


def register_to_config(constructor: Constructor) -> Constructor:
    """Decorate an ``__init__``: its arguments, defaults included, are recorded in `self.config` before it runs.

    Tuples become lists, dataclasses dictionaries and paths strings, so that the record can be written as JSON or YAML.
    Other objects, such as networks, are recorded as they are. Numbers that are not finite are refused.
    """
    signature = inspect.signature(constructor)
    open_arguments = [p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD]

    @functools.wraps(constructor)
    def recording(self: Any, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        recorded = {key: plain(value) for key, value in list(bound.arguments.items())[1:]}
        for name in open_arguments:
            recorded |= recorded.pop(name)
        if "config" not in vars(self):  # or a decorated subclass has recorded its own arguments
            object.__setattr__(self, "config", recorded)
        check_numbers(constructor.__qualname__.split(".")[0], recorded)
        constructor(self, *args, **kwargs)

    # With types in place of their names: command lines read them where the names mean nothing.
    hints = get_type_hints(constructor)
    typed = [value.replace(annotation=hints.get(key, value.annotation)) for key, value in signature.parameters.items()]
    recording.__signature__ = signature.replace(parameters=typed)  # type: ignore[attr-defined]
    recording.__annotations__ = hints
    return recording  # type: ignore[return-value]


def plain(value: Any) -> Any:
    """The value as JSON has it, where it can."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
