"""PSNR, SSIM and LPIPS of reconstructions: computed per video, then averaged over videos.

Both sides come as uint8, as a viewer would see them; rounding a reconstruction costs 0.01 dB at 34 dB.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
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


LEAST_ERROR = 1e-10
"""Mean squared error in [0, 1] below which a PSNR is 100 dB, as for equal frames."""
SSIM_WINDOW = 11
"""Pixels a side of the Gaussian window of SSIM."""


def squared_error_per_frame(reconstructed: Tensor, original: Tensor) -> Tensor:
    """Mean squared error of each frame of uint8 videos [B 3 T H W], in [0, 1] -> float64 [B T]."""
    _check_pair(reconstructed, original)
    errors = [
        (ours.double() - theirs.double()).div_(255).square_().mean(dim=(1, 3, 4))  # a frame at a time
        for ours, theirs in zip(reconstructed.split(1, dim=2), original.split(1, dim=2))
    ]
    return torch.cat(errors, dim=1)


def psnr_of_error(error: Tensor) -> Tensor:
    """PSNR in dB of mean squared errors in [0, 1]; 100 dB at most, as common_metrics_on_video_quality has it."""
    return -10 * error.clamp_min(LEAST_ERROR).log10()


def ssim_per_frame(reconstructed: Tensor, original: Tensor) -> Tensor:
    """Structural similarity of each frame of uint8 videos [B 3 T H W] -> float64 [B T].

    The mean over channels and the valid area alone, where the Gaussian window of 11 pixels and sigma 1.5 lies inside of
    the frame: as Wang et al. (2004) and common_metrics_on_video_quality have it. `ssim_per_video` has the borders, too.

    Raises:
        ValueError: A frame is smaller than the window.
    """
    _check_pair(reconstructed, original)
    if min(original.shape[-2:]) < SSIM_WINDOW:
        problem = f"is smaller than the window of SSIM, {SSIM_WINDOW} pixels"
        raise InvalidArgumentError("original", list(original.shape), problem, "Compare larger frames.")
    values = [
        _ssim(ours.flatten(0, 2).double() / 255, theirs.flatten(0, 2).double() / 255)
        .unflatten(0, (len(ours), 3))
        .mean(dim=1)
        for ours, theirs in zip(reconstructed.split(1, dim=2), original.split(1, dim=2))
    ]
    return torch.stack(values, dim=1)


def _ssim(x: Tensor, y: Tensor) -> Tensor:
    """Of grey pictures [N H W] in [0, 1], over the valid area -> [N]."""
    line = torch.arange(SSIM_WINDOW, dtype=x.dtype, device=x.device) - SSIM_WINDOW // 2
    window = (-line.square() / (2 * 1.5**2)).exp()
    window = window / window.sum()
    maps = torch.stack([x, y, x * x, y * y, x * y]).flatten(0, 1)[:, None]
    means = F.conv2d(F.conv2d(maps, window[None, None, None, :]), window[None, None, :, None])
    mean_x, mean_y, square_x, square_y, product = means[:, 0].unflatten(0, (5, len(x)))
    var_x, var_y, cov = square_x - mean_x**2, square_y - mean_y**2, product - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_x * mean_y + c1) * (2 * cov + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return similarity.mean(dim=(1, 2))


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
