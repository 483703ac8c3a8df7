"""What to type next, at the end of a command. Each line can be pasted into a shell.

The commands follow from what was trained (the autoencoder, the data), not from the configurations that were named: they
are right after a resumed run, too, and for checkpoints made in Python.
"""

from __future__ import annotations

import inspect
import json
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from lightning import LightningModule

from pvdm_lightning.cli.console.output import relative
from pvdm_lightning.cli.shipped_configs import config_folder, find_config
from pvdm_lightning.foreign_config import argument_types
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.pipeline.public_classes import DATA_MODULES, find_class
from pvdm_lightning.pipeline.runs import CHECKPOINTS, LAST, LATEST
from pvdm_lightning.training import AutoencoderModule

Rows = list[tuple[str, str]]
Data = Mapping[str, Any]
"""A data section as plain values, {class_path, init_args}."""
_OF_THE_RUN = ("batch_size", "drop_last", "num_workers", "prefetch_factor", "pin_memory")
"""Arguments of data that say how a stage reads them, not what they are."""


def option(name: str, value: object) -> str:
    """An option with its value, quoted for the shell; a path that begins like an option or a variable gets ./ first."""
    if value is None or isinstance(value, bool):
        text = {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, Mapping | list | tuple):
        text = json.dumps(value, ensure_ascii=False)
    else:
        text = _apart(str(value))
    return f"{name}={shlex.quote(text)}" if text.startswith("-") else f"{name} {shlex.quote(text)}"


def shell_path(path: str | Path) -> str:
    """A path from here, quoted for the shell."""
    return shlex.quote(_apart(str(relative(path))))


def _apart(text: str) -> str:
    try:
        return f"./{text}" if re.match(r"[-~$]\D|[~$]", text) and Path(text).exists() else text
    except (OSError, ValueError):  # longer than a path may be, or with a character that none may have
        return text


def shortest(checkpoint: str | Path) -> str:
    """A checkpoint by its run, if it is the last of the latest run of its name."""
    path = Path(checkpoint)
    runs = path.parents[2] if len(path.parents) > 2 else path.parent
    latest = runs / LATEST
    is_latest = path.parent.name == CHECKPOINTS and path.name == LAST and latest.resolve() == path.parent.resolve()
    return str(relative(latest if is_latest else path))


def after_training(
    module: LightningModule, checkpoint: str, data: Data | None, recorded: Data | None, encoded: Data | None = None
) -> Rows:
    """Look at what a checkpoint makes, measure it, and train stage two on stage one.

    Args:
        module: That wrote or read the checkpoint.
        checkpoint: Its path, or its name on the command line.
        data: The data that it was trained on, or that it was just used with.
        recorded: The data that the checkpoint itself names.
        encoded: The videos behind `data` where those are cached latents.
    """
    model = option("--ckpt_path", shortest(checkpoint))
    network = module.autoencoder if isinstance(module, AutoencoderModule) else None
    stage_one = network is not None
    more = [] if data == recorded else _data_options(data, {})
    name = "reconstructions" if stage_one else "samples"
    look = ["pvdm predict", model, *(more if stage_one else []), option("--output.dir", _fresh(name))]
    measured = more
    if encoded is not None:
        measured = _data_options(encoded, {})
    measure = ["pvdm test", model, *measured]
    if data is not None and data["class_path"] not in DATA_MODULES and not measured:
        trusted = option("--trust_class", data["class_path"])
        look, measure = [*look, trusted], [*measure, trusted]
    rows = [(name, " ".join(look)), ("measure", " ".join(measure))]
    if network is not None:
        rows.append(("stage two", _stage_two(network, checkpoint, data)))
    return rows


def after_encoding(folder: str, network: VideoAutoencoder, first_stage: str | None) -> Rows:
    """Train on the latents of a folder.

    Args:
        folder: Folder of the cache.
        network: That encoded.
        first_stage: Its checkpoint of stage one; None if the file is not here, without which no run starts.
    """
    if first_stage is None or not Path(first_stage).exists():
        return [("latents", shell_path(folder))]
    cached = {"class_path": "pvdm_lightning.CachedLatents", "init_args": {"root": str(relative(folder))}}
    return [("stage two", _stage_two(network, first_stage, cached))]


def after_import(paths: Sequence[Path]) -> Rows:
    """Look at what released weights make; those of stage one alone need videos."""
    rows = [("checkpoint", str(path)) for path in paths]
    two = len(paths) > 1
    videos = [] if two else ["--data UCF101 --data.root data/UCF-101"]
    output = option("--output.dir", _fresh("samples" if two else "reconstructions"))
    return [*rows, ("look", " ".join(["pvdm predict", option("--ckpt_path", relative(paths[-1])), *videos, output]))]


