import json
import sys

import pytest
import torch

import hub_server
import small_pipeline
from pvdm_lightning import VideoPipeline
from pvdm_lightning.cli import main
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pipeline import hub


@pytest.fixture
def server(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_TOKEN", "token")
    with hub_server.hub_server() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        yield running


@pytest.fixture(scope="module")
def pipeline():
    return small_pipeline.build()


def same(one, other):
    return torch.equal(one.sample(seed=3), other.sample(seed=3))


def test_what_was_pushed_is_what_is_loaded_by_name(server, pipeline):
    address = pipeline.push_to_hub("lab/videos", commit_message="first")
    assert address.startswith(f"{server.address}/lab/videos/commit/") and server.messages == ["first"]
    assert sorted(server.repositories["lab/videos"]["main"]) == ["README.md", "config.json", "model.safetensors"]
    for name in ("lab/videos", "hf://lab/videos"):
        assert same(VideoPipeline.from_pretrained(name), pipeline)
    card = server.repositories["lab/videos"]["main"]["README.md"].decode()
    assert 'from_pretrained("lab/videos")' in card


def test_a_revision_is_a_branch_of_its_own(server, pipeline):
    pipeline.push_to_hub("lab/videos")
    changed = small_pipeline.build()
    with torch.no_grad():
        changed.denoiser.head_conv.weight.mul_(2)
    changed.push_to_hub("lab/videos", revision="v2")
    assert same(VideoPipeline.from_pretrained("lab/videos@v2"), changed)
    assert same(VideoPipeline.from_pretrained("lab/videos"), pipeline)
    assert not same(changed, pipeline)


def test_nothing_else_of_a_repository_is_fetched(server, pipeline):
    pipeline.push_to_hub("lab/videos")
    server.repositories["lab/videos"]["main"]["code.py"] = b"raise SystemExit"
    server.asked.clear()
    VideoPipeline.from_pretrained("lab/videos")
    assert not [line for line in server.asked if "code.py" in line or "README" in line]


def test_what_was_fetched_serves_offline(server, pipeline, monkeypatch):
    from huggingface_hub import constants

    pipeline.push_to_hub("lab/videos")
    VideoPipeline.from_pretrained("lab/videos")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    server.status = 500
    assert same(VideoPipeline.from_pretrained("lab/videos"), pipeline)


def test_the_card_shows_pictures_and_metrics(server, pipeline, tmp_path):
    picture, report = tmp_path / "samples.png", tmp_path / "report.json"
    picture.write_bytes(b"png")
    network = {"name": "net|work", "file": None, "sha256": None}
    metric = {"name": "Frechet 16", "value": 12.34567, "real_videos": 8, "generated_videos": 4, "network": network}
    report.write_text(json.dumps({"metrics": [metric]}))
    pipeline.push_to_hub("lab/videos", pictures=[picture], metrics=report)
    files = server.repositories["lab/videos"]["main"]
    card = files["README.md"].decode()
    assert files["samples.png"] == b"png" and "![samples](<samples.png>)" in card
    assert "| `Frechet 16` | 12.35 |" in card and "8 real, 4 generated" in card
    pipeline.save_pretrained(tmp_path / "folder", metrics={"recognised": 0.5})
    assert "| `recognised` | 0.5 |" in (tmp_path / "folder" / "README.md").read_text()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"pictures": ["absent.png"]}, "VideoPipeline.pictures absent.png: is no file of a picture"),
        ({"pictures": [__file__]}, "is no file of a picture"),
        ({"metrics": __file__}, "is no report"),
        ({"metrics": "absent.json"}, "VideoPipeline.metrics absent.json: is no report (No such file"),
    ],
)
def test_what_a_card_cannot_show_is_said_before_anything_is_written(options, text, pipeline, tmp_path):
    with pytest.raises(InvalidArgumentError) as caught:
        pipeline.save_pretrained(tmp_path / "folder", **options)
    assert text in str(caught.value) and not (tmp_path / "folder").exists()


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (None, "names nothing on this machine, and is not there, says the hub"),
        (401, "needs a login"),
        (403, "is not open to you"),
        (500, "cannot be had from the hub"),
    ],
)
def test_each_answer_of_the_hub_is_one_line(status, text, server, pipeline):
    server.status = status
    with pytest.raises(InvalidArgumentError) as caught:
        VideoPipeline.from_pretrained("lab/absent")
    assert text in str(caught.value) and "VideoPipeline.path lab/absent" in str(caught.value)
    assert "\n" not in str(caught.value)
    if status is not None:
        with pytest.raises(InvalidArgumentError, match=r"VideoPipeline\.repo_id lab/absent"):
            pipeline.push_to_hub("lab/absent")


def test_a_hub_that_cannot_be_reached_is_one_line(server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(InvalidArgumentError, match="cannot be had from the hub") as caught:
        VideoPipeline.from_pretrained("lab/videos")
    assert "\n" not in str(caught.value)


def test_a_repository_of_something_else_names_what_it_lacks(server, pipeline):
    pipeline.push_to_hub("lab/videos")
    del server.repositories["lab/videos"]["main"]["model.safetensors"]
    with pytest.raises(InvalidArgumentError, match=r"lab/videos: is a repository without model\.safetensors"):
        VideoPipeline.from_pretrained("lab/videos")


def test_damaged_weights_of_a_repository_are_one_line(server, pipeline):
    pipeline.push_to_hub("lab/videos")
    server.repositories["lab/videos"]["main"]["model.safetensors"] = b"damaged"
    with pytest.raises(InvalidArgumentError, match="holds no pipeline that can be read"):
        VideoPipeline.from_pretrained("lab/videos")


@pytest.mark.parametrize("name", ["videos", "a/b/c", "../x", "a/", "hf://", "a b/c"])
def test_what_is_no_name_is_pushed_nowhere(name, pipeline):
    with pytest.raises(InvalidArgumentError, match="is no name of a repository"):
        pipeline.push_to_hub(name)


def test_a_folder_here_comes_before_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert hub.is_repository("lab/videos") and hub.is_repository("hf://runs/videos")
    assert not any(map(hub.is_repository, ("runs/videos", "runs", "lab/last.ckpt", "a/b/c", tmp_path / "videos")))


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InvalidArgumentError, match=r"pip install 'pvdm-lightning\[hub\]'"):
        VideoPipeline.from_pretrained("lab/videos")


def test_the_command_line_samples_from_a_hub(server, pipeline, tmp_path, capsys):
    pipeline.push_to_hub("lab/videos")
    out = tmp_path / "samples"
    options = ["--trainer.accelerator", "cpu", "--output.dir", str(out), "--output.formats", "[npy]"]
    main(["predict", "--ckpt_path", "hf://lab/videos", "--sampling.num_videos", "1", *options])
    assert len(list(out.glob("*.npy"))) == 1
    with pytest.raises(SystemExit):
        main(["predict", "--ckpt_path", "hf://lab/absent"])
    assert "--ckpt_path hf://lab/absent: is not there, says the hub" in capsys.readouterr().err
