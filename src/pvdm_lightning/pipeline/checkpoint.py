"""Reading checkpoints as data, never as code."""

from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args

import torch

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.foreign_config import (
    ForeignConfigError,
    argument_types,
    check_arguments,
    check_node,
    default_arguments,
)
from pvdm_lightning.pipeline.public_classes import LOSSES, MODULES, NETWORKS, allowed, find_class

STAGES = {"AutoencoderModule": "a stage-one (autoencoder)", "LatentDiffusionModule": "a stage-two (latent diffusion)"}


def read_checkpoint(path: str | Path, argument: str, expected: str | None = None) -> dict[str, Any]:
    """The contents of a checkpoint of this project, its tensors memory-mapped.

    Args:
        path: Of the file.
        argument: The option it came from.
        expected: Name of the module class that must have written it; None takes both stages.

    Raises:
        InvalidArgumentError: There is no such file, it is no checkpoint of ours, it is of the other stage, or it holds
            weights that are NaN or infinite.
    """
    if not Path(path).is_file():
        raise InvalidArgumentError(
            argument, path, "there is no such file", "Give the path of a .ckpt file that `pvdm fit` wrote."
        )
    try:
        # weights_only: a file from a stranger never runs code.
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        _check(checkpoint, Path(path).stat().st_size)
    except Exception as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InvalidArgumentError(
            argument,
            path,
            f"is not a checkpoint of this project ({reason})",
            "Give a .ckpt file of `pvdm fit`; files of the original implementation go through `pvdm import-original`.",
        ) from None
    if expected is not None:
        check_stage(checkpoint, path, argument, expected)
    check_finite(checkpoint["state_dict"], argument, path)
    return checkpoint


def check_stage(checkpoint: Mapping[str, Any], path: object, argument: str, expected: str) -> None:
    """Raise `InvalidArgumentError` unless a module of the class `expected` wrote a checkpoint."""
    stage = stage_of(checkpoint)
    if stage != expected:
        problem = f"is {STAGES[stage]} checkpoint, and {STAGES.get(expected, expected)} one is needed"
        raise InvalidArgumentError(argument, path, problem, "Give the other stage's checkpoint.")


def _check(checkpoint: Any, size: int) -> None:
    """Raise an exception unless classes, arguments and tensors of a file of `size` bytes are what they have to be."""
    if not isinstance(checkpoint, dict) or not {"state_dict", "hyper_parameters"} <= set(checkpoint):
        raise ForeignConfigError("it has no state_dict and hyper_parameters")
    hyper_parameters, state_dict = checkpoint["hyper_parameters"], checkpoint["state_dict"]
    if not isinstance(hyper_parameters, Mapping) or not isinstance(state_dict, Mapping):
        raise ForeignConfigError("its state_dict or hyper_parameters are no tables")
    if not all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state_dict.items()):
        raise ForeignConfigError("its state_dict holds more than tensors")
    # An expanded view claims any size, and takes it as soon as it is copied.
    if sum(tensor.numel() * tensor.element_size() for tensor in _tensors(checkpoint)) > 4 * size:
        raise ForeignConfigError("its tensors claim more than the file holds")
    module_path = hyper_parameters.get("_class_path")
    if module_path not in MODULES:
        raise ForeignConfigError(f"written by {module_path}")
    if not isinstance(checkpoint.get("global_step", 0), int) or not isinstance(checkpoint.get("callbacks", {}), dict):
        raise ForeignConfigError("its global_step or callbacks are of another type")
    arguments = {key: value for key, value in hyper_parameters.items() if not key.startswith("_")}
    check_arguments(find_class(module_path), arguments, allowed((*NETWORKS, *LOSSES)), find_class)
    # An option that the file knows nothing of has its default.
    checkpoint["hyper_parameters"] = {**default_arguments(find_class(module_path)), **hyper_parameters}
    _check_networks(checkpoint, stage_of(checkpoint))


def _check_networks(checkpoint: Mapping[str, Any], stage: str) -> None:
    """Compare the shapes of the networks with their weights, without memory for them."""
    networks = {"autoencoder.": checkpoint["hyper_parameters"].get("autoencoder")}
    if stage == "LatentDiffusionModule":
        denoiser = checkpoint["hyper_parameters"].get("denoiser")
        networks = {
            "autoencoder.autoencoder.": checkpoint.get("autoencoder"),
            "denoiser.": denoiser,
            "ema.network.": denoiser,
        }
    for prefix, node in networks.items():
        check_weights_fit(node, part_of(checkpoint["state_dict"], prefix))


