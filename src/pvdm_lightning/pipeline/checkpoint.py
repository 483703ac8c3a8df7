"""Reading checkpoints as data, never as code."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from torch.overrides import TorchFunctionMode

from pvdm_lightning import __version__
from pvdm_lightning.config import plain
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.escaping import one_line
from pvdm_lightning.foreign_config import (
    ForeignConfigError,
    UnknownNameError,
    argument_types,
    check_arguments,
    check_node,
    default_arguments,
)
from pvdm_lightning.foreign_files import load_tensors
from pvdm_lightning.pipeline.public_classes import LOSSES, MODULES, NETWORKS, allowed, find_class

STAGES = {"AutoencoderModule": "a stage-one (autoencoder)", "LatentDiffusionModule": "a stage-two (latent diffusion)"}
VERSION = "_version"
"""Of pvdm_lightning, among the hyper-parameters: what a later version writes may be unknown here."""
MOST_PIXELS = 2**28
"""Of a clip: 16 frames of 4096 x 4096. Weights hold its three sides apart, and say nothing of their product."""
_WEIGHT_TYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_CALLS_PER_WEIGHT = 30  # our networks take 7 calls of PyTorch for each weight


def read_checkpoint(path: str | Path, argument: str, expected: str | None = None) -> dict[str, Any]:
    """The contents of a checkpoint of this project, its tensors memory-mapped.

    Args:
        path: Path of the file.
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
        checkpoint = load_tensors(path)
        _check(checkpoint)
    except UnknownNameError as error:
        problem = f"is not a checkpoint that pvdm_lightning {__version__} can read ({one_line(error)})"
        remedy = "Give a checkpoint of this version, or install a later one."
        if (version := _version_of(checkpoint)) != __version__:
            remedy = f"It was written by pvdm_lightning {version}: install that version."
        if error.class_path is not None:
            remedy = f"If you know the file, give --trust_class {error.class_path} (in Python `trust_classes`)."
        raise InvalidArgumentError(argument, path, problem, remedy) from None
    except Exception as error:
        reason = one_line(error, 160) or type(error).__name__
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


def _check(checkpoint: Any) -> None:
    """Raise an exception unless classes, arguments and tensors of a checkpoint are what they have to be."""
    if not isinstance(checkpoint, dict) or not {"state_dict", "hyper_parameters"} <= set(checkpoint):
        raise ForeignConfigError("it has no state_dict and hyper_parameters")
    hyper_parameters, state_dict = checkpoint["hyper_parameters"], checkpoint["state_dict"]
    if not isinstance(hyper_parameters, Mapping) or not isinstance(state_dict, Mapping):
        raise ForeignConfigError("its state_dict or hyper_parameters are no tables")
    if not all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state_dict.items()):
        raise ForeignConfigError("its state_dict holds more than tensors")
    module_path = hyper_parameters.get("_class_path")
    if not isinstance(module_path, str) or module_path not in MODULES:
        raise ForeignConfigError(f"written by {one_line(module_path)}")
    step = checkpoint.get("global_step", 0)
    if not isinstance(step, int) or not 0 <= step < 2**63 or not isinstance(checkpoint.get("callbacks", {}), dict):
        raise ForeignConfigError("its global_step or callbacks are of another type")
    arguments = {key: value for key, value in hyper_parameters.items() if not key.startswith("_")}
    check_arguments(find_class(module_path), arguments, allowed((*NETWORKS, *LOSSES)), find_class)
    # An option that the file knows nothing of has its default.
    checkpoint["hyper_parameters"] = {**default_arguments(find_class(module_path)), **plain(hyper_parameters)}
    _check_networks(checkpoint)


def _version_of(checkpoint: Mapping[str, Any]) -> str:
    """The version that wrote a checkpoint, as far as the file says it."""
    version = checkpoint["hyper_parameters"].get(VERSION)
    return one_line(version, 40) if isinstance(version, str) else "another"


def _check_networks(checkpoint: dict[str, Any]) -> None:
    """Build the module of a checkpoint without memory, and compare all that it holds with the weights."""
    state_dict, hyper_parameters = checkpoint["state_dict"], checkpoint["hyper_parameters"]
    cls = find_class(hyper_parameters["_class_path"])
    with _without_memory(state_dict):
        arguments = {key: value for key, value in hyper_parameters.items() if not key.startswith("_")}
        module = cls(**{key: _network(value) if is_node(value) else value for key, value in arguments.items()})
    if stage_of(checkpoint) == "LatentDiffusionModule":
        carried = part_of(state_dict, "autoencoder.autoencoder.")
        check_weights_fit(checkpoint.get("autoencoder"), carried)
        checkpoint["autoencoder"] = plain(checkpoint["autoencoder"])
        state_dict = {key: value for key, value in state_dict.items() if not key.startswith("autoencoder.autoencoder.")}
    _compare(module, state_dict)


def check_weights_fit(node: object, weights: Mapping[str, torch.Tensor]) -> None:
    """Raise `ForeignConfigError` unless a network of `node` has weights of these names and shapes."""
    with _without_memory(weights):
        network = _network(node)
    _compare(network, weights)


def is_node(value: object) -> bool:
    """Whether an argument is a network, as {class_path, init_args}."""
    return isinstance(value, Mapping) and "class_path" in value


def _network(node: object) -> Any:
    network = build_network(*check_node(node, allowed((*NETWORKS, *LOSSES)), find_class))
    if math.prod(getattr(network, "clip_shape", (0,))) > MOST_PIXELS:
        raise ForeignConfigError("its clips have more pixels than any that are read")
    return network


def _compare(module: torch.nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Raise `ForeignConfigError` unless these are the weights of a module that was built without memory."""
    own = module.state_dict()
    for key in [*own, *weights]:
        if key not in own or key not in weights or not _is_like(weights[key], own[key]):
            part = dict(module.named_children()).get(key.partition(".")[0])
            named = part if hasattr(part, "config") else module
            raise ForeignConfigError(f"its weights are not those of its {type(named).__name__}")


def _is_like(weight: torch.Tensor, own: torch.Tensor) -> bool:
    plain_type = weight.dtype == own.dtype or (own.is_floating_point() and weight.dtype in _WEIGHT_TYPES)
    return plain_type and weight.shape == own.shape and weight.layout == torch.strided and weight.device.type == "cpu"


class _LimitedCalls(TorchFunctionMode):
    """Ends what takes more calls of PyTorch than a number."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.calls = calls

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.calls -= 1
        if self.calls < 0:
            raise ForeignConfigError("its networks have more layers than weights")
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def _without_memory(weights: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Build networks without memory, and in no more time than a number of weights takes."""
    with torch.device("meta"), _LimitedCalls(_CALLS_PER_WEIGHT * (len(weights) + 50)):
        yield


def build_network(cls: type, arguments: Mapping[str, Any]) -> Any:
    """A network from its recorded arguments."""
    hints = argument_types(cls)
    built = {key: _built(value, hints[key]) for key, value in arguments.items()}
    return cls(**built)


def _built(value: Any, hint: Any) -> Any:
    shape: Any = next((option for option in (hint, *get_args(hint)) if is_dataclass(option)), None)
    return shape(**value) if shape is not None and isinstance(value, Mapping) else value


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
