"""Videos of any length: draw the first clip, then each next clip given the one before it (PVDM, section 3.3)."""

from collections.abc import Callable, Iterator

from torch import Tensor

from pvdm_lightning.diffusion.denoise import Denoise
from pvdm_lightning.diffusion.samplers.sampler import OnStep, RunStep, Sampler, call
from pvdm_lightning.random import Generators


def sample_clips(
    denoise_after: Callable[[Tensor | None], Denoise],
    first: Sampler,
    later: Sampler,
    shape: tuple[int, int, int],
    num_clips: int,
    generator: Generators = None,
    previous: Tensor | None = None,
    on_step: OnStep | None = None,
    run: RunStep = call,
) -> Iterator[Tensor]:
    """Latents [B C L] of x^1 ~ p(x), then of x^{l+1} ~ p(x^{l+1} | x^l), one clip at a time.

    Args:
        denoise_after: Binds the denoiser to the latents [B C L] of the clips before; None is no clip.
        first: Draws the first clip (N steps of the paper's N/M-s).
        later: Draws every later clip (M steps).
        shape: (B, C, L).
        num_clips: How many clips make the video.
        generator: One for the batch, or one per video.
        previous: Latents [B C L] of clips to continue; None starts with x^1.
        on_step: Called after each step of each clip, see `Sampler`.
        run: Runs each step, see `Sampler`.
    """
    for number in range(num_clips):
        sampler = first if number == 0 else later
        previous = sampler(denoise_after(previous), shape, generator, on_step, run)
        yield previous
