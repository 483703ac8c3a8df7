import pytest
import torch

from pvdm_lightning.losses.autoencoder_loss import AutoencoderLoss, gradient_distance, pick_frame
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


def test_the_gradient_loss_is_the_mean_distance_of_differences_of_neighbours():
    one, other = (torch.rand(2, 3, 2, 4, 5, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    expected = 0.0
    for axis, size in ((3, 4), (4, 5)):
        steps = []
        for i in range(size - 1):
            ours, theirs = (x.select(axis, i + 1) - x.select(axis, i) for x in (one, other))
            steps.append((ours - theirs).abs().mean().item())
        expected += sum(steps) / len(steps)
    assert gradient_distance(one, other).item() == pytest.approx(expected, rel=1e-5)
    brighter = gradient_distance(one, one + 0.3)
    assert brighter.item() == pytest.approx(0.0, abs=1e-6)
    frame = torch.zeros(2, dtype=torch.long)
    plain, weighted = (
        AutoencoderLoss(gradient_weight=weight, discriminator_channels=8).generator(one, other, frame, False)
        for weight in (0.0, 2.0)
    )
    assert weighted[0].item() - plain[0].item() == pytest.approx(2 * expected, rel=1e-4)
    assert "gradient" not in plain[1] and weighted[1]["gradient"].item() == pytest.approx(expected, rel=1e-5)
