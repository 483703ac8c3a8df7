"""A loss term of your own: an L1 of spatial differences beside the pixels' loss of stage one, against soft edges."""

import torch
from lightning import Trainer
from torch import Tensor
from torch.nn import functional as F

from pvdm_lightning import AutoencoderLoss, AutoencoderModule, Synthetic, VideoAutoencoder
from pvdm_lightning.config import register_to_config


class EdgeLoss(AutoencoderLoss):
    """The loss of the paper, and the difference of horizontal and vertical differences.

    Args:
        edge_weight: Weight of the term; the pixels' is 4.
        perceptual_weight: Weight of LPIPS; 0 trains without it.
    """

    @register_to_config  # so that checkpoints can rebuild it
    def __init__(self, edge_weight: float = 0.5, perceptual_weight: float = 4.0) -> None:
        super().__init__(perceptual_weight=perceptual_weight)
        self.edge_weight = edge_weight

    def generator(
        self, clip: Tensor, reconstruction: Tensor, frame: Tensor, adversarial: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        loss, terms = super().generator(clip, reconstruction, frame, adversarial)
        edges = torch.stack([F.l1_loss(reconstruction.diff(dim=axis), clip.diff(dim=axis)) for axis in (3, 4)]).mean()
        return loss + self.edge_weight * edges, {**terms, "edges": edges}  # logged as train/edges


if __name__ == "__main__":
    autoencoder = VideoAutoencoder(4, 16, dim=32, depth=1, heads=2, head_dim=16, projector_depth=1)
    module = AutoencoderModule(autoencoder, loss=EdgeLoss(edge_weight=0.5, perceptual_weight=0.0))
    # On the command line: --model.loss loss_term.EdgeLoss --model.loss.edge_weight 0.5
    trainer = Trainer(max_steps=4, logger=False, enable_progress_bar=False, enable_checkpointing=False)
    trainer.fit(module, Synthetic(num_videos=8, num_val_videos=2, frames=4, resolution=16, clips_per_sample=1))
    print(float(trainer.callback_metrics["train/edges"]) > 0)
