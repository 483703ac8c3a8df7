"""Projected latent video diffusion (PVDM, CVPR 2023) in PyTorch Lightning: the public Python API.

Names are imported on first use, so that `import pvdm_lightning` is fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pvdm_lightning.data.datamodules.array_folder import ArrayFolder as ArrayFolder
    from pvdm_lightning.data.datamodules.cached_latents import CachedLatents as CachedLatents
    from pvdm_lightning.data.datamodules.frame_folder import FrameFolder as FrameFolder
    from pvdm_lightning.data.datamodules.sky_timelapse import SkyTimelapse as SkyTimelapse
    from pvdm_lightning.data.datamodules.synthetic import Synthetic as Synthetic
    from pvdm_lightning.data.datamodules.ucf101 import UCF101 as UCF101
    from pvdm_lightning.data.datamodules.video_folder import VideoFolder as VideoFolder
    from pvdm_lightning.data.output.writing import write_video as write_video
    from pvdm_lightning.data.videos.reading import read_video as read_video
    from pvdm_lightning.diffusion import NoiseSchedule as NoiseSchedule
    from pvdm_lightning.diffusion.samplers import DDIMSampler as DDIMSampler
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

PUBLIC = {
    "ArrayFolder": "data.datamodules.array_folder",
    "AutoencoderLoss": "losses",
    "AutoencoderModule": "training",
    "CachedLatents": "data.datamodules.cached_latents",
    "Denoiser": "models.denoiser",
    "DDIMSampler": "diffusion.samplers",
    "FrameFolder": "data.datamodules.frame_folder",
    "InvalidArgumentError": "errors",
    "LatentDiffusionModule": "training",
    "NoiseSchedule": "diffusion",
    "SkyTimelapse": "data.datamodules.sky_timelapse",
    "Synthetic": "data.datamodules.synthetic",
    "Triplane": "models.triplane",
    "TriplaneShape": "models.triplane",
    "TriplaneUNet": "models.unet",
    "UCF101": "data.datamodules.ucf101",
    "VideoAutoencoder": "models.autoencoder",
    "VideoFolder": "data.datamodules.video_folder",
    "VideoPipeline": "pipeline",
    "read_video": "data.videos.reading",
    "write_video": "data.output.writing",
}
"""Public names -> the modules they are in. A file may name the networks, modules, losses and data sets among them."""
__all__ = ["__version__", *sorted(PUBLIC)]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib import metadata

        return metadata.version("pvdm-lightning")
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return __all__
