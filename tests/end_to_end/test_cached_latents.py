"""`pvdm encode`, and stage two from what it writes."""

import json
import os
import shutil
import signal
import tarfile

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pvdm_lightning import CachedLatents, InvalidArgumentError, write_video
from pvdm_lightning.data.index.video_info import DecodeError
from pvdm_lightning.data.videos.synthetic import SyntheticVideos
from pvdm_lightning.pipeline import FrozenAutoencoder

OPTIONS = ["--output.windows_per_video", 3, "--output.flips", "true", "--output.shard_size", 5]
OPTIONS += ["--output.known_frames", "[first:1, ends:1]"]
# What a checkpoint does not give: a shard is cut into batches of this size, and cache.json names both.
OPTIONS += ["--data.batch_size", 2, "--data.num_workers", 0]
QUIET = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
# With this length, a video has just one window for a pair: from pixels and from a cache, training sees the same.
ONE_WINDOW = ["--data.video_frames", 8]
NO_PICTURES = ["--video_logger.num_videos", 0]
FROM_CACHE = ["--config", "data/cached_latents.yaml", "--data.root"]


def encode(pvdm, checkpoint, folder, *more):
    pvdm.run("encode", "--ckpt_path", checkpoint, "--output.dir", folder, *QUIET, *more)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def cache(pvdm, trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cached") / "latents"
    encode(pvdm, trained["ae"], folder, *OPTIONS)
    return folder


def test_what_is_written(cache, trained):
    """Every window's latents are those of its pixels."""
    about = json.loads((cache / "cache.json").read_text())
    assert about["data"]["class_path"].endswith("Synthetic")
    assert {split: (s["windows"], s["shards"]) for split, s in about["splits"].items()} == {
        "train": (48, 10),
        "val": (4, 1),
    }
    assert (about["known_frames"], about["known_masks"]) == (["first:1", "ends:1"], ["1000", "1001"])
    assert about["class_names"] == ["disc", "square", "triangle", "ring"]
    frozen = FrozenAutoencoder.from_checkpoint(trained["ae"], "--flag")
    assert about["autoencoder"]["fingerprint"] == frozen.fingerprint()
    source, seen = SyntheticVideos(0, 16, 16, 0), []
    for number in range(10):
        shard = load_file(cache / f"train-{number:05d}.safetensors")
        for row in range(len(shard["clip"])):
            index, start, flipped = (int(shard[name][row]) for name in ("index", "start", "flipped"))
            seen.append((index, start, flipped))
            pixels = source.read(index, range(start, start + 8), (16, 24))
            previous, clip = (pixels.flip(-1) if flipped else pixels).split(4, dim=1)
            latents = frozen.encode(torch.stack([previous, clip, clip[:, [0, 0, 0, 0]], clip[:, [0, 0, 3, 3]]]))
            assert torch.allclose(shard["previous"][row], latents[0], atol=1e-5)
            assert torch.allclose(shard["clip"][row], latents[1], atol=1e-5)
            assert torch.allclose(shard["known"][row], latents[2:], atol=1e-5)
            assert int(shard["label"][row]) == source.labels[index]
    assert sorted(seen) == [(i, start, flipped) for i in range(16) for start in (1, 4, 7) for flipped in (0, 1)]


def test_a_stage_two_checkpoint_carries_the_same_autoencoder(pvdm, workdir, trained, cache):
    """Whatever a configuration says of a model."""
    encode(pvdm, trained["ldm"], "latents", "--config", "tiny_ae.yaml", *OPTIONS)
    assert contents(workdir / "latents") == contents(cache)


@pytest.mark.parametrize("how", ["deleted", "broken off"])
def test_a_resumed_run_writes_the_rest_only(pvdm, workdir, trained, cache, monkeypatch, how):
    if how == "deleted":
        shutil.copytree(cache, "latents")
        for name in ("train-00003.safetensors", "val-00000.safetensors"):
            (workdir / "latents" / name).unlink()
    else:
        from pvdm_lightning.callbacks import latent_cache_writer

        def break_off(path, *args):
            if path.name == "train-00004.safetensors":
                raise RuntimeError("interrupted")
            write(path, *args)

        write = latent_cache_writer.write_shard
        monkeypatch.setattr(latent_cache_writer, "write_shard", break_off)
        with pytest.raises(RuntimeError, match="interrupted"):
            encode(pvdm, trained["ae"], "latents", *OPTIONS)
        monkeypatch.undo()
        monkeypatch.chdir(workdir)
        assert len(list((workdir / "latents").iterdir())) == 1 + 4
        (workdir / "latents/.train-00004.safetensors.partial-0123456789ab").touch()  # as a killed run leaves it
    before = {path.name: path.stat().st_mtime_ns for path in (workdir / "latents").glob("*.*")}
    # What changes how videos are read, not what is read, may change.
    encode(pvdm, trained["ae"], "latents", *OPTIONS, "--data.num_workers", 1)
    assert contents(workdir / "latents") == contents(cache)
    after = {path.name: path.stat().st_mtime_ns for path in (workdir / "latents").iterdir()}
    assert all(after[name] == time for name, time in before.items() if "partial" not in name)


def test_being_terminated_ends_the_run(pvdm, workdir, trained, monkeypatch):
    from pvdm_lightning.callbacks import latent_cache_writer

    def terminate(path, *args):
        write(path, *args)
        os.kill(os.getpid(), signal.SIGTERM)

    write = latent_cache_writer.write_shard
    monkeypatch.setattr(latent_cache_writer, "write_shard", terminate)
    with pytest.raises(SystemExit) as ended:
        encode(pvdm, trained["ae"], "latents", *OPTIONS)
    assert ended.value.code == 143
    assert {path.name for path in (workdir / "latents").iterdir()} == {"cache.json", "train-00000.safetensors"}


def test_two_processes_write_the_same_bytes(pvdm, workdir, trained, cache):
    two = ["--trainer.devices", 2, "--trainer.strategy", "ddp"]
    options = ["--ckpt_path", trained["ae"], "--output.dir", "latents", *QUIET, *OPTIONS, *two]
    said = pvdm.fork(workdir, "encode", *options, ranks=2)
    assert contents(workdir / "latents") == contents(cache)
    assert said.count("latents: latents of 48 train windows, 4 val windows in 11 shards") == 1


def test_a_cache_of_an_earlier_version_gets_the_names_of_its_classes(pvdm, workdir, trained, cache, error_of):
    shutil.copytree(cache, "latents")
    about = json.loads((cache / "cache.json").read_text())
    del about["class_names"]
    (workdir / "latents/cache.json").write_text(json.dumps(about))
    encode(pvdm, trained["ae"], "latents", *OPTIONS)
    module = CachedLatents("latents")
    module.setup()
    assert module.class_names == ["disc", "square", "triangle", "ring"]
    (workdir / "latents/cache.json").write_text(json.dumps({**about, "class_names": ["cat", "dog"]}))
    line = error_of("encode", "--ckpt_path", trained["ae"], "--output.dir", "latents", *QUIET, *OPTIONS)
    assert "--output.dir latents: was begun when the data set had other classes. Repeat the command as it was." in line


def fit(pvdm, trained, *more):
    pvdm.run("fit", "--config", "tiny_ldm.yaml", "--model.autoencoder_checkpoint", trained["ae"], *more)


def test_training_is_the_same_as_from_pixels(pvdm, workdir, trained, load, capsys):
    encode(pvdm, trained["ae"], "latents", *ONE_WINDOW)
    fit(pvdm, trained, *ONE_WINDOW, *NO_PICTURES)
    fit(pvdm, trained, *FROM_CACHE, "latents")
    runs = sorted(path.parents[1] for path in (workdir / "runs/run").glob("*/checkpoints/last.ckpt"))
    pixels, cached = (load(run / "checkpoints/last.ckpt") for run in runs)
    assert cached["data_config"]["init_args"]["root"] == "latents"
    names = [key for key in pixels["state_dict"] if key.startswith("denoiser.")]
    weights, others = (torch.cat([run["state_dict"][key].flatten() for key in names]) for run in (pixels, cached))
    # Latents are encoded in other batches and differ by rounding, which AdamW amplifies where gradients are tiny. It
    # moves a weight by about the learning rate per step: other clips or other noise would differ by that much.
    moved = len(weights) ** 0.5 * pixels["hyper_parameters"]["learning_rate"]
    assert (weights - others).norm() < 0.01 * moved
    logs = [EventAccumulator(str(run), size_guidance={"images": 0}) for run in runs]
    for tag in ("train/loss", "val/loss"):
        one, other = ([event.value for event in log.Reload().Scalars(tag)] for log in logs)
        assert one == pytest.approx(other, rel=1e-4)
    assert {"val/clips", "val/samples", "val/planes"} <= set(logs[1].Tags()["images"])
    # The checkpoint names its data, and brings its autoencoder.
    path = "runs/run/latest/last.ckpt"
    pvdm.run("validate", "--ckpt_path", path, *QUIET)
    assert "val/loss" in capsys.readouterr().out
    shutil.rmtree("latents")
    sampling = ["--sampling.num_videos", 1, "--sampling.num_inference_steps", 2, "--output.formats", "[npy]"]
    pvdm.run("predict", "--ckpt_path", path, *QUIET, *sampling)
    assert (workdir / "samples/video_00000.npy").is_file()


def test_clips_with_none_before_them(pvdm, workdir, trained, load):
    encode(pvdm, trained["ae"], "latents", "--data.video_frames", 5, "--output.known_frames", "[last:1]")
    shard = load_file("latents/train-00000.safetensors")
    assert shard["clip"].shape == (16, 4, 26) and shard["previous"].shape == (0, 4, 26)
    assert shard["known"].shape == (16, 1, 4, 26)
    fit(pvdm, trained, *FROM_CACHE, "latents", "--trainer.max_steps", 2, *NO_PICTURES)
    assert load(pvdm.last)["global_step"] == 2


def test_float16_rounds_by_less_than_its_help_says(pvdm, workdir, trained, cache):
    encode(pvdm, trained["ae"], "half", *OPTIONS, "--output.dtype", "float16")
    one, other = (load_file(folder / "train-00000.safetensors") for folder in (cache, workdir / "half"))
    assert other["clip"].dtype == other["previous"].dtype == torch.float16
    assert (one["clip"] - other["clip"].float()).abs().max() <= 2.5e-4


def test_broken_videos_are_left_out_and_counted(pvdm, workdir, trained, monkeypatch, caplog, error_of):
    read = SyntheticVideos.read

    def fragile(self, index, frames, resolution):
        if self.first == 0 and index in (0, 5):
            raise DecodeError("is fragile")
        return read(self, index, frames, resolution)

    monkeypatch.setattr(SyntheticVideos, "read", fragile)
    # The first shard is the first video's: it has nothing to hold.
    options = ["--output.windows_per_video", 2, "--output.shard_size", 2]
    line = error_of("encode", "--ckpt_path", trained["ae"], "--output.dir", "few", *QUIET, *options)
    assert "--data.max_bad_fraction 0.1: 2 of 16 videos cannot be read" in line
    encode(pvdm, trained["ae"], "latents", *options, "--data.max_bad_fraction", 0.2)
    assert len(load_file("latents/train-00000.safetensors")["clip"]) == 0
    assert caplog.text.count("synthetic video 5 cannot be read and is skipped: is fragile") == 2  # once a run
    CachedLatents("latents").setup()
    assert "train: latents of 14 videos, 28 windows, 2 videos broken" in caplog.text


def test_a_cache_of_another_autoencoder_is_refused(pvdm, workdir, trained, cache, error_of, load):
    checkpoint = load(trained["ae"])
    key = next(key for key in checkpoint["state_dict"] if key.startswith("autoencoder.decoder."))
    checkpoint["state_dict"][key] += 1e-3
    torch.save(checkpoint, "other.ckpt")
    refused = f"pvdm: error: --data.root {cache}: holds latents of another autoencoder than the one this run decodes"
    first_stage = ["--model.autoencoder_checkpoint", "other.ckpt"]
    assert error_of("fit", "--config", "tiny_ldm.yaml", *FROM_CACHE, cache, *first_stage).startswith(refused)
    of_two = load(trained["ldm"])  # stage two brings its own
    of_two["state_dict"][f"autoencoder.{key}"] += 1e-3
    torch.save(of_two, "two.ckpt")
    for command in ("fit", "validate"):
        args = [command, "--config", "tiny_ldm.yaml", *FROM_CACHE, cache, "--ckpt_path", "two.ckpt"]
        assert error_of(*args).startswith(refused)
    into = ["--output.dir", cache, *OPTIONS, *QUIET]
    line = error_of("encode", "--ckpt_path", "other.ckpt", *into)
    assert line == (
        f"pvdm: error: --output.dir {cache}: holds latents of another autoencoder. "
        "Name another folder, or delete this one to write it anew."
    )


def fewer_videos(init):
    return lambda self, first, num_videos, *args: init(self, first, num_videos - 1, *args)


def test_mistakes(pvdm, workdir, trained, cache, error_of, monkeypatch):
    def said(*args):
        return error_of("encode", "--ckpt_path", trained["ae"], *QUIET, *args)

    assert "--ckpt_path None: encode needs a trained model" in error_of("encode")
    assert "--ckpt_path no.ckpt: there is no such file" in error_of("encode", "--ckpt_path", "no.ckpt")
    assert "--output.dir tiny_ae.yaml: is a file. Name a folder." in said("--output.dir", "tiny_ae.yaml")
    (workdir / "shards").mkdir()
    (workdir / "shards/train-00000.safetensors").touch()
    assert "--output.dir shards: has shards and no cache.json. Name" in said("--output.dir", "shards")
    for how in (["--data.resolution", "[16, 16]"], ["--data.frames", 2]):
        assert "of the autoencoder. Leave the data's frames and resolution out" in said("--output.dir", "other", *how)
    for how in (["--trainer.limit_predict_batches", 2], ["--trainer.fast_dev_run", "true"]):
        line = said("--output.dir", "other", *how)
        assert f"{how[0]} {str(how[1]).capitalize()}: would leave the cache unfinished. Leave it out." in line
    assert not (workdir / "other").exists()
    masks = ["--output.known_frames", "[first:2, firts:1]"]
    assert "--output.known_frames firts:1: is not a kind of known frames. Give first:K, last:K" in said(*masks)
    assert "--output.known_frames last:5: is beyond the 4 frames of a clip." in said(masks[0], "[last:5]")
    options = ["--output.dir", cache, *OPTIONS]
    line = said(*options, masks[0], "[ends:1, first:1]")
    assert (
        "was begun with other settings (known_frames was ['first:1', 'ends:1'], and is ['ends:1', 'first:1'])" in line
    )
    line = said(*options, "--output.flips", "false")
    assert "was begun with other settings (flips was True, and is False). Repeat the command as it was." in line
    line = said(*options, "--data.video_frames", 20)
    assert "was begun with other settings (data.init_args.video_frames was 16, and is 20)" in line
    with monkeypatch.context() as changed:  # as if a video of the folder had been deleted
        changed.setattr(SyntheticVideos, "__init__", fewer_videos(SyntheticVideos.__init__))
        assert f"--output.dir {cache}: was begun when the data set had other videos. Repeat" in said(*options)
    data = ["--data", "CachedLatents", "--data.root", cache]
    assert "--data CachedLatents: encoding needs videos. Give their data set, as to fit." in said(*data)
    line = error_of("fit", "--config", "tiny_ae.yaml", *FROM_CACHE, cache)
    assert "--data CachedLatents: gives latents, and stage one needs videos. Give the videos' data set." in line
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10))
    line = said("--output.dir", "full")
    assert "--output.dir full: 0.0 GB are to be written, and 0.0 GB are free there. Free some, store fewer" in line
    assert not (workdir / "full").exists()


