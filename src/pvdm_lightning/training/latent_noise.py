"""Noise on the latents that the decoder trains on."""

from dataclasses import dataclass

from torch import Tensor

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.models.triplane import Triplane
from pvdm_lightning.random import Generators, rand, randn


@dataclass(frozen=True)
class LatentNoise:
    """Adds normal noise to each plane, of an amount drawn for each clip.

    A decoder that has only seen latents of the encoder turns small errors of stage two into textures. One std for a
    plane and all of its channels: the noise pushes what matters into channels that vary.

    Args:
        share: The most noise, as a share of the std of a clip's plane; the amount is uniform between 0 and it.

    Raises:
        InvalidArgumentError: It is negative.
    """

    share: float

    def __post_init__(self) -> None:
        if not self.share >= 0:
            name, remedy = "AutoencoderModule.latent_noise", "Give 0 (none), or a share such as 0.5."
            raise InvalidArgumentError(name, self.share, "is negative", remedy)

    def __call__(self, latent: Triplane, generator: Generators) -> Triplane:
        """Latents of a batch of clips -> the same with noise, drawn by a generator on the CPU, or one for each clip."""
        if self.share == 0:
            return latent

        def noisy(plane: Tensor) -> Tensor:
            amount = self.share * rand((len(plane), 1, 1, 1), generator).to(plane.device)
            std = plane.detach().float().flatten(1).std(dim=1).view(-1, 1, 1, 1)
            return plane + amount * std * randn(plane.shape, generator, plane.device)

        return latent.map(noisy)
