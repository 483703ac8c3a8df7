import pytest

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pretrained import find_weights, remedy


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("PVDM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    own, hub = tmp_path / "cache", tmp_path / "torch" / "hub" / "checkpoints"
    own.mkdir()
    hub.mkdir(parents=True)
    return own, hub


def test_given_path_then_own_cache_then_torch_hub(folders, tmp_path):
    own, hub = folders
    assert find_weights("net.pt", None, "--net") is None
    for folder in (hub, own, tmp_path):
        (folder / "net.pt").touch()
        given = folder / "net.pt" if folder == tmp_path else None
        assert find_weights("net.pt", given, "--net") == folder / "net.pt"


def test_a_given_path_that_is_not_there(folders, tmp_path):
    (folders[0] / "net.pt").touch()
    with pytest.raises(InvalidArgumentError, match=r"^--net \S+absent.pt: no such file. Give the path of net.pt"):
        find_weights("net.pt", tmp_path / "absent.pt", "--net")


def test_the_remedy_names_file_folder_and_flag(folders):
    assert remedy("net.pt", "--net") == (
        f"put net.pt into {folders[0]} (PVDM_CACHE names another folder) or give its path with --net."
    )
