import pytest
import torch
from torchvision.models import vgg16

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.losses import PerceptualLoss
from pvdm_lightning.losses.adversarial import discriminator_hinge, feature_matching, generator_hinge
from pvdm_lightning.models.discriminators import PatchDiscriminator


@pytest.mark.parametrize(
    ("dimensions", "shape"), [(2, (2, 3, 64, 48)), (3, (2, 3, 16, 64, 48)), (3, (2, 3, 4, 16, 16))]
)
def test_discriminators(dimensions, shape):
    discriminator = PatchDiscriminator(dimensions, base_channels=8)
    logits, features = discriminator(torch.randn(shape))
    assert logits.shape[:2] == (2, 1)
    assert [f.shape[1] for f in features] == [8, 16, 32, 64]
    assert not list(discriminator.buffers())


@pytest.mark.parametrize("dimensions", [2, 3])
def test_gradients_are_finite_under_autocast(dimensions):
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(dimensions, base_channels=4)
    x = torch.rand((2, 3, 16, 24) if dimensions == 2 else (2, 3, 4, 16, 24))
    with torch.autocast("cpu", torch.bfloat16):
        loss = discriminator(x)[0].square().mean()
    loss.backward()
    assert all(weight.grad.isfinite().all() for weight in discriminator.parameters())


def test_widths_at_the_papers_size():
    convolutions = [m for m in PatchDiscriminator(3).modules() if isinstance(m, torch.nn.Conv3d)]
    assert [c.out_channels for c in convolutions] == [64, 128, 256, 512, 1]
    assert [c.stride[0] for c in convolutions] == [2, 2, 2, 1, 1]


def test_hinge():
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.0])
    assert discriminator_hinge(real, fake) == 0.5 * (0.25 + 0.5)
    assert generator_hinge(fake) == 1.5


def test_feature_matching_sends_no_gradient_to_the_real_side():
    real, fake = torch.ones(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    loss = feature_matching([real, real], [fake, 2 * fake])
    loss.backward()
    assert loss == 2
    assert real.grad is None
    assert torch.allclose(fake.grad, torch.full((3,), -1.0))


@pytest.fixture(scope="module")
def trunk(tmp_path_factory):
    """A file in the layout of torchvision's VGG-16, with random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "random-vgg16.pth"
    features = vgg16().features.state_dict()
    torch.save({f"features.{key}": value for key, value in features.items()}, path)
    return path


def test_perceptual_loss_is_zero_for_equal_frames_and_has_a_gradient(trunk):
    loss = PerceptualLoss.find(str(trunk), "LatentDiffusionModule.lpips_weights")
    frames = torch.rand(2, 3, 64, 64) * 2 - 1
    assert loss(frames, frames) == 0
    other = (frames + 0.1 * torch.randn_like(frames)).requires_grad_()
    loss(other, frames).backward()
    assert other.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in loss.parameters())


def test_perceptual_weights_absent_wrong_or_not_found(tmp_path, monkeypatch):
    monkeypatch.setenv("PVDM_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert PerceptualLoss.find(None, "LatentDiffusionModule.lpips_weights") is None
    assert "vgg16-397923af.pth" in PerceptualLoss.how_to_add("LatentDiffusionModule.lpips_weights")
    with pytest.raises(InvalidArgumentError, match=r"LatentDiffusionModule.lpips_weights .*nowhere.pth: no such file"):
        PerceptualLoss.find(str(tmp_path / "nowhere.pth"), "LatentDiffusionModule.lpips_weights")
    bad = tmp_path / "bad.pth"
    torch.save({"features.0.weight": torch.zeros(1)}, bad)
    with pytest.raises(InvalidArgumentError, match=r"cannot be read as VGG-16 weights"):
        PerceptualLoss.find(str(bad), "LatentDiffusionModule.lpips_weights")
