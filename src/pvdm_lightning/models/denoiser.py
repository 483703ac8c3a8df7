"""What the rest of the project asks of the network of stage two."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from pvdm_lightning.config import plain
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.models.condition import Condition
from pvdm_lightning.models.triplane import TriplaneShape


class Denoiser(nn.Module):
    """A network that denoises latent sequences, with or without a condition.

    Training, sharding, optimizers, pipelines and checkpoints use what is defined here and nothing else, so that any
    subclass takes the place of the U-Net. Decorate its constructor with `register_to_config`, whose record
    checkpoints and saved pipelines rebuild it from.

    Args:
        latent_channels: C, channels of the latent.
        latent_shape: Sizes of its planes; None takes them from the autoencoder it is trained with.
    """

    conditions: tuple[str, ...] = ("previous",)
    """Parts of `Condition` that the network uses; it is given no others."""
    num_classes: int = 0
    """Classes that `Condition.label` tells apart."""
    context_channels: int = 0
    """Channels of `Condition.context`."""
    class_names: tuple[str, ...] = ()
    """Names of the classes, by label; none before they are known."""

    edge_layers: ClassVar[tuple[str, ...]] = ()
    """Attribute names of first and last layers, embeddings and tokens: Muon leaves their weights to AdamW."""

    config: dict[str, Any]

    def __init__(self, latent_channels: int, latent_shape: TriplaneShape | None = None) -> None:
        super().__init__()
        self.latent_channels = latent_channels
        self.latent_shape = latent_shape

    @property
    def latent_shape(self) -> TriplaneShape | None:
        """Sizes of the planes; None before they are known."""
        return self._latent_shape

    @latent_shape.setter
    def latent_shape(self, shape: TriplaneShape | None) -> None:
        self._latent_shape = shape
        self.config["latent_shape"] = plain(shape)

    def name_classes(self, names: Sequence[str], argument: str = "Denoiser.class_names") -> None:
        """Take the names of the classes, by label.

        Raises:
            InvalidArgumentError: They are not as many as the network has classes, or it knows others already.
        """
        if len(names) != self.num_classes:
            problem = f"is not the number of classes of the data, {len(names)}"
            remedy = f"Give {len(names)}." if names else "Give 0, or data with classes."
            raise InvalidArgumentError("Denoiser.num_classes", self.num_classes, problem, remedy)
        if self.class_names and tuple(names) != self.class_names:
            wrong = next(name for name, own in zip(names, self.class_names) if name != own)
            problem = "is a class of the data that the network does not have at this place"
            raise InvalidArgumentError(argument, wrong, problem, "Give data with the classes it was trained on.")
        self.class_names = tuple(names)
        self.config["class_names"] = list(names)

    def shard_units(self) -> Sequence[nn.Module]:
        """Submodules that are sharded one by one: each is gathered as a whole when it computes."""
        return list(self.children())

    def parts_to_compile(self) -> Sequence[tuple[nn.Module, str]]:
        """Modules and methods that `--compile true` compiles, each small and element by element; none by default."""
        return ()

    @abstractmethod
    def forward(self, z_t: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        """Noisy latents z_t [B C L], times t int64 [B], condition of B samples or None -> float32 [B C L].

        What comes out is the noise, or what the prediction type of the training says.
        """
