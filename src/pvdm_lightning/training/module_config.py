"""A module as plain values in its checkpoint, and back: classes are looked up in the table of this project."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import nn

from pvdm_lightning import __version__
from pvdm_lightning.pipeline.checkpoint import VERSION, build_network
from pvdm_lightning.pipeline.public_classes import class_path, find_class


def network_node(network: nn.Module) -> dict[str, Any]:
    """The YAML node {class_path, init_args} that builds a network."""
    # A copy: the network's own record follows changes, such as the latent shape that it takes from an autoencoder.
    return {"class_path": class_path(type(network)), "init_args": copy.deepcopy(network.config)}


def hyper_parameters(module: nn.Module) -> dict[str, Any]:
    """The recorded arguments of a module's constructor for `save_hyperparameters`, with networks as YAML nodes.

    LightningCLI would store the same tree, but only for a module that it built, and with the name of a function that
    Lightning would import.
    """
    recorded: Any = module.config
    nodes = {key: network_node(value) if isinstance(value, nn.Module) else value for key, value in recorded.items()}
    return {"_class_path": class_path(type(module)), VERSION: __version__, **nodes}


def constructor_arguments(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a module's constructor from its `hyper_parameters`, with networks built.

    Args:
        recorded: As `read_checkpoint` checked it.
    """
    return {
        key: build_network(find_class(value["class_path"]), value["init_args"])
        if isinstance(value, dict) and "class_path" in value
        else value
        for key, value in recorded.items()
        if not key.startswith("_")
    }
