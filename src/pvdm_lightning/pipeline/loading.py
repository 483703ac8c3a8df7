"""The parts of a VideoPipeline, from a checkpoint or a folder, and back into a folder."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pvdm_lightning import __version__
from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.diffusion import NoiseSchedule, PredictionType
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.escaping import one_line
from pvdm_lightning.foreign_config import UnknownNameError, check_arguments, described_data, is_number
from pvdm_lightning.foreign_files import check_regular, read_json
from pvdm_lightning.pipeline import hub
from pvdm_lightning.pipeline.checkpoint import (
    build_network,
    check_finite,
    check_weights_fit,
    part_of,
    read_checkpoint,
    stage_of,
)
from pvdm_lightning.pipeline.diffusion_parts import DiffusionParts
from pvdm_lightning.pipeline.first_stage import FrozenAutoencoder
from pvdm_lightning.pipeline.latent_normalization import LatentNormalization
from pvdm_lightning.pipeline.model_card import Shown, model_card
from pvdm_lightning.pipeline.public_classes import NETWORKS, class_path, find_class
from pvdm_lightning.pipeline.runs import checkpoint_in
from pvdm_lightning.pipeline.sampling import SCALES, Sampling

FORMAT = 1
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
SHOWCASES = ("showcase", "showcase_games")
"""Names of the pipelines that come with the package: generated shapes, and footage of games."""
DIFFUSION = ("normalize_latents", "prediction_type", "num_train_timesteps", "beta_start", "beta_end")
"""Options of stage two's training that its inference follows: arguments of `DiffusionParts.build`."""
_CLASSES = dict(zip(("autoencoder", "denoiser"), NETWORKS))
_PREFIXES = {"denoiser": "ema.network", "normalization": "normalization"}
SAMPLING = (
    *("sampler", "num_inference_steps", "num_inference_steps_later", "eta"),
    *(*SCALES, "guidance_interval", "guidance_rescale"),
)
"""The options of sampling that belong to a model and not to a call. Autoguidance needs a file beside it."""


def find_folder(path: str | Path) -> Path | None:
    """The folder of a saved pipeline: one here, else the one of that name in the package; None if neither."""
    if all((Path(path) / name).is_file() for name in (CONFIG, WEIGHTS)):
        return Path(path)
    shipped = Path(__file__).parents[1] / str(path)
    return shipped if str(path) in SHOWCASES and shipped.is_dir() else None


def parts_of(path: str | Path) -> dict[str, Any]:
    """Arguments of VideoPipeline, from a saved pipeline, here or on a hub, or from a checkpoint.

    Raises:
        InvalidArgumentError: The path leads to none of them, or to a damaged one.
    """
    if find_folder(path) is None:
        if hub.is_repository(path):
            return parts_of_folder(fetch(path, "VideoPipeline.path"))
        checkpoint = checkpoint_in(path, "VideoPipeline.path")
        if checkpoint.is_file():
            return parts_of_checkpoint(checkpoint)
        if not checkpoint.exists():
            remedy = f"Give a checkpoint, the folder of a run, one that save_pretrained wrote, or {SHOWCASES[0]}."
            raise InvalidArgumentError("VideoPipeline.path", path, "there is no such file or folder", remedy)
    return parts_of_folder(Path(path))


def fetch(path: str | Path, argument: str) -> Path:
    """The folder of a pipeline that a hub has: its configuration and weights, and nothing else of the repository.

    Raises:
        InvalidArgumentError: As `hub.fetch`.
    """
    return hub.fetch(path, [CONFIG, WEIGHTS], argument)


