"""What a checkpoint says of how its module was built: plain values, from which Lightning rebuilds it."""

from typing import Any

from torch import nn

_INSTANTIATOR = "lightning.pytorch.cli.instantiate_module"


def described(network: nn.Module) -> dict[str, Any]:
    """A network as the YAML node that builds it; it keeps its constructor's arguments in `config`."""
    return {"class_path": class_path(type(network)), "init_args": network.config}


def class_path(cls: type) -> str:
    """The name by which YAML and checkpoints call a class."""
    return f"{cls.__module__}.{cls.__qualname__}"


def of_module(module: nn.Module, **init_args: Any) -> dict[str, Any]:
    """Hyper-parameters for `save_hyperparameters`: the constructor's arguments, networks as YAML nodes.

    LightningCLI would store the same tree, but only for a module built by it. Stored here, a module built in Python
    writes the same checkpoints; `load_from_checkpoint` rebuilds both.
    """
    plain = {key: described(value) if isinstance(value, nn.Module) else value for key, value in init_args.items()}
    return {"_class_path": class_path(type(module)), "_instantiator": _INSTANTIATOR, **plain}