def after_checking() -> Rows:
    """Train on the set that was checked, named as on the command line."""
    args = iter(sys.argv[2:])
    kept = []
    for arg in args:
        if arg in ("--report", "--lock", "--cuts"):
            next(args, None)
        elif not arg.startswith(("--report=", "--lock=", "--cuts=")):
            kept.append(shlex.quote(arg))
    return [("train", " ".join(["pvdm fit --config ae.yaml", *kept]))]


def _stage_two(network: VideoAutoencoder, checkpoint: str, data: Data | None) -> str:
    """The command that trains stage two on an autoencoder."""
    configs = _fitting(network)
    needs_normalized = network.zero_mean_motion
    if needs_normalized and not _arguments(configs, "model").get("normalize_latents"):
        configs.append("model/ldm_few_steps.yaml")  # the recipe that goes with the autoencoder's
    model = _arguments(configs, "model")
    more = [] if model.get("normalize_latents") or not needs_normalized else ["--model.normalize_latents true"]
    denoiser = find_class(model["denoiser"]["class_path"])
    channels = {"latent_channels": network.latent_channels}
    more += _differing("--model.denoiser", channels, model["denoiser"]["init_args"], denoiser)
    if data is not None:
        configs += _data_preset(data, configs)
        more = [*_data_options(data, _arguments(configs, "data"), configs), *more]
    named = [option("--config", name) for name in configs]
    return " ".join(["pvdm fit", *named, *more, option("--model.autoencoder_checkpoint", shortest(checkpoint))])


def _fitting(network: VideoAutoencoder) -> list[str]:
    """The configurations of stage two for an autoencoder as wide as this: those that go with the least one so wide."""
    for first, second in (("demo_ae.yaml", ["demo_ldm.yaml"]), ("model/ae_64.yaml", ["ldm.yaml", "model/ldm_64.yaml"])):
        preset = _arguments([first], "model").get("autoencoder", {}).get("init_args", {})
        if network.config["dim"] <= preset.get("dim", 0):
            return second
    return ["ldm.yaml"]


def _data_preset(data: Data, configs: Sequence[str]) -> list[str]:
    """The preset of the data's class that has most in common with it; none if the configurations name the class."""
    if _node(configs, "data").get("class_path") == data["class_path"]:
        return []
    folder = config_folder()
    presets = [str(path.relative_to(folder)) for path in sorted((folder / "data").glob("*.yaml"))]
    presets = [name for name in presets if _node([name], "data").get("class_path") == data["class_path"]]

    def in_common(name: str) -> int:
        return sum(data["init_args"].get(key) == value for key, value in _arguments([name], "data").items())

    return [max(presets, key=in_common)] if presets else []


def _data_options(data: Data | None, given: Mapping[str, Any], configs: Sequence[str] = ()) -> list[str]:
    """Options that name a set of data, beside what configurations give."""
    if data is None:
        return []
    cls = find_class(data["class_path"])
    known = configs and _node(configs, "data").get("class_path") == data["class_path"]
    public = data["class_path"] in DATA_MODULES
    name = [] if known else [option("--data", cls.__name__ if public else data["class_path"])]
    arguments = {key: value for key, value in (data.get("init_args") or {}).items() if key not in _OF_THE_RUN}
    return name + _differing("--data", arguments, given, cls)


def _differing(prefix: str, wanted: Mapping[str, Any], given: Mapping[str, Any], cls: type) -> list[str]:
    """Options for arguments that are neither given nor the default of a class."""
    found = []
    for key, value in wanted.items():
        defaults = [
            parameter.default
            for base in cls.__mro__
            if "__init__" in vars(base) and (parameter := inspect.signature(base).parameters.get(key)) is not None
        ]
        default = given[key] if key in given else next(iter(defaults), None)
        if _plain(value) != _plain(default):
            found.append(option(f"{prefix}.{key}", value))
    return found


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _arguments(configs: Iterable[str], section: str) -> dict[str, Any]:
    return dict(_node(configs, section).get("init_args", {}))


def _node(configs: Iterable[str], section: str) -> dict[str, Any]:
    """A section of configurations as they are merged: a class that follows keeps the arguments that it takes, too."""
    merged: dict[str, Any] = {}
    for name in configs:
        node = yaml.safe_load(Path(find_config(name)).read_text(encoding="utf-8")).get(section) or {}
        if node.get("class_path", merged.get("class_path")) != merged.get("class_path"):
            taken = argument_types(find_class(node["class_path"]))
            kept = {key: value for key, value in merged.get("init_args", {}).items() if key in taken}
            merged = {"class_path": node["class_path"], "init_args": kept}
        merged = _merge(merged, node)
    return merged


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(below)
    for key, value in above.items():
        nested = isinstance(value, Mapping) and isinstance(both.get(key), Mapping)
        both[key] = _merge(both[key], value) if nested else value
    return both


def _fresh(name: str) -> str:
    """A name for a folder of outputs that is not there yet."""
    number, found = 1, name
    while Path(found).exists():
        number += 1
        found = f"{name}-{number}"
    return found