def check_weights_fit(node: object, weights: Mapping[str, torch.Tensor]) -> None:
    """Raise `ForeignConfigError` unless a network of `node` has weights of these names and shapes."""
    cls, arguments = check_node(node, allowed(NETWORKS), find_class)
    with torch.device("meta"):
        network = build_network(cls, arguments)
    own = network.state_dict()
    if set(own) != set(weights) or any(own[key].shape != weights[key].shape for key in own):
        raise ForeignConfigError(f"its weights are not those of its {cls.__name__}")


def build_network(cls: type, arguments: Mapping[str, Any]) -> Any:
    """A network from its recorded arguments."""
    hints = argument_types(cls)
    built = {key: _built(value, hints[key]) for key, value in arguments.items()}
    return cls(**built)


def _built(value: Any, hint: Any) -> Any:
    shape: Any = next((option for option in (hint, *get_args(hint)) if is_dataclass(option)), None)
    return shape(**value) if shape is not None and isinstance(value, Mapping) else value


def _tensors(tree: Any) -> Iterator[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from _tensors(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _tensors(value)


def stage_of(checkpoint: Mapping[str, Any]) -> str:
    """Name of the module class that wrote a checkpoint, a key of `STAGES`."""
    path: str = checkpoint["hyper_parameters"]["_class_path"]
    return path.rpartition(".")[2]


def autoencoder_node(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The autoencoder in a checkpoint of either stage, as {class_path, init_args}."""
    if stage_of(checkpoint) == "AutoencoderModule":
        return checkpoint["hyper_parameters"]["autoencoder"]
    return checkpoint["autoencoder"]


def check_finite(state_dict: Mapping[str, torch.Tensor], argument: str, path: object) -> None:
    """Raise `InvalidArgumentError` if weights are NaN or infinite: they spoil all that is computed with them."""
    spoilt = [key for key, value in state_dict.items() if value.is_floating_point() and not value.isfinite().all()]
    if spoilt:
        problem = f"holds weights that are NaN or infinite ({spoilt[0]} and {len(spoilt) - 1} more)"
        raise InvalidArgumentError(argument, path, problem, "Give an earlier checkpoint of the run.")


def part_of(state_dict: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The entries whose keys start with `prefix`, without it."""
    return {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}


def check_resumable(checkpoint: Mapping[str, Any], path: object) -> None:
    """Raise `InvalidArgumentError` unless a checkpoint has what training goes on from beside the weights."""
    lists, tables = ("optimizer_states", "lr_schedulers"), ("loops",)
    whole = (
        all(isinstance(checkpoint.get(key), list) for key in lists)
        and all(isinstance(checkpoint.get(key), dict) for key in tables)
        and all(isinstance(checkpoint.get(key), int) for key in ("epoch", "global_step"))
        and isinstance(checkpoint.get("pytorch-lightning_version"), str)
    )
    if not whole:
        problem = "holds weights alone: no optimizer, no position in training"
        raise InvalidArgumentError("--ckpt_path", path, problem, "Go on from a checkpoint that `pvdm fit` wrote.")


def check_shapes(own: Mapping[str, torch.Tensor], state_dict: Mapping[str, torch.Tensor], path: object) -> None:
    """Raise `InvalidArgumentError` if a checkpoint's weights do not fit the configured networks."""
    for key in [*own, *state_dict]:
        there, here = (list(d[key].shape) if key in d else "absent" for d in (state_dict, own))
        if there != here:
            raise InvalidArgumentError(
                "ckpt_path",
                path,
                f"does not fit the configured networks ({key} is {there} in the file, {here} in the model)",
                "Use the configuration the checkpoint was trained with, or a checkpoint of this configuration.",
            )


def check_same(argument: str, configured: object, checkpoint: Mapping[str, Any]) -> None:
    """Raise `InvalidArgumentError` if a checkpoint comes from training with another value of an argument."""
    check_same_value(argument, configured, checkpoint["hyper_parameters"].get(argument.rpartition(".")[2], configured))


def check_same_value(argument: str, configured: object, trained: object) -> None:
    """Raise `InvalidArgumentError` if an argument differs from the one that a checkpoint was trained with."""
    if trained != configured:
        problem = f"differs from the checkpoint's, which is {trained}"
        raise InvalidArgumentError(argument, configured, problem, f"Give {trained}, or start afresh.")
