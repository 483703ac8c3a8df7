"""Videos in arrays, from a file through both stages."""

import json

import numpy as np
import torch
from safetensors.torch import load_file

QUIET = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]


def write(seed=0):
    """Twelve videos of twelve frames; frames of one are alike, videos are not."""
    rng = np.random.default_rng(seed)
    videos = rng.integers(0, 200, (12, 1, 20, 24), np.uint8) + np.arange(12, dtype=np.uint8)[:, None, None]
    np.savez("set/mnist.npz", videos=videos.transpose(1, 0, 2, 3), labels=np.arange(12) % 3)


def test_fit_resume_and_encode(pvdm, workdir, load, error_of):
    (workdir / "set").mkdir()
    write()
    data = ["--data", "ArrayFolder", "--data.root", "set", "--data.num_workers", 0, "--data.batch_size", 2]
    data += ["--data.val_fraction", 0.25, "--data.value_range", "[0,255]"]  # of floats, of which there are none
    fit = ["fit", "--config", "tiny_ae.yaml", *data, "--video_logger.num_videos", 0]
    pvdm.run(*fit)
    whole = load(pvdm.last)["state_dict"]
    pvdm.run(*fit, "--trainer.max_steps", 2, "--run_name", "half")
    pvdm.run(*fit, "--run_name", "half", "--resume")
    resumed = load(workdir / "runs/half/latest/last.ckpt")
    assert resumed["global_step"] == 4 and resumed["data_config"]["init_args"]["val_fraction"] == 0.25
    assert list(resumed["data_config"]["init_args"]["value_range"]) == [0, 255]
    assert all(torch.equal(resumed["state_dict"][name], value) for name, value in whole.items())

    encode = ["encode", "--ckpt_path", pvdm.last, "--output.dir", "latents", "--data.num_workers", 0, *QUIET]
    pvdm.run(*encode)
    about = json.loads((workdir / "latents/cache.json").read_text())
    assert about["class_names"] == ["0", "1", "2"]
    assert sum(split["videos"] for split in about["splits"].values()) == 12
    assert {*load_file("latents/train-00000.safetensors")["label"].tolist()} == {0, 1, 2}
    before = {path.name: path.stat().st_mtime_ns for path in (workdir / "latents").glob("*-0*")}
    pvdm.run(*encode)
    assert before == {path.name: path.stat().st_mtime_ns for path in (workdir / "latents").glob("*-0*")}

    write(seed=1)
    cached = ["fit", "--config", "tiny_ldm.yaml", "--config", "data/cached_latents.yaml", "--data.root", "latents"]
    said = error_of(*cached, "--model.autoencoder_checkpoint", pvdm.last)
    assert "--data.root latents: holds latents of 1 videos that have changed since, such as " in said
    assert "set/mnist.npz. Run `pvdm encode`" in said
