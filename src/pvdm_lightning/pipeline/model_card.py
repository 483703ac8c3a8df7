"""The model card of a saved pipeline, with the sections and the front matter that model hubs read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from pvdm_lightning.escaping import markdown_code

UNKNOWN = "not recorded"
_CARD = """\
---
library_name: pvdm_lightning
pipeline_tag: {task}
tags: [video-generation, diffusion, pvdm]
---

# Projected latent video diffusion

Clips of {frames} frames of {height} x {width} pixels. Parts: {parts}.

## Use

```python
from pvdm_lightning import VideoPipeline

pipeline = VideoPipeline.from_pretrained("this/folder")
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

`pvdm test` measures FVD and the Inception Score by the protocols of the literature; add its table here.

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


def model_card(networks: Mapping[str, nn.Module], about: Mapping[str, Any]) -> str:
    """The card as Markdown; what is not known says so.

    Args:
        networks: Parts of the pipeline, by name.
        about: steps, data and metrics, as far as its checkpoint recorded them.
    """
    autoencoder: Any = networks["autoencoder"]
    frames, height, width = autoencoder.clip_shape
    data, metrics = about.get("data") or {}, about.get("metrics") or {}
    samples = "denoiser" in networks
    options = data.get("init_args") or {}
    # A path says nothing to others, and may say too much.
    shared = {key: value for key, value in options.items() if value is not None and key != "root"}
    return _CARD.format(
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
