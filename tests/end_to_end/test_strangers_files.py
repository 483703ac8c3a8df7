"""A file from a stranger runs no code, is refused in one line, and takes neither memory nor time."""

import json

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
    from pvdm_lightning.data.videos.video_index import FILE_NAME, FORMAT, LINE, load_index

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
