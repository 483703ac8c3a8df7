import hashlib
import logging
import warnings

import pytest
import torch
from torch import nn

from pvdm_lightning.convert.i3d import ORIGINAL_I3D, STRETCHED_I3D
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.feature_networks import FeatureNetworks
from pvdm_lightning.metrics import C3D_MMACTION, C3D_UCF101, LPIPS_VGG16, STYLEGAN_V_I3D
from pvdm_lightning.metrics.published_network import UntrustedFileError

ALL = [STYLEGAN_V_I3D, C3D_UCF101, C3D_MMACTION, LPIPS_VGG16, ORIGINAL_I3D, STRETCHED_I3D]


class RandomDetector(nn.Module):
    """The published detector's call and size, with results that tell which switches were on."""

    def forward(self, x: torch.Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False):
        switches = torch.tensor([float(rescale), float(resize), float(return_features)])
        return x.float().mean(dim=[1, 2, 3, 4])[:, None] * switches.repeat(134)[:400]


class RandomClassifier(nn.Module):
    def forward(self, x: torch.Tensor):
        first = x.float().mean(dim=[1, 2, 3, 4])[:, None] / 255
        return torch.cat([first, (1 - first).expand(-1, 100) / 100], dim=1)


def save_script(module, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.script(module).save(str(path))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PVDM_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


@pytest.mark.parametrize("published", ALL, ids=lambda published: published.name)
def test_an_absent_file_gives_none_and_a_remedy(published, cache):
    assert published.find(None, "--weights") is None
    line = published.remedy("--weights")
    assert published.name in line
    assert f"put {published.file_name} " in line and f" into {cache}" in line
    assert "pvdm weights --fetch" in line or "https://" in line
    assert "\n" not in line


@pytest.mark.parametrize("published", ALL, ids=lambda published: published.name)
def test_a_damaged_file_is_the_users_error(published, cache):
    (cache / published.file_name).write_bytes(b"not a network")
    with pytest.raises(InvalidArgumentError, match=rf"^--weights \S+: cannot be read as {published.file_name}"):
        published.find(None, "--weights", trusted=[cache / published.file_name])


def test_a_file_other_than_the_published_one_never_carries_its_name(cache, caplog):
    path = cache / "mine.pt"
    save_script(RandomDetector(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with caplog.at_level(logging.WARNING):
        network = STYLEGAN_V_I3D.find(path, "--weights", trusted=[digest])
    assert network.name == f"i3d-stylegan-v (unrecognised file {digest[:12]})"
    assert (network.path, network.sha256) == (path, digest)
    assert "is not the published i3d_torchscript.pt" in caplog.text


def test_the_detector_is_called_as_its_protocol_says(cache):
    save_script(RandomDetector(), cache / "i3d_torchscript.pt")
    network = STYLEGAN_V_I3D.find(None, "--weights", trusted=[cache / "i3d_torchscript.pt"])
    features = network(torch.full((2, 3, 16, 4, 4), 9, dtype=torch.uint8))
    assert torch.equal(features, torch.full((2, 400), 9.0))


def test_probabilities_of_a_torchscript_classifier_become_logarithms(cache):
    save_script(RandomClassifier(), cache / "c3d_ucf101.pt")
    network = C3D_UCF101.find(None, "--weights", trusted=[cache / "c3d_ucf101.pt"])
    log_p = network(torch.full((1, 3, 16, 4, 4), 51, dtype=torch.uint8))
    torch.testing.assert_close(log_p.exp(), torch.tensor([[0.2] + [0.008] * 100]))


def test_another_network_is_refused_before_it_measures(cache):
    save_script(RandomDetector(), cache / "i3d.pt")
    save_script(RandomClassifier(), cache / "c3d.pt")
    with pytest.raises(InvalidArgumentError, match=r"c3d\.pt: cannot be read as i3d_torchscript\.pt: "):
        STYLEGAN_V_I3D.find(cache / "c3d.pt", "--weights", trusted=[cache / "c3d.pt"])
    with pytest.raises(
        InvalidArgumentError, match=r"cannot be read as c3d_ucf101\.pt: it gives 400 values for a video, not 101"
    ):
        C3D_UCF101.find(cache / "i3d.pt", "--weights", trusted=[cache / "i3d.pt"])


class Marked(nn.Module):
    """Writes to the terminal as soon as it runs."""

    def forward(self, x: torch.Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False):
        print("CODE OF THE FILE RUNS")  # noqa: T201
        return x.float().mean(dim=[1, 2, 3, 4])[:, None].expand(-1, 400)


@pytest.mark.parametrize("published", [STYLEGAN_V_I3D, C3D_UCF101], ids=lambda published: published.name)
def test_a_program_in_a_cache_folder_that_nobody_vouches_for_does_not_run(published, cache, capfd):
    path = cache / published.file_name
    save_script(Marked(), path)
    other = cache / "other.pt"
    other.write_bytes(b"")
    with pytest.raises(UntrustedFileError, match=rf"TorchScript.*add FeatureNetworks\.trust_file {path}"):
        published.find(None, "--weights", trusted=[other, "absent.pt", "0" * 64])
    assert "CODE" not in capfd.readouterr().out


def test_who_names_a_program_by_its_option_vouches_for_it(cache, capfd, caplog):
    path = cache / "mine.pt"
    save_script(Marked(), path)
    network = STYLEGAN_V_I3D.find(path, "--weights")
    assert "unrecognised file" in network.name and "CODE" in capfd.readouterr().out
    assert f"{path} is a program (TorchScript) and runs, as its option names it" in caplog.text


def test_metrics_of_untrusted_programs_are_skipped_and_listed(cache):
    for published in (STYLEGAN_V_I3D, C3D_UCF101):
        save_script(Marked(), cache / published.file_name)
    skipped = dict(FeatureNetworks().find("FVD", inception_score=True).skipped)
    assert "trust_file" in skipped["FVD (i3d-stylegan-v)"] and "trust_file" in skipped["IS (c3d-ucf101)"]
    trusted = FeatureNetworks(trust_file=str(cache / STYLEGAN_V_I3D.file_name))
    assert len(trusted.find("FVD").video) == 2