def parts_of_checkpoint(path: str | Path) -> dict[str, Any]:
    """Arguments of VideoPipeline.

    Raises:
        InvalidArgumentError: The file is not a checkpoint of this project.
    """
    checkpoint = read_checkpoint(checkpoint_in(path, "VideoPipeline.path"), "VideoPipeline.path")
    state_dict, arguments = checkpoint["state_dict"], checkpoint["hyper_parameters"]
    parts: dict[str, Any] = {"first_stage": FrozenAutoencoder.from_state(checkpoint), "about": _about(checkpoint)}
    if stage_of(checkpoint) == "AutoencoderModule":
        return parts
    options = {name: arguments[name] for name in DIFFUSION}
    diffusion = DiffusionParts.build(_build(arguments["denoiser"]), **options)
    weights = {name: part_of(state_dict, f"{prefix}.") for name, prefix in _PREFIXES.items()}
    return {**parts, **_load(diffusion, weights, parts["first_stage"])}


def parts_of_folder(folder: Path) -> dict[str, Any]:
    """Arguments of VideoPipeline.

    Raises:
        InvalidArgumentError: The folder holds no pipeline, or a damaged one.
    """
    folder = find_folder(folder) or folder
    try:
        config = read_json(folder / CONFIG)
        if not isinstance(config, dict) or config.get("format") != FORMAT:
            raise ValueError(f"its {CONFIG} is of another format, and this version reads {FORMAT}")
        check_regular(folder / WEIGHTS)
        tensors = load_file(folder / WEIGHTS)
        weights = {name: part_of(tensors, f"{name}.") for name in ("autoencoder", "denoiser", "normalization")}
        _check_config(config, weights)
        autoencoder = _build(_node(config, "autoencoder"))
        autoencoder.load_state_dict(weights["autoencoder"])
        parts: dict[str, Any] = {"first_stage": FrozenAutoencoder(autoencoder), "about": config["about"]}
        if config["denoiser"] is None:
            return parts
        parts["sampling"] = Sampling(**config["sampling"])
        denoiser = _build(_node(config, "denoiser"))
        normalization = LatentNormalization(denoiser.latent_channels) if config["normalization"] else None
        schedule = NoiseSchedule(**config["schedule"])
        diffusion = DiffusionParts(denoiser, schedule, normalization, config["prediction_type"])
        return {**parts, **_load(diffusion, weights, parts["first_stage"])}
    except UnknownNameError as error:
        problem = f"holds no pipeline that pvdm_lightning {__version__} can read ({one_line(error)})"
        version = one_line(config.get("version", "another"), 40)
        remedy = f"It was written by pvdm_lightning {version}: install that version."
        if error.class_path is not None:
            remedy = f'If you know the folder, call trust_classes(["{error.class_path}"]) of pvdm_lightning.pipeline.'
        raise InvalidArgumentError("VideoPipeline.folder", folder, problem, remedy) from error
    except Exception as error:
        reason = one_line(error, 160) or type(error).__name__
        problem = f"holds no pipeline that can be read ({reason})"
        remedy = "Give a folder that VideoPipeline.save_pretrained wrote."
        raise InvalidArgumentError("VideoPipeline.folder", folder, problem, remedy) from error


