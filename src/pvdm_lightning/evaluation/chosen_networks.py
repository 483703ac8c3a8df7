"""Networks of an evaluation by name: those that a protocol measures with, whichever others are there."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace

from pvdm_lightning.convert import ORIGINAL_I3D, STRETCHED_I3D
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.feature_networks import FoundNetworks, SkippedMetric
from pvdm_lightning.evaluation.figures import MOTION
from pvdm_lightning.metrics import (
    C3D_MMACTION,
    C3D_UCF101,
    FRAME_DIFFERENCES,
    STYLEGAN_V_I3D,
    TRANSNETV2,
    VIDEOMAE_SSV2,
    VJEPA_SSV2,
)

NETWORKS = {
    ORIGINAL_I3D.name: "with FeatureNetworks.i3d_resize crop",
    STRETCHED_I3D.name: "with FeatureNetworks.i3d_resize stretch",
    STYLEGAN_V_I3D.name: "",
    TRANSNETV2.name: "",
    VIDEOMAE_SSV2.name: "if FeatureNetworks.videomae names its file",
    VJEPA_SSV2.name: "if FeatureNetworks.vjepa names its file",
    C3D_UCF101.name: "",
    C3D_MMACTION.name: "",
}
"""Names of the networks that may be chosen -> under which condition they are looked for."""


def published_name(name: str) -> str:
    """The name of a network without the remark that its file is not verified."""
    return name.split(" (un")[0]


def check_networks(argument: str, names: Sequence[str]) -> None:
    """Raise `InvalidArgumentError` for a name that no network has."""
    for name in names:
        if name not in NETWORKS:
            near = difflib.get_close_matches(name, NETWORKS, n=1)
            meant = f"Did you mean {near[0]}? " if near else ""
            remedy = f"{meant}There are {', '.join(NETWORKS)}."
            raise InvalidArgumentError(argument, name, "is no network of a metric", remedy)


def choose_networks(found: FoundNetworks, names: Sequence[str] | None, distances: Sequence[str]) -> FoundNetworks:
    """Those of some names, and frame differences where motion is asked for.

    Motion goes with distances: where no network can measure these, samples are not drawn for it, unless nothing else
    was asked for. LPIPS, which is no network of a distribution, stays.

    Args:
        found: All that are there.
        names: Keys of `NETWORKS`; None for all.
        distances: Names of what is measured.
    """
    chosen = _named(found, names) if names is not None else found
    if {*distances} == {MOTION}:
        return replace(chosen, video=[FRAME_DIFFERENCES], skipped=[one for one in chosen.skipped if _is_other(one)])
    if MOTION not in distances:
        return chosen
    if chosen.video:
        return replace(chosen, video=[*chosen.video, FRAME_DIFFERENCES])
    reason = "it goes with distances, of which none can be measured; by itself it needs no network."
    return replace(chosen, skipped=[*chosen.skipped, SkippedMetric(MOTION, reason)])


def _is_other(skipped: SkippedMetric) -> bool:
    """Whether a metric that was left out is none of the distances."""
    return skipped.name.startswith(("IS", "LPIPS"))


def _named(found: FoundNetworks, names: Sequence[str]) -> FoundNetworks:
    video, c3d = (
        [network for network in networks if published_name(network.name) in names]
        for networks in (found.video, found.c3d)
    )
    skipped = [one for one in found.skipped if "LPIPS" in one.name or one.name.endswith(tuple(f"({n})" for n in names))]
    there = {published_name(network.name) for network in (*video, *c3d)}
    listed = " ".join(one.name for one in skipped)
    for name in names:
        if name not in there and NETWORKS[name] and f"({name})" not in listed:
            skipped.append(SkippedMetric(name, f"it is looked for {NETWORKS[name]}."))
    return replace(found, video=video, c3d=c3d, skipped=skipped)
