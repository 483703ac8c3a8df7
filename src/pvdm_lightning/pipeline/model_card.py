"""The model card of a saved pipeline, with the sections and the front matter that model hubs read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.escaping import markdown_code, one_line
from pvdm_lightning.foreign_config import is_number
from pvdm_lightning.foreign_files import read_json

UNKNOWN = "not recorded"
_CARD = """\
---
library_name: pvdm_lightning
pipeline_tag: {task}
tags: [video-generation, diffusion, pvdm]
---

# Projected latent video diffusion
{pictures}
Clips of {frames} frames of {height} x {width} pixels. Parts: {parts}.

## Use

```python
from pvdm_lightning import VideoPipeline

pipeline = VideoPipeline.from_pretrained("{name}")
{call}
```

The files hold weights (safetensors) and configuration; loading them runs no code of theirs.

## Model

{description} Parameters: {sizes}.

## Training

- Trained on: {data}
- Data options: {options}
- Optimizer steps: {steps}

## Evaluation

- Metrics: {metrics}
{table}
## Limitations

{limits}

Intended use, biases of the training data and their licence: {unknown}; fill them in before you share the model.

## Citation

```bibtex
@inproceedings{{yu2023video,
  title     = {{Video Probabilistic Diffusion Models in Projected Latent Space}},
  author    = {{Yu, Sihyun and Sohn, Kihyuk and Kim, Subin and Shin, Jinwoo}},
  booktitle = {{CVPR}},
  year      = {{2023}}
}}
```
"""


_NO_TABLE = "\n`pvdm test` measures by the protocols of the literature; save with its report to have the table here.\n"


@dataclass(frozen=True)
class Shown:
    """What a card shows beside what the pipeline knows of itself.

    Attributes:
        pictures: Files of pictures (png, jpg, gif, webp).
        metrics: Values by name, with the network that measured and the counts where a report says them.
        name: What `from_pretrained` takes, for the example.
    """

    pictures: Sequence[Path] = ()
    metrics: Sequence[tuple[str, float, str]] = field(default_factory=list)
    name: str = "this/folder"

    @classmethod
    def of(
        cls,
        pictures: Sequence[str | Path] = (),
        metrics: Mapping[str, float] | str | Path | None = None,
        name: str = "this/folder",
    ) -> Shown:
        """What a user gives, checked.

        Args:
            pictures: Paths of pictures.
            metrics: Values by name, or the path of a report that `pvdm test` or `pvdm evaluate` wrote.
            name: As `name` of this class.

        Raises:
            InvalidArgumentError: A picture or the report is not there, or is something else.
        """
        paths = [Path(picture) for picture in pictures]
        for path in paths:
            if path.suffix.lower() not in _PICTURES or not path.is_file():
                problem = "is no file of a picture"
                raise InvalidArgumentError("VideoPipeline.pictures", path, problem, f"Give {', '.join(_PICTURES)}.")
        if len({path.name for path in paths}) < len(paths):
            problem = "have the same names"
            raise InvalidArgumentError("VideoPipeline.pictures", pictures, problem, "Give them different names.")
        if metrics is None:
            return cls(paths, (), name)
        if isinstance(metrics, Mapping):
            return cls(paths, [(key, float(value), "") for key, value in metrics.items()], name)
        return cls(paths, _metrics_of(Path(metrics)), name)


_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp")


def _metrics_of(report: Path) -> list[tuple[str, float, str]]:
    """Names, values and how they were measured, of a report.

    Raises:
        InvalidArgumentError: It is no report.
    """
    try:
        rows = []
        for metric in read_json(report)["metrics"]:
            network, counts = metric.get("network") or {}, (metric.get("real_videos"), metric.get("generated_videos"))
            said = [str(network["name"])] if "name" in network else []
            said += [f"{count} {side}" for count, side in zip(counts, ("real", "generated")) if count is not None]
            if not is_number(metric["value"]):
                raise ValueError("a value is no number")
            rows.append((str(metric["name"]), float(metric["value"]), ", ".join(said)))
        return rows
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        problem = f"is no report ({one_line(getattr(error, 'strerror', None) or error, 80)})"
        remedy = "Give values by name, or the JSON file that `pvdm test` or `pvdm evaluate` wrote."
        raise InvalidArgumentError("VideoPipeline.metrics", report, problem, remedy) from error


def model_card(networks: Mapping[str, nn.Module], about: Mapping[str, Any], shown: Shown) -> str:
    """The card as Markdown; what is not known says so.

    Args:
        networks: Parts of the pipeline, by name.
        about: steps, data and metrics, as far as its checkpoint recorded them.
        shown: Pictures and metrics that a user adds.
    """
    autoencoder: Any = networks["autoencoder"]
    frames, height, width = autoencoder.clip_shape
    data, metrics = about.get("data") or {}, about.get("metrics") or {}
    samples = "denoiser" in networks
    options = data.get("init_args") or {}
    # A path says nothing to others, and may say too much.
    shared = {key: value for key, value in options.items() if value is not None and key != "root"}
    rows = [
        f"| {markdown_code(name)} | {value:.4g} | {markdown_code(how) if how else ''} |"
        for name, value, how in shown.metrics
    ]
    return _CARD.format(
        name=shown.name,
        pictures="".join(f"\n![{path.stem}](<{path.name}>)\n" for path in shown.pictures),
        table="\n".join(["", "| metric | value | measured with |", "|---|---|---|", *rows, ""]) if rows else _NO_TABLE,
        task="unconditional-video-generation" if samples else "video-to-video",
        frames=frames,
        height=height,
        width=width,
        parts=", ".join(networks),
        call="video = pipeline.sample(num_videos=4)  # uint8 [4, 3, frames, height, width]"
        if samples
        else "reconstruction = pipeline.reconstruct(clips)  # uint8 [B, 3, frames, height, width]",
        description="A video autoencoder projects a clip onto three 2D latent planes"
        + (", and a 2D U-Net shared by the planes denoises them, alone or given the clip before." if samples else "."),
        sizes=", ".join(
            f"{name} {sum(p.numel() for p in network.parameters()) / 1e6:.3g} M"
            for name, network in networks.items()
            if any(True for _ in network.parameters())
        ),
        data=markdown_code(data["class_path"]) if data.get("class_path") else UNKNOWN,
        options=", ".join(markdown_code(f"{key} {value}") for key, value in shared.items()) or UNKNOWN,
        steps=about.get("steps", UNKNOWN),
        metrics=", ".join(markdown_code(f"{name} {value:.4g}") for name, value in metrics.items()) or UNKNOWN,
        limits="It knows clips of this size only, and videos like those it was trained on. Beyond "
        f"{frames} frames each clip is drawn given the one before it, so that details drift in long videos."
        if samples
        else "It reconstructs clips of this size, and videos like those it was trained on.",
        unknown=UNKNOWN,
    )
