"""Reading checkpoints as data, never as code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pipeline.public_classes import MODULES, NETWORKS

STAGES = {"AutoencoderModule": "a stage-one (autoencoder)", "LatentDiffusionModule": "a stage-two (latent diffusion)"}


def read_checkpoint(path: str | Path, argument: str, expected: str | None = None) -> dict[str, Any]:
    """The contents of a checkpoint of this project, its tensors memory-mapped.

    Args:
        path: Of the file.
        argument: The option it came from.
        expected: Name of the module class that must have written it; None takes both stages.

    Raises:
        InvalidArgumentError: There is no such file, it is no checkpoint of ours, or it is of the other stage.
    """
    if not Path(path).is_file():
        raise InvalidArgumentError(
            argument, path, "there is no such file", "Give the path of a .ckpt file that `pvdm fit` wrote."
        )
    try:
        # weights_only: a file from a stranger never runs code.
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        stage = stage_of(checkpoint)
    except Exception as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise InvalidArgumentError(
            argument,
            path,
            f"is not a checkpoint of this project ({reason})",
            "Give a .ckpt file of `pvdm fit`; files of the original implementation go through `pvdm import-original`.",
        ) from None
    if expected is not None and stage != expected:
        raise InvalidArgumentError(
            argument,
            path,
            f"is {STAGES[stage]} checkpoint, and {STAGES[expected]} one is needed",
            "Give the other stage's checkpoint.",
        )
    return checkpoint


def stage_of(checkpoint: Mapping[str, Any]) -> str:
    """Name of the module class that wrote a checkpoint, a key of `STAGES`."""
    hyper_parameters = checkpoint["hyper_parameters"]
    path = hyper_parameters["_class_path"]
    if path not in MODULES or "state_dict" not in checkpoint:
        raise KeyError(f"written by {path}")
    for name in ("autoencoder", "denoiser"):
        network = hyper_parameters.get(name)
        if network is not None and network["class_path"] not in NETWORKS:
            raise KeyError(f"its {name} is a {network['class_path']}")
    return path.rpartition(".")[2]


def autoencoder_config(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the autoencoder in a checkpoint of either stage."""
    if stage_of(checkpoint) == "AutoencoderModule":
        return checkpoint["hyper_parameters"]["autoencoder"]["init_args"]
    return checkpoint["autoencoder"]


def part_of(state_dict: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The entries whose keys start with `prefix`, without it."""
    return {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}


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
    hyper_parameters = checkpoint["hyper_parameters"]
    trained = hyper_parameters.get(argument.rpartition(".")[2], configured)
    if trained != configured:
        problem = f"differs from the checkpoint's, which is {trained}"
        raise InvalidArgumentError(argument, configured, problem, f"Give {trained}, or start afresh.")
