"""The classes that a checkpoint may name, by their public paths."""

from __future__ import annotations

from typing import Any

from torch import nn

from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.unet import TriplaneUNet

PACKAGE = "pvdm_lightning"
NETWORKS: dict[str, type[nn.Module]] = {
    f"{PACKAGE}.VideoAutoencoder": VideoAutoencoder,
    f"{PACKAGE}.TriplaneUNet": TriplaneUNet,
}
"""Networks that are built from a checkpoint: looked up here, never imported by name."""
MODULES = (f"{PACKAGE}.AutoencoderModule", f"{PACKAGE}.LatentDiffusionModule")
DATA_MODULES = tuple(
    f"{PACKAGE}.{name}"
    for name in ("CachedLatents", "FrameFolder", "SkyTimelapse", "Synthetic", "UCF101", "VideoFolder")
)


def class_path(cls: type) -> str:
    """The name by which YAML and checkpoints call a class: a public one, whatever file it is in, if it has one."""
    public = f"{PACKAGE}.{cls.__qualname__}"
    known = cls.__module__.startswith(f"{PACKAGE}.") and public in (*NETWORKS, *MODULES, *DATA_MODULES)
    return public if known else f"{cls.__module__}.{cls.__qualname__}"


def build_network(node: dict[str, Any]) -> nn.Module:
    """Build the network that a checkpoint describes, without its weights.

    Args:
        node: {class_path, init_args}.

    Raises:
        ValueError: It names a class that is not in the table.
    """
    name = node["class_path"]
    if name not in NETWORKS:
        raise ValueError(f"names the network {name}, which is not one of {', '.join(NETWORKS)}")
    return NETWORKS[name](**node["init_args"])
