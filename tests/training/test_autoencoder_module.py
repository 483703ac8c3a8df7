import pytest
import torch

from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.training import AutoencoderModule


def autoencoder():
    torch.manual_seed(0)
    return VideoAutoencoder(4, 16, 8, dim=32, depth=1, heads=2, head_dim=16, projector_depth=1, projector_mlp_dim=32)


@pytest.mark.parametrize("scale", [1.0, 2.0**16])
def test_discriminators_are_clipped_by_what_their_gradients_are(scale):
    """In float16 the loss, and so each gradient, is scaled; the clipped gradient is the same but for that."""
    module = AutoencoderModule(autoencoder(), discriminator_clip=0.5)
    for parameter in module.loss.discriminators.parameters():
        parameter.grad = torch.full_like(parameter, scale)
    module.loss.clip_gradients(module.discriminator_clip * scale)
    for discriminator in module.loss.discriminators.values():
        norm = torch.stack([parameter.grad.square().sum() for parameter in discriminator.parameters()]).sum().sqrt()
        assert norm.item() == pytest.approx(0.5 * scale, rel=1e-3)
