import os

import pytest

from pvdm_lightning import pretrained
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


def test_folders_of_another_user_are_not_used(folders, monkeypatch, caplog):
    own, hub = folders
    for folder in (own, hub):
        (folder / "net.pt").touch()
    monkeypatch.setattr("os.geteuid", lambda: own.stat().st_uid + 1)
    monkeypatch.setattr(pretrained, "_ROOT", own.stat().st_uid + 2)
    pretrained._is_ours.cache_clear()
    assert find_weights("net.pt", None, "--net") is None and find_weights("net.pt", None, "--net") is None
    assert pretrained.usable_cache_folder() is None
    assert caplog.text.count(f"{own} belongs to another user and is not used") == 1
    assert find_weights("net.pt", own / "net.pt", "--net") == own / "net.pt"  # given, and so meant
    pretrained._is_ours.cache_clear()
    monkeypatch.setattr(pretrained, "_ROOT", own.stat().st_uid)
    assert find_weights("net.pt", None, "--net") == own / "net.pt"
    pretrained._is_ours.cache_clear()


def test_a_link_of_another_user_is_not_followed(folders, tmp_path, monkeypatch):
    link = tmp_path / "link"
    link.symlink_to(folders[0])
    if os.geteuid() != 0:
        pytest.skip("only root gives a link to somebody else")
    os.lchown(link, 12345, 12345)
    monkeypatch.setenv("PVDM_CACHE", str(link))
    assert pretrained.usable_cache_folder() is None
