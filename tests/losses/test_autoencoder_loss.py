import pytest
import torch

from pvdm_lightning.losses.autoencoder_loss import pick_frame
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.training import AutoencoderModule


def autoencoder():
    torch.manual_seed(0)
    return VideoAutoencoder(4, 16, 8, dim=32, depth=1, heads=2, head_dim=16, projector_depth=1, projector_mlp_dim=32)


def test_one_frame_of_each_clip():
    clip = torch.arange(2 * 3 * 4).view(2, 3, 4, 1, 1)
    assert pick_frame(clip, torch.tensor([3, 0]))[:, :, 0, 0].tolist() == [[3, 7, 11], [12, 16, 20]]


@pytest.mark.parametrize(("kind", "power"), [("l1", 1), ("l2", 2)])
def test_the_pixel_loss_is_the_mean_distance(kind, power, monkeypatch):
    module = AutoencoderModule(autoencoder(), pixel_loss=kind, pixel_weight=3.0)
    for name in ("log", "log_dict"):
        monkeypatch.setattr(module, name, lambda *args, **kwargs: None)
    clip = torch.rand(1, 3, 4, 16, 16) * 2 - 1
    loss = module._autoencoder_loss(clip, torch.tensor([0]), adversarial=False, generator=torch.Generator())
    assert loss.item() == pytest.approx(3 * (module.autoencoder(clip) - clip).abs().pow(power).mean().item(), rel=1e-5)
