"""The hyper-parameters in a checkpoint: plain values, from which the module is rebuilt."""

import copy
from typing import Any

from torch import nn

from pvdm_lightning.pipeline.public_classes import class_path


def described(network: nn.Module) -> dict[str, Any]:
    """A network as the YAML node that builds it."""
    # A copy: the network's own record follows changes, such as the latent shape that it takes from an autoencoder.
    return {"class_path": class_path(type(network)), "init_args": copy.deepcopy(network.config)}


def of_module(module: nn.Module) -> dict[str, Any]:
    """Hyper-parameters for `save_hyperparameters`: the recorded arguments of the constructor, networks as YAML nodes.

    LightningCLI would store the same tree, but only for a module built by it, and with the name of a function that
    Lightning would import.
    """
    recorded: Any = module.config
    nodes = {key: described(value) if isinstance(value, nn.Module) else value for key, value in recorded.items()}
    return {"_class_path": class_path(type(module)), **nodes}
