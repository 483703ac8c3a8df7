"""Projected latent video diffusion (PVDM, CVPR 2023) in PyTorch Lightning: the public Python API.

Names are imported on first use, so that `import pvdm_lightning` is fast.
"""

from importlib import import_module, metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pvdm_lightning.data import UCF101 as UCF101
    from pvdm_lightning.data import CachedLatents as CachedLatents
    from pvdm_lightning.data import FrameFolder as FrameFolder
    from pvdm_lightning.data import SkyTimelapse as SkyTimelapse
    from pvdm_lightning.data import Synthetic as Synthetic
    from pvdm_lightning.data import VideoFolder as VideoFolder
    from pvdm_lightning.data.videos.reading import read_video as read_video
    from pvdm_lightning.data.videos.writing import write_video as write_video
    from pvdm_lightning.diffusion import DDIMSampler as DDIMSampler
    from pvdm_lightning.diffusion import NoiseSchedule as NoiseSchedule
    from pvdm_lightning.errors import InvalidArgumentError as InvalidArgumentError
    from pvdm_lightning.losses import AutoencoderLoss as AutoencoderLoss
    from pvdm_lightning.models.autoencoder import VideoAutoencoder as VideoAutoencoder
    from pvdm_lightning.models.denoiser import Denoiser as Denoiser
    from pvdm_lightning.models.triplane import Triplane as Triplane
    from pvdm_lightning.models.triplane import TriplaneShape as TriplaneShape
    from pvdm_lightning.models.unet import TriplaneUNet as TriplaneUNet
    from pvdm_lightning.pipeline import VideoPipeline as VideoPipeline
    from pvdm_lightning.training import AutoencoderModule as AutoencoderModule
    from pvdm_lightning.training import LatentDiffusionModule as LatentDiffusionModule

_MODULES = {
    "AutoencoderLoss": "losses",
    "AutoencoderModule": "training",
    "CachedLatents": "data",
    "Denoiser": "models.denoiser",
    "DDIMSampler": "diffusion",
    "FrameFolder": "data",
    "InvalidArgumentError": "errors",
    "LatentDiffusionModule": "training",
    "NoiseSchedule": "diffusion",
    "SkyTimelapse": "data",
    "Synthetic": "data",
    "Triplane": "models.triplane",
    "TriplaneShape": "models.triplane",
    "TriplaneUNet": "models.unet",
    "UCF101": "data",
    "VideoAutoencoder": "models.autoencoder",
    "VideoFolder": "data",
    "VideoPipeline": "pipeline",
    "read_video": "data.videos.reading",
    "write_video": "data.videos.writing",
}
__all__ = ["__version__", *sorted(_MODULES)]


def __getattr__(name: str) -> object:
    if name == "__version__":
        return metadata.version("pvdm-lightning")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
