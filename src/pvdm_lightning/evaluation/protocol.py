"""The protocol: what a metric depends on, in plain values."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from pvdm_lightning.data.clips.clip_dataset import ClipDataset
from pvdm_lightning.data.index.video_info import DecodeError
from pvdm_lightning.metrics import FrozenNetwork

CROP = "centre crop to the aspect of the resolution, then antialiased bilinear resize, in uint8"
_PACKAGES = ("pvdm-lightning", "torch", "torchvision", "lightning", "torchmetrics", "lpips", "numpy", "av", "decord")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that metrics depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "absent"
    return found


def network_record(network: FrozenNetwork) -> dict[str, str | None]:
    """The weights that a metric was measured with."""
    return {
        "name": network.name,
        "file": network.path.name if network.path else None,
        "sha256": network.sha256,
    }


def protocol_hash(protocol: Mapping[str, Any]) -> str:
    """A hash of 12 hexadecimal digits; equal protocols have equal hashes."""
    return hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()[:12]


def clips_record(dataset: ClipDataset) -> dict[str, Any]:
    """Which clips of which videos a data set gives, and how they are cut; all that shapes their pixels."""
    windows = dataset.windows
    return {
        "frames": windows.frames,
        "stride": windows.stride,
        "resolution": list(dataset.resolution),
        "crop": CROP,
        "start": f"random, seed {dataset.seed}" if dataset.random_start else "centred",
        "usable_videos": len(dataset),
        "fingerprint": fingerprint(dataset),
    }


def fingerprint(dataset: ClipDataset) -> str:
    """A hash of 20 hexadecimal digits over the names, lengths and files of the videos and the pixels of one clip."""
    digest = hashlib.sha256()
    source = dataset.source
    digest.update(dataset.videos.tobytes())
    digest.update(source.lengths.tobytes())
    digest.update(source.stamps())
    for index in range(len(source.lengths)):
        digest.update(source.name(index).encode("utf-8", "surrogateescape"))
    if len(dataset):
        try:
            # Also a decoder or a drawing that changed shows here.
            digest.update(dataset[0, 0, 0]["clip"].numpy().tobytes())
        except DecodeError as error:
            digest.update(str(error).encode())
    return digest.hexdigest()[:20]
