"""How stage two gets the frozen autoencoder, and carries it in its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.pipeline.first_stage import FrozenAutoencoder, check_denoiser
from pvdm_lightning.training.ema import EMA
from pvdm_lightning.training.hyper_parameters import described
from pvdm_lightning.training.restored import RestoredModule

_NAME = "LatentDiffusionModule.autoencoder_checkpoint"


class FirstStageModule(RestoredModule):
    """A LightningModule that trains on latents of a frozen autoencoder.

    The constructor of a subclass opens no file: the autoencoder is loaded at the start of a fresh run only.
    """

    denoiser: TriplaneUNet
    ema: EMA[TriplaneUNet]
    autoencoder_checkpoint: str | None

    def __init__(self) -> None:
        super().__init__()
        self.autoencoder: FrozenAutoencoder | None = None

    @property
    def clip_shape(self) -> tuple[int, int, int]:
        """(frames, height, width) of the clips the autoencoder takes."""
        return self.load_autoencoder().autoencoder.clip_shape

    def attach_autoencoder(self, autoencoder: FrozenAutoencoder) -> None:
        """Train on the latents of `autoencoder`.

        Raises:
            InvalidArgumentError: The denoiser was built for other latents.
        """
        network = autoencoder.autoencoder
        check_denoiser(self.denoiser, network)
        self.autoencoder = autoencoder
        for unet in (self.denoiser, self.ema.network):
            unet.latent_shape = network.latent_shape

    def load_autoencoder(self) -> FrozenAutoencoder:
        """The autoencoder; read from the stage-one checkpoint at the first call of a run that starts afresh."""
        if self.autoencoder is None:
            if self.autoencoder_checkpoint is None:
                raise InvalidArgumentError(
                    _NAME,
                    None,
                    "stage two needs the autoencoder that stage one trained",
                    f"Train it with `pvdm fit --config ae.yaml` and give {_NAME} .../last.ckpt.",
                )
            self.attach_autoencoder(FrozenAutoencoder.from_checkpoint(self.autoencoder_checkpoint, _NAME))
        assert self.autoencoder is not None
        return self.autoencoder

    def attach_carried_autoencoder(self, checkpoint: Mapping[str, Any]) -> None:
        """Take over the autoencoder that a stage-two checkpoint carries.

        A resumed run calls this before it starts, so that the checkpoint of stage one is not needed.
        """
        if self.autoencoder is None:
            # With weights, although the module's own follow: `setup` compares them with those that encoded the data.
            self.attach_autoencoder(FrozenAutoencoder.of(checkpoint))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["autoencoder"] = described(self.load_autoencoder().autoencoder)
