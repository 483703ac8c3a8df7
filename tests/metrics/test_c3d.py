import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pvdm_lightning.metrics.c3d import load_c3d


def conv(i, o):
    return [nn.utils.skip_init(nn.Conv3d, i, o, 3, padding=1), nn.ReLU()]


@pytest.fixture(scope="module")
def reference():
    """C3D as the paper's figure 3 lists it, from 112 x 112 pixels to logits of 5 classes, with random weights."""
    layers = [
        *[*conv(3, 64), nn.MaxPool3d((1, 2, 2))],
        *[*conv(64, 128), nn.MaxPool3d(2)],
        *[*conv(128, 256), *conv(256, 256), nn.MaxPool3d(2)],
        *[*conv(256, 512), *conv(512, 512), nn.MaxPool3d(2)],
        *[*conv(512, 512), *conv(512, 512), nn.MaxPool3d(2, padding=(0, 1, 1)), nn.Flatten()],
        *[nn.utils.skip_init(nn.Linear, 8192, 4096), nn.ReLU(), nn.utils.skip_init(nn.Linear, 4096, 4096), nn.ReLU()],
        nn.utils.skip_init(nn.Linear, 4096, 5),
    ]
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(*layers).requires_grad_(False)
    for parameter in model.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 100
        parameter.uniform_(-1, 1, generator=generator).mul_((6 / fan_in) ** 0.5)
    return model


def spelled(reference, first_two, prefix, conv_suffix, head):
    names = [*first_two, "conv3a", "conv3b", "conv4a", "conv4b", "conv5a", "conv5b"]
    names = [f"{prefix}{name}{conv_suffix}" for name in names] + [f"{prefix}fc6", f"{prefix}fc7", head]
    layers = [layer for layer in reference if hasattr(layer, "weight")]
    return {f"{n}.{kind}": getattr(layer, kind) for n, layer in zip(names, layers) for kind in ("weight", "bias")}


def test_the_network_and_its_preprocessing(reference):
    model = load_c3d(spelled(reference, ("conv1a", "conv2a"), "", "", "fc8")).eval()
    videos = torch.randint(0, 256, (1, 3, 16, 128, 160), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    # Short side already 128: nothing is resized, and the crop starts at (8, 24).
    pixels = videos[..., 8:120, 24:136].float() - torch.tensor([104.0, 117.0, 128.0]).view(3, 1, 1, 1)
    with torch.no_grad():
        expected = F.log_softmax(reference(pixels), dim=1)
        torch.testing.assert_close(model(videos), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="16 frames, not 8"):
        model(videos[:, :, :8])


def test_spellings(reference):
    plain = load_c3d(spelled(reference, ("conv1", "conv2"), "module.", "", "module.fc8")).state_dict()
    boxed = {"state_dict": spelled(reference, ("conv1a", "conv2a"), "backbone.", ".conv", "cls_head.fc_cls")}
    mmaction = load_c3d(boxed).state_dict()
    assert all(torch.equal(plain[key], mmaction[key]) for key in plain | mmaction)


def test_what_does_not_fit_is_named(reference):
    weights = spelled(reference, ("conv1a", "conv2a"), "", "", "fc8")
    weights.pop("fc7.bias")
    with pytest.raises(ValueError, match=r"fc7\.bias"):
        load_c3d(weights)
    with pytest.raises(ValueError, match=r"no fc8\.weight"):
        load_c3d({"conv.weight": torch.zeros(1)})
