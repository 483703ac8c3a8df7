"""Faster modules in the place of those of a built network."""

from collections.abc import Mapping

from torch import nn


def replace_classes(model: nn.Module, replacements: Mapping[type[nn.Module], type[nn.Module]]) -> None:
    """Change the class of each module that has a replacement, which is a class of the same data.

    Parameters, buffers, hooks and every reference to a module stay valid.

    Args:
        model: A network, or a module that holds networks.
        replacements: Classes, and those in their place; subclasses of the former stay as they are.
    """
    for module in model.modules():
        module.__class__ = replacements.get(type(module), type(module))
