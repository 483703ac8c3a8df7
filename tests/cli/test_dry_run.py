"""Which preset a dry run names; what else it prints is in test_cli.py."""

from types import SimpleNamespace

import pytest
import torch
import yaml

from pvdm_lightning import AutoencoderModule, CachedLatents, Synthetic, TriplaneUNet, VideoAutoencoder, VideoFolder
from pvdm_lightning.cli.dry_run import preset_for_small_sets
from pvdm_lightning.cli.shipped_configs import config_folder


def preset_of(part, file):
    return yaml.safe_load((config_folder() / "model" / file).read_text())["model"]["init_args"][part]["init_args"]


def cached(class_path):
    data = CachedLatents("latents")
    data._description = {"data": {"class_path": class_path}}
    return data


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (VideoFolder("videos"), True),
        (Synthetic(), False),
        (cached("pvdm_lightning.UCF101"), True),
        (cached("pvdm_lightning.Synthetic"), False),
    ],
)
def test_a_preset_is_named_for_real_videos_on_a_cpu_unless_its_networks_are_there(data, named):
    with torch.device("meta"):
        other = VideoAutoencoder(dim=32, depth=1), TriplaneUNet(base_channels=32)
        own = (
            VideoAutoencoder(**preset_of("autoencoder", "ae_64.yaml")),
            TriplaneUNet(**preset_of("denoiser", "ldm_64.yaml"), num_classes=3),
        )

    def found(networks, device="cpu"):
        first = AutoencoderModule(networks[0])
        first._device = torch.device(device)
        second = SimpleNamespace(device=torch.device(device), denoiser=networks[1])
        return [preset_for_small_sets(SimpleNamespace(datamodule=data), module) for module in (first, second)]

    assert found(other) == (["model/ae_64.yaml", "model/ldm_64.yaml"] if named else [None, None])
    assert found(own) == found(other, "meta") == [None, None]
