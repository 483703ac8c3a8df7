"""Every shipped configuration is parsed and, where it is a complete run, its networks are built."""

import sys
from pathlib import Path

import pytest
import torch
import yaml

from pvdm_lightning import cli
from pvdm_lightning.cli.shipped_configs import config_folder, find_config, shipped_configs
from pvdm_lightning.errors import InvalidArgumentError

ALL = shipped_configs()
RUNS = ("ae.yaml", "ldm.yaml", "demo_ae.yaml", "demo_ldm.yaml")


def printed(capsys, *args):
    """What --print_config makes of the arguments."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["fit", *args, "--print_config"])
    assert ended.value.code in (0, None)
    return yaml.safe_load(capsys.readouterr().out)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Names are found from any folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pvdm"])


def base_of(preset):
    return "ae.yaml" if preset.startswith("model/ae") else "ldm.yaml"


@pytest.mark.parametrize("name", [name for name in ALL if name not in RUNS])
def test_presets_compose(capsys, name):
    whole = printed(capsys, "--config", base_of(name), "--config", name)
    preset = yaml.safe_load((config_folder() / name).read_text())
    for section, values in preset.items():
        for key, value in values.items():
            if key == "init_args":
                assert all(whole[section][key][k] == v or isinstance(v, dict) for k, v in value.items())
            elif isinstance(value, list) and isinstance(value[0], dict):
                assert [one["class_path"] for one in whole[section][key]] == [one["class_path"] for one in value]
            elif isinstance(value, dict):  # an object, whose other arguments have their defaults
                assert whole[section][key]["class_path"] == value["class_path"]
                assert whole[section][key]["init_args"].items() >= value["init_args"].items()
            else:
                assert whole[section][key] == value


def test_runs_are_all_there_is_beside_presets():
    assert set(RUNS) == {name for name in ALL if "/" not in name}


@pytest.mark.parametrize("name", RUNS)
def test_networks_of_complete_runs(capsys, name):
    config = printed(capsys, "--config", name)["model"]["init_args"]
    from pvdm_lightning.models.autoencoder import VideoAutoencoder
    from pvdm_lightning.models.unet import TriplaneUNet

    with torch.device("meta"):
        if "denoiser" in config:
            network = TriplaneUNet(**config["denoiser"]["init_args"])
        else:
            network = VideoAutoencoder(**config["autoencoder"]["init_args"])
    expected = {"ae.yaml": 62.1e6, "ldm.yaml": 528e6}.get(name)
    if expected:
        assert abs(sum(p.numel() for p in network.parameters()) - expected) < 0.01 * expected


def test_the_papers_configuration(capsys):
    config = printed(capsys, "--config", "ldm", "--config", "model/ldm_s", "--trainer.max_steps", "7")
    assert config["model"]["init_args"]["denoiser"]["init_args"]["base_channels"] == 128
    assert config["model"]["init_args"]["conditional_probability"] == 0.3
    assert config["trainer"]["max_steps"] == 7


def test_a_name_that_is_nowhere():
    with pytest.raises(InvalidArgumentError, match=r"--config aee: is neither .* Shipped: ae.yaml, data/"):
        find_config("aee")
    with pytest.raises(InvalidArgumentError, match=r"is a protocol of evaluations. Give --evaluation.protocol latte"):
        find_config("evaluation/latte")
    Path("own.yaml").touch()
    assert find_config("own.yaml") == "own.yaml"


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict", "encode"])
def test_help_explains(capsys, command):
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code in (0, None)
    said = capsys.readouterr().out
    assert "ckpt_path" in said
    assert ("--sampling.num_videos" in said) == (command == "predict")
