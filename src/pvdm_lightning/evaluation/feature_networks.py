"""The published networks that an evaluation measures with: where their files are, and what goes without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pvdm_lightning.convert import ORIGINAL_I3D
from pvdm_lightning.metrics import C3D_MMACTION, C3D_UCF101, LPIPS_ALEXNET, LPIPS_VGG16, STYLEGAN_V_I3D, FrozenNetwork
from pvdm_lightning.metrics.published_network import PublishedNetwork, UntrustedFileError
from pvdm_lightning.pretrained import find_weights


class SkippedMetric(NamedTuple):
    """A metric that was not measured."""

    name: str
    reason: str


@dataclass(frozen=True)
class FoundNetworks:
    """The networks that are there, opened.

    Attributes:
        i3d: Feature networks of FVD; each gives metrics of its own.
        c3d: Classifiers of the Inception Score, likewise.
        lpips: Distance of LPIPS with VGG-16.
        lpips_alex: The same with AlexNet.
        skipped: Metrics without a file, with the remedy.
    """

    i3d: Sequence[FrozenNetwork] = ()
    c3d: Sequence[FrozenNetwork] = ()
    lpips: FrozenNetwork | None = None
    lpips_alex: FrozenNetwork | None = None
    skipped: Sequence[SkippedMetric] = ()


_NETWORKS = (
    (ORIGINAL_I3D, "i3d"),
    (STYLEGAN_V_I3D, "i3d_stylegan_v"),
    (C3D_UCF101, "c3d"),
    (C3D_MMACTION, "c3d_mmaction"),
    (LPIPS_VGG16, "lpips"),
    (LPIPS_ALEXNET, "lpips_alex"),
)


@dataclass(frozen=True)
class FeatureNetworks:
    """Files of the metric networks; by default from the cache folder. Metrics without a file are skipped.

    Args:
        i3d: The original's I3D, i3d_pretrained_400.pt: FVD as PVDM reports it.
        i3d_stylegan_v: StyleGAN-V's I3D, i3d_torchscript.pt: FVD as StyleGAN-V reports it. It is a program.
        c3d: c3d_ucf101.pt: the Inception Score of the literature. It is a program of which no hash is published: one
            in the cache folder runs if `trust_file` names it.
        c3d_mmaction: C3D of MMAction2, a plain state dict: an Inception Score under another name.
        lpips: vgg16-397923af.pth, for LPIPS of reconstructions.
        lpips_alex: alexnet-owt-7be5be79.pth, for LPIPS with AlexNet in `pvdm evaluate --paired`.
        trust_file: Programs (TorchScript) in the cache folder to run although their SHA-256 is not the published one: a
            path, or several such as [a.pt,b.pt].
    """

    i3d: str | None = None
    i3d_stylegan_v: str | None = None
    c3d: str | None = None
    c3d_mmaction: str | None = None
    lpips: str | None = None
    lpips_alex: str | None = None
    trust_file: list[str] | str | None = None

    def find(
        self, fvd: str = "", inception_score: bool = False, lpips: bool = False, lpips_alex: bool = False
    ) -> FoundNetworks:
        """Open what the metrics asked for need, before any long work.

        Args:
            fvd: Name of the Frechet distance ("FVD", "R-FVD"); "" for none.
            inception_score: Whether it is asked for.
            lpips: Whether it is asked for.
            lpips_alex: Likewise.

        Raises:
            InvalidArgumentError: A file given is missing or is not the network's.
        """
        for published, option in _NETWORKS:  # also those that are not asked for: a path that is wrong is a mistake
            if getattr(self, option) is not None:
                find_weights(published.file_name, getattr(self, option), f"FeatureNetworks.{option}")
        skipped: list[SkippedMetric] = []
        trusted = [self.trust_file] if isinstance(self.trust_file, str) else self.trust_file or []

        def found(name: str, *wanted: tuple[PublishedNetwork, str]) -> list[FrozenNetwork]:
            networks = []
            for published, option in wanted:
                argument, given = f"FeatureNetworks.{option}", getattr(self, option)
                try:
                    network = published.find(given, argument, trusted)
                except UntrustedFileError as error:
                    reason = f"{error.value} {error.problem}. {error.remedy}"
                    skipped.append(SkippedMetric(f"{name} ({published.name})", reason))
                    continue
                if network is None:
                    skipped.append(
                        SkippedMetric(f"{name} ({published.name})", published.remedy(f"FeatureNetworks.{option}"))
                    )
                else:
                    networks.append(network)
            return networks

        i3d = found(fvd, (ORIGINAL_I3D, "i3d"), (STYLEGAN_V_I3D, "i3d_stylegan_v")) if fvd else []
        c3d = found("IS", (C3D_UCF101, "c3d"), (C3D_MMACTION, "c3d_mmaction")) if inception_score else []
        distance = found("LPIPS", (LPIPS_VGG16, "lpips")) if lpips else []
        alex = found("LPIPS", (LPIPS_ALEXNET, "lpips_alex")) if lpips_alex else []
        return FoundNetworks(i3d, c3d, distance[0] if distance else None, alex[0] if alex else None, skipped)
