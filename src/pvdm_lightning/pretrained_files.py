"""The files of others that this project can use: where they are published, their size and SHA-256."""

from __future__ import annotations

from typing import NamedTuple

PVDM_README = "https://github.com/sihyun-yu/PVDM#4-evaluation"


class PretrainedFile(NamedTuple):
    """A published file.

    Attributes:
        name: Of the file.
        purpose: What it is for.
        page: Where it is published.
        url: Address of the file itself; None where a browser is needed.
        size: Bytes; None where they are not on record.
        sha256: Hexadecimal, or as many of its first digits as are on record; None where there are none.
        in_cache: Whether it is looked for in the cache folder; the released PVDM weights are given by their path.
    """

    name: str
    purpose: str
    page: str
    url: str | None
    size: int | None
    sha256: str | None
    in_cache: bool = True


_OPENMMLAB = (
    "https://download.openmmlab.com/mmaction/v1.0/recognition/c3d/c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb"
)
FILES = {
    file.name: file
    for file in (
        PretrainedFile(
            "vgg16-397923af.pth",
            "LPIPS: the loss of stage one, and the metric",
            "https://download.pytorch.org/models/vgg16-397923af.pth",
            "https://download.pytorch.org/models/vgg16-397923af.pth",
            553_433_881,
            "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        ),
        PretrainedFile(
            "i3d_torchscript.pt",
            "FVD and R-FVD as StyleGAN-V reports them",
            "https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1",
            "https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1",
            51_235_320,
            "bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2",
        ),
        PretrainedFile(
            "i3d_pretrained_400.pt",
            "FVD and R-FVD as PVDM reports them",
            "https://drive.google.com/file/d/1mQK8KD8G6UWRa5t87SRMm5PVXtlpneJT (VideoGPT)",
            None,
            None,
            None,
        ),
        PretrainedFile(
            "c3d_ucf101.pt",
            "Inception Score of the literature",
            "https://www.dropbox.com/s/jxpu7avzdc9n97q/c3d_ucf101.pt?dl=1",
            "https://www.dropbox.com/s/jxpu7avzdc9n97q/c3d_ucf101.pt?dl=1",
            None,
            None,
        ),
        PretrainedFile(
            "c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb_20220811-31723200.pth",
            "Inception Score under another name, by a file that runs no code",
            f"{_OPENMMLAB}/",
            f"{_OPENMMLAB}/c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb_20220811-31723200.pth",
            None,
            "31723200",
        ),
        PretrainedFile(
            "model_last.pth", "the authors' autoencoder, for pvdm import-original", PVDM_README, None, None, None, False
        ),
        PretrainedFile(
            "ema_model_850000.pth",
            "the authors' diffusion model, for pvdm import-original",
            PVDM_README,
            None,
            None,
            None,
            False,
        ),
    )
}
"""By name."""
