"""Names of runs: given ones are folders of their own below the root, others follow from the configuration."""

from pathlib import Path

import pytest
from jsonargparse import Namespace

from pvdm_lightning.cli.run import name
from pvdm_lightning.cli.run.name import name_of_run
from pvdm_lightning.errors import InvalidArgumentError

OUT, BESIDE, EMPTY, LONG = (
    "leads out of runs",
    "names what is in the folder of a run",
    "names no folder",
    "is longer than",
)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        *((given, OUT) for given in ("..", "../x", "a/../../x", "a/..", "/tmp/x", "/", "a/b/../c")),
        *((given, BESIDE) for given in ("latest", "a/latest", "Latest/b", "checkpoints", "a/checkpoints/b")),
        *((given, EMPTY) for given in (".", "./", "a\nb", "a\x00b", "\x1b[31m")),
        *((given, LONG) for given in ("x" * 300, "ä" * 60, "a/b/c/d/e")),
        *((given, "has the hidden folder") for given in (".git", "a/.cache/b", "..a")),
        *((given, "the folder of another run") for given in ("ae/2026", "ae/2026/x", "ae/2026/x/y")),
    ],
)
def test_names_that_are_no_folders_of_their_own(tmp_path, monkeypatch, given, problem):
    monkeypatch.chdir(tmp_path)
    Path("runs/ae/2026/checkpoints").mkdir(parents=True)
    with pytest.raises(InvalidArgumentError, match=problem) as raised:
        name_of_run(Namespace(run_name=given), Path("runs"))
    assert str(raised.value).startswith("--run_name")


@pytest.mark.parametrize("given", ["ae", "exp/new", "ae/no-ema", "a b", "v1.0", "a..b", "ünï", "the-latest"])
def test_names_that_may_be_given(tmp_path, given):
    assert name_of_run(Namespace(run_name=given), tmp_path) == given


def config(data):
    data = {key: Namespace(value) if isinstance(value, dict) else value for key, value in data.items()}
    return Namespace(model=Namespace(class_path="pvdm_lightning.LatentDiffusionModule"), data=Namespace(data))


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        ({"class_path": "pvdm_lightning.UCF101", "init_args": {"root": "somewhere"}}, "ldm-ucf101"),
        ({"class_path": "pvdm_lightning.VideoFolder", "init_args": {"root": "/data/My Cats"}}, "ldm-my-cats"),
        ({"class_path": "pvdm_lightning.Synthetic"}, "ldm-synthetic"),
        (None, "ldm-latents"),
        ("no table", "ldm-latents"),
    ],
)
def test_a_run_on_cached_latents_is_named_for_their_videos(tmp_path, monkeypatch, encoded, expected):
    def read(root, argument):
        assert root == tmp_path / "latents"
        if encoded is None:
            raise InvalidArgumentError(argument, root, "is no cache", "Name one.")
        return {"data": encoded}

    monkeypatch.setattr(name, "read_description", read)
    data = {"class_path": "pvdm_lightning.CachedLatents", "init_args": {"root": str(tmp_path / "latents")}}
    assert name_of_run(config(data), tmp_path) == expected


@pytest.mark.parametrize("root", [".", "..", "below/..", "x" * 300])
def test_a_name_that_follows_from_odd_folders_is_one(tmp_path, monkeypatch, root):
    (tmp_path / "work/here/below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work/here")
    made = name_of_run(config({"class_path": "pvdm_lightning.VideoFolder", "init_args": {"root": root}}), tmp_path)
    assert name_of_run(Namespace(run_name=made), tmp_path) == made
