"""A denoiser of your own: a Transformer over all tokens in place of the U-Net. Trains, saves, loads and samples."""

import torch
from lightning import Trainer
from torch import Tensor, nn

from pvdm_lightning import Denoiser, LatentDiffusionModule, Synthetic, TriplaneShape, VideoAutoencoder, VideoPipeline
from pvdm_lightning.config import register_to_config
from pvdm_lightning.models.condition import Condition
from pvdm_lightning.pipeline import FrozenAutoencoder, trust_classes


class TokenTransformer(Denoiser):
    """Denoises the tokens of all planes with full attention.

    Args:
        latent_shape: Sizes of the planes; null takes them from the autoencoder.
        latent_channels: C.
        dim: Channels of the Transformer.
        depth: Its layers.
    """

    edge_layers = ("embed", "embed_time", "head")  # Muon leaves these to AdamW

    @register_to_config  # checkpoints and saved pipelines rebuild it from these arguments
    def __init__(
        self, latent_shape: TriplaneShape | None = None, latent_channels: int = 4, dim: int = 64, depth: int = 2
    ) -> None:
        super().__init__(latent_channels, latent_shape)
        self.embed = nn.Linear(2 * latent_channels, dim)
        self.embed_time = nn.Sequential(nn.Linear(1, dim), nn.SiLU(), nn.Linear(dim, dim))
        layer = nn.TransformerEncoderLayer(dim, nhead=4, dim_feedforward=4 * dim, batch_first=True, dropout=0.0)
        self.layers = nn.TransformerEncoder(layer, depth)
        self.head = nn.Linear(dim, latent_channels)

    def shard_units(self) -> list[nn.Module]:
        return list(self.layers.layers)

    def forward(self, z_t: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        previous = None if condition is None else condition.previous
        previous = torch.zeros_like(z_t) if previous is None else previous
        tokens = self.embed(torch.cat([z_t, previous], dim=1).transpose(1, 2))
        tokens = tokens + self.embed_time(t[:, None] / 1000)[:, None]
        return self.head(self.layers(tokens)).transpose(1, 2).float()


if __name__ == "__main__":
    autoencoder = VideoAutoencoder(4, 16, dim=32, depth=1, heads=2, head_dim=16, projector_depth=1)  # train it first
    module = LatentDiffusionModule(TokenTransformer(), warmup_steps=0, ema_decay=0.9)
    module.attach_first_stage(FrozenAutoencoder(autoencoder))
    data = Synthetic(num_videos=8, num_val_videos=2, frames=4, resolution=16, clips_per_sample=2, num_workers=0)
    trainer = Trainer(max_steps=4, logger=False, enable_progress_bar=False, enable_checkpointing=False)
    trainer.fit(module, datamodule=data)
    trainer.save_checkpoint("denoiser.ckpt")
    trust_classes([f"{TokenTransformer.__module__}.TokenTransformer"])  # on the command line: --trust_class
    pipeline = VideoPipeline.from_checkpoint("denoiser.ckpt")
    print(type(pipeline.denoiser).__name__, pipeline.sample(num_inference_steps=4).shape)
