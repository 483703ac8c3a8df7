"""The protocol: what a metric depends on, in plain values."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from pvdm_lightning.metrics import FrozenNetwork

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