def test_latents_of_members_of_an_archive_have_their_labels_and_follow_it(pvdm, workdir, trained, error_of):
    """The archive is what is remembered of them: one that changed has other latents."""
    with tarfile.open(workdir / "shards.tar", "w") as archive:
        for number in range(4):
            write_video(SyntheticVideos(number, 1, 12, 0).read(0, range(12), (16, 24)), workdir / f"{number}.mp4")
            (workdir / "class").write_text(f"{7 + number % 2}")
            archive.add(workdir / f"{number}.mp4", f"{number:03d}.mp4")
            archive.add(workdir / "class", f"{number:03d}.cls")
    (workdir / "train.txt").write_text("".join(f"shards.tar/00{number}.mp4\n" for number in range(3)))
    (workdir / "val.txt").write_text("shards.tar/003.mp4\n")
    data = ["--data", "WebDataset", "--data.root", workdir, "--data.num_workers", 0]
    data += ["--data.train_list", "train.txt", "--data.val_list", "val.txt"]
    encode(pvdm, trained["ae"], "latents", *data)
    shard = load_file("latents/train-00000.safetensors")
    assert shard["index"].tolist() == [0, 1, 2] and shard["label"].tolist() == [0, 1, 0]
    before = contents(workdir / "latents")
    encode(pvdm, trained["ae"], "latents", *data)  # finished: nothing is done
    assert contents(workdir / "latents") == before
    cached = CachedLatents("latents")
    cached.setup()
    assert cached.class_names == ["7", "8"]
    with tarfile.open(workdir / "shards.tar", "a") as archive:
        archive.add(workdir / "0.mp4", "003.mp4")
    with pytest.raises(InvalidArgumentError, match=r"holds latents of 1 videos .* such as .*/shards\.tar\. Run"):
        CachedLatents("latents").setup()
    assert "--output.dir latents: " in error_of(
        "encode", "--ckpt_path", trained["ae"], "--output.dir", "latents", *data
    )
