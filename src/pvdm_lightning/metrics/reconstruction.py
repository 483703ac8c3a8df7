"""PSNR, SSIM and LPIPS of reconstructions: computed per video, then averaged over videos.

Both sides come as uint8, as a viewer would see them; rounding a reconstruction costs 0.01 dB at 34 dB.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from pvdm_lightning.errors import InvalidArgumentError, check_videos
from pvdm_lightning.metrics.frozen_network import FrozenNetwork, exact_inference


def psnr_per_video(reconstructed: Tensor, original: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of uint8 videos [B 3 T H W] -> float32 [B].

    -10 log10 of the squared error in [0, 1] averaged over the whole video: one figure a video, not the mean over its
    frames. Identical videos give infinity.
    """
    _check_pair(reconstructed, original)
    ratio = peak_signal_noise_ratio(
        reconstructed.double() / 255, original.double() / 255, data_range=1.0, reduction="none", dim=(1, 2, 3, 4)
    )
    return ratio.float()


def _check_pair(reconstructed: Tensor, original: Tensor) -> None:
    """Raise `InvalidArgumentError` unless these are uint8 videos [B 3 T H W] of one shape."""
    for argument, videos in (("reconstructed", reconstructed), ("original", original)):
        check_videos(argument, videos, "[B 3 T H W]")
    if reconstructed.shape != original.shape:
        problem = f"is not the shape {list(original.shape)} of the originals"
        raise InvalidArgumentError("reconstructed", list(reconstructed.shape), problem, "Compare videos of one shape.")


def mean_psnr(reconstruction: Tensor, clip: Tensor) -> Tensor:
    """Mean over clips [B ...] in [-1, 1] of the PSNR in dB of pixels in [0, 1], differentiable and unrounded."""
    error = ((reconstruction - clip) / 2).square().flatten(1).mean(dim=1)
    return -10 * error.clamp_min(1e-10).log10().mean()


def ssim_per_video(reconstructed: Tensor, original: Tensor) -> Tensor:
    """Structural similarity of uint8 videos [B 3 T H W] -> float32 [B]: the mean over a video's frames.

    Gaussian window of 11 pixels, sigma 1.5, as Wang et al. (2004) have it; the whole frame counts, with reflected
    borders, as torchmetrics has it.
    """
    _check_pair(reconstructed, original)
    values = []
    with exact_inference(original.device):
        for pair in zip(reconstructed, original):
            ours, theirs = (video.transpose(0, 1).float() / 255 for video in pair)
            per_frame = structural_similarity_index_measure(ours, theirs, data_range=1.0, reduction="none")
            assert isinstance(per_frame, Tensor)
            values.append(per_frame.mean())
    return torch.stack(values)


class MeanOverVideos(Metric):
    """Mean over videos, in float64, of a value that `per_video` gives each of them.

    Args:
        per_video: Reconstructed and original uint8 videos [B 3 T H W] -> [B].
    """

    is_differentiable = False
    full_state_update = False

    total: Tensor
    count: Tensor

    def __init__(self, per_video: Callable[[Tensor, Tensor], Tensor], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.per_video = per_video
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, reconstructed: Tensor, original: Tensor) -> None:
        """Add pairs of uint8 videos [B 3 T H W] in 0..255.

        Raises:
            ValueError: The two sides do not match.
        """
        _check_pair(reconstructed, original)
        values = self.per_video(reconstructed, original)
        self.total += values.double().sum()
        self.count += len(values)

    def compute(self) -> Tensor:
        """The mean, a float64 scalar.

        Raises:
            ValueError: There were no videos.
        """
        if self.count == 0:
            raise ValueError("a mean over videos needs at least 1 video, and has 0")
        return self.total / self.count

    def set_dtype(self, dst_type: str | torch.dtype) -> "MeanOverVideos":
        """Keep float64."""
        return self


class VideoPSNR(MeanOverVideos):
    """PSNR in dB: per video in [0, 1], then averaged over videos."""

    higher_is_better = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(psnr_per_video, **kwargs)


class VideoSSIM(MeanOverVideos):
    """SSIM per frame, averaged over a video's frames, then over videos."""

    higher_is_better = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(ssim_per_video, **kwargs)


class VideoLPIPS(MeanOverVideos):
    """LPIPS per frame, averaged over a video's frames, then over videos.

    Args:
        network: Distance of two videos, e.g. what `LPIPS_VGG16.find` gives.
    """

    higher_is_better = False

    def __init__(self, network: FrozenNetwork, **kwargs: Any) -> None:
        super().__init__(network, **kwargs)
        self.network = network