def _check_config(config: dict[str, Any], weights: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Raise `ValueError` unless a configuration is whole, and its networks are those of the weights."""
    config["about"] = checked_about(config.get("about", {}))
    for name in ("autoencoder", "denoiser"):
        if name == "autoencoder" or config["denoiser"] is not None:
            check_weights_fit(_node(config, name), weights[name])
            check_finite(weights[name], "VideoPipeline.folder", name)
    if config["denoiser"] is not None:
        check_arguments(NoiseSchedule, config["schedule"])
        config["sampling"] = config.get("sampling", {})
        check_arguments(Sampling, config["sampling"])
        if config["prediction_type"] not in get_args(PredictionType) or not isinstance(config["normalization"], bool):
            raise ValueError("prediction_type or normalization is none that this version knows")


def checked_about(about: object) -> dict[str, Any]:
    """What a file says of its training: steps, data and metrics.

    Raises:
        ValueError: They are of other types.
    """
    types_of = {"steps": int, "data": dict, "metrics": dict}
    if not isinstance(about, dict) or any(not isinstance(about.get(key, of()), of) for key, of in types_of.items()):
        raise ValueError("what it says of its training is no table of steps, data and metrics")
    metrics, steps = about.get("metrics", {}), about.get("steps", 0)
    if not all(isinstance(name, str) and is_number(value) for name, value in metrics.items()):
        raise ValueError("its metrics are no numbers")
    if not 0 <= steps < 2**63:
        raise ValueError("its number of steps is none")
    return {**about, "data": described_data(about.get("data", {}))}


def _node(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A network of a saved pipeline as {class_path, init_args}; where the file names no class, ours is meant."""
    classes = config.get("classes")
    path = classes.get(name) if isinstance(classes, Mapping) else None
    return {"class_path": _CLASSES[name] if path is None else path, "init_args": config[name]}


def _build(node: Mapping[str, Any]) -> Any:
    return build_network(find_class(node["class_path"]), node["init_args"])


def _load(
    parts: DiffusionParts, weights: Mapping[str, dict[str, Tensor]], first_stage: FrozenAutoencoder
) -> dict[str, Any]:
    """Put weights into the parts of stage two; returns them as arguments of VideoPipeline."""
    parts.denoiser.load_state_dict(weights["denoiser"])
    parts.denoiser.requires_grad_(False).eval().latent_shape = first_stage.autoencoder.latent_shape
    if parts.normalization is not None:
        parts.normalization.load_state_dict(weights["normalization"])
    return dict(zip(("denoiser", "schedule", "normalization", "prediction_type"), parts))


def write_folder(
    folder: Path,
    networks: Mapping[str, nn.Module],
    schedule: NoiseSchedule,
    prediction_type: str,
    about: dict[str, Any],
    sampling: Sampling,
    shown: Shown,
) -> None:
    """Write weights, configuration, model card and its pictures; each file is whole or absent.

    Raises:
        InvalidArgumentError: The folder holds a file of one of these names that is not of a saved pipeline.
    """
    _check_replaceable(folder)
    config = {
        "format": FORMAT,
        "version": __version__,
        "classes": {name: class_path(type(networks[name])) for name in _CLASSES if name in networks},
        **{name: networks[name].config if name in networks else None for name in _CLASSES},
        "schedule": schedule.config,
        "prediction_type": prediction_type,
        "normalization": "normalization" in networks,
        "sampling": {name: getattr(sampling, name) for name in SAMPLING},
        "about": about,
    }
    tensors = {
        f"{name}.{key}": value.detach().cpu().contiguous().clone()
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    with atomic_write(folder / WEIGHTS) as partial:
        save_file(tensors, partial)
    for picture in shown.pictures:
        with atomic_write(folder / picture.name) as partial:
            partial.write_bytes(picture.read_bytes())
    with atomic_write(folder / CARD) as partial:
        partial.write_text(model_card(networks, about, shown), encoding="utf-8")
    with atomic_write(folder / CONFIG) as partial:
        partial.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def _check_replaceable(folder: Path) -> None:
    held = [name for name in (CONFIG, WEIGHTS, CARD) if (folder / name).exists()]
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8")) if held else {}
        ours = not held or {"format", "autoencoder"} <= set(config)
    except (OSError, ValueError, TypeError, RecursionError):
        ours = False
    if not ours:
        problem = f"holds {held[0]}, which is not of a saved pipeline"
        raise InvalidArgumentError("VideoPipeline.folder", folder, problem, "Name another folder.")


def _about(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint says of its training: data, steps, the monitored metric."""
    about: dict[str, Any] = {"steps": int(checkpoint.get("global_step", 0))}
    for key in ("data_config", "encoded_data_config"):
        if isinstance(checkpoint.get(key), Mapping):
            about["data"] = described_data(checkpoint[key])
    for state in checkpoint.get("callbacks", {}).values():
        table = state if isinstance(state, Mapping) else {}
        score, monitor = table.get("current_score"), table.get("monitor")
        if isinstance(score, torch.Tensor) and score.numel() == 1 and isinstance(monitor, str):
            with contextlib.suppress(RuntimeError, TypeError):  # of a type that is no number
                about["metrics"] = {monitor: float(score)} if score.isfinite() else {}
    return about
