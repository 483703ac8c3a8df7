"""A condition of your own: an action per frame. A data set that gives it and a U-Net that takes it; a preset beside."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from lightning import Trainer
from torch import Tensor, nn

from pvdm_lightning import LatentDiffusionModule, TriplaneUNet, VideoAutoencoder, VideoPipeline
from pvdm_lightning.config import register_to_config
from pvdm_lightning.data import ClipDataModule
from pvdm_lightning.models.condition import Condition
from pvdm_lightning.pipeline import FrozenAutoencoder, trust_classes


class SteeredSquares:
    """Videos of a square, each frame moved by an action (dy, dx) in shares of the picture: `ConditionedVideos`."""

    conditions = ("action",)  # the names that the denoiser has, too

    def __init__(self, first: int, count: int, length: int = 32) -> None:
        draws = [np.random.default_rng(first + number) for number in range(count)]
        self.actions = np.stack([rng.uniform(-0.2, 0.2, (length, 2)) for rng in draws]).astype(np.float32)
        self.lengths, self.labels, self.problems = np.full(count, length), np.full(count, -1), dict[int, str]()

    def name(self, index: int) -> str:
        return f"square {index}"

    def stamps(self) -> bytes:
        return self.actions.tobytes()

    def read(self, index: int, frames: Sequence[int], resolution: tuple[int, int]) -> Tensor:
        clip = torch.zeros(3, len(frames), *resolution, dtype=torch.uint8)
        for picture, place in zip(clip.unbind(1), self.actions[index].cumsum(axis=0)[list(frames)] % 0.75):
            y, x = (int(share * side) for share, side in zip(place, resolution))
            picture[:, y : y + resolution[0] // 4, x : x + resolution[1] // 4] = 255
        return clip

    def condition(self, index: int, frames: Sequence[int], flip: bool) -> dict[str, Tensor]:
        return {"action": torch.from_numpy(self.actions[index, list(frames)] * (1, -1 if flip else 1)).float()}  # [S 2]


class Squares(ClipDataModule):
    """64 such videos, and 8 to validate on.

    Args:
        **kwargs: As in ClipDataModule.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def open_sources(self) -> tuple[SteeredSquares, SteeredSquares]:
        return SteeredSquares(0, 64), SteeredSquares(2**40, 8)


class ActionUNet(TriplaneUNet):
    """A TriplaneUNet that is told an action per frame.

    Args:
        action_channels: A; actions are [B S A], and zeros are no action.
        **kwargs: As in TriplaneUNet.
    """

    @register_to_config
    def __init__(self, action_channels: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conditions = (*self.conditions, "action")
        self.embed_action = nn.Linear(action_channels, self.base_channels, bias=False)

    def embed_tokens(self, condition: Condition) -> Tensor | None:
        if "action" not in condition.extra:
            return None
        action = self.embed_action(condition.extra["action"]).mT  # [B C S]
        return self.latent_shape.project(action[..., None, None]).mT  # [B C S 1 1] -> [B C L] -> [B L C]


if __name__ == "__main__":
    unet = ActionUNet(base_channels=32, channel_multipliers=(1,), blocks_per_level=1, heads=2)
    module = LatentDiffusionModule(unet, warmup_steps=0, ema_decay=0.9, condition_probabilities={"action": 0.8})
    autoencoder = VideoAutoencoder(4, 16, dim=32, depth=1, heads=2, head_dim=16, projector_depth=1)  # train it first
    module.attach_first_stage(FrozenAutoencoder(autoencoder))
    trainer = Trainer(max_steps=4, logger=False, enable_progress_bar=False, enable_checkpointing=False)
    trainer.fit(module, datamodule=Squares(frames=4, resolution=16, clips_per_sample=2, num_workers=0))
    trainer.save_checkpoint("action.ckpt")
    trust_classes([f"{ActionUNet.__module__}.ActionUNet"])  # on the command line: --trust_class
    pipeline = VideoPipeline.from_checkpoint("action.ckpt")
    to_the_right = torch.tensor([0.0, 0.1]).expand(2, 4, 2)  # for two videos, [2 S A]
    print(pipeline.denoiser.conditions, pipeline.sample(extra={"action": to_the_right}, num_inference_steps=4).shape)
