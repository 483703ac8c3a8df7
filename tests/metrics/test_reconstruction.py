import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from pvdm_lightning.metrics import VideoPSNR, VideoSSIM
from pvdm_lightning.metrics.reconstruction import mean_psnr


@pytest.fixture
def pair(moving_patterns):
    original = moving_patterns(5, seed=0)
    strength = torch.arange(1, 6).view(5, 1, 1, 1, 1) * 6
    noise = torch.randn(original.shape, generator=torch.Generator().manual_seed(1)) * strength
    return (original + noise).clamp(0, 255).to(torch.uint8), original


def psnr_by_numpy(reconstructed, original):
    error = (reconstructed.double() - original.double()).numpy() / 255
    return -10 * np.log10(np.square(error).reshape(len(error), -1).mean(axis=1))


def ssim_by_scipy(x, y):
    """One channel of one frame, in [0, 1]; window of 11 pixels, sigma 1.5, reflected borders."""

    def mean(z):
        return gaussian_filter(z, sigma=1.5, truncate=3.5, mode="mirror")

    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    values = (2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    return values.mean()


@pytest.mark.parametrize("size", [1, 2, 5])
def test_psnr_is_per_video_and_then_averaged(pair, size):
    metric = VideoPSNR()
    for reconstructed, original in zip(*(videos.split(size) for videos in pair)):
        metric.update(reconstructed, original)
    per_video = psnr_by_numpy(*pair)
    assert metric.compute().item() == pytest.approx(per_video.mean(), rel=1e-6)
    pooled = -10 * np.log10(np.mean(10 ** (-per_video / 10)))
    assert abs(metric.compute().item() - pooled) > 0.5


def test_ssim_agrees_with_scipy(pair):
    metric = VideoSSIM()
    metric.update(*pair)
    x, y = (videos.double().numpy() / 255 for videos in pair)
    expected = np.mean([ssim_by_scipy(x[b, c, t], y[b, c, t]) for b, c, t in np.ndindex(x.shape[:3])])
    assert metric.compute().item() == pytest.approx(expected, abs=1e-5)


def test_equal_videos(pair):
    _, original = pair
    psnr, ssim = VideoPSNR(), VideoSSIM()
    psnr.update(original, original)
    ssim.update(original, original)
    assert psnr.compute().item() == float("inf")
    assert ssim.compute().item() == pytest.approx(1, abs=1e-6)


def test_sides_that_do_not_match_are_refused(pair):
    reconstructed, original = pair
    with pytest.raises(ValueError, match="is not the shape"):
        VideoPSNR().update(reconstructed[:2], original)
    with pytest.raises(ValueError, match=r"is not uint8 \[B 3 T H W\]"):
        VideoPSNR().update(reconstructed.float(), original.float())


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_no_videos_are_an_error():
    with pytest.raises(ValueError, match="at least 1 video"):
        VideoPSNR().compute()


def test_psnr_of_a_known_error():
    clip = torch.zeros(2, 3, 2, 4, 4)
    assert mean_psnr(clip + 0.2, clip).item() == pytest.approx(20)  # 0.1 in [0, 1]
