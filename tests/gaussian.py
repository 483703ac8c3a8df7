"""Gaussian data N(mu, s^2), for which the best noise prediction is known."""

from pvdm_lightning.diffusion import NoiseSchedule

SCHEDULE = NoiseSchedule()
MEAN, STD = 0.1, 0.3  # the clamp at 1 is three deviations away


def gaussian_denoise(z_t, t):
    """E[eps | z_t] for z_0 ~ N(MEAN, STD^2)."""
    alpha_bar = SCHEDULE.alpha_bar[t][:, None, None]
    variance = alpha_bar * STD**2 + 1 - alpha_bar
    return (1 - alpha_bar).sqrt() * (z_t - alpha_bar.sqrt() * MEAN) / variance
