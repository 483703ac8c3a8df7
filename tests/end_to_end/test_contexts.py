"""Vectors that videos are conditioned on, from a file to samples."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pvdm_lightning.data import write_contexts

QUIET = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
FIRST_VAL = 2**40
EXAMPLES = Path(__file__).parents[2] / "docs" / "extending"


def vectors(number):
    return torch.full((2, 3), number / 16)


def write_vectors(path, scale=1.0):
    """Vectors of all videos of the tiny data set."""
    numbers = [*range(16), *range(FIRST_VAL, FIRST_VAL + 4)]
    write_contexts(path, {f"synthetic video {number}": scale * vectors(number % FIRST_VAL) for number in numbers})


def test_from_a_file_through_a_cache_to_samples(pvdm, workdir, trained, error_of):
    encode = ["encode", "--ckpt_path", trained["ae"], "--output.dir", "latents", *QUIET]
    pvdm.run(*encode, "--data.num_workers", 0)
    before = {path.name: path.read_bytes() for path in (workdir / "latents").iterdir()}
    fit = ["fit", "--config", "tiny_ldm.yaml", "--model.autoencoder_checkpoint", trained["ae"]]
    fit += ["--video_logger.num_videos", 0, "--trainer.max_steps", 2]
    takes = ["--model.denoiser.context_channels", 3]
    cached = ["--config", "data/cached_latents.yaml", "--data.root", "latents", "--data.batch_size", 4]
    assert error_of(*fit, *takes) == (
        "pvdm: error: --data.context None: is missing: the denoiser attends to vectors of "
        "--model.denoiser.context_channels 3. Give a file with the vectors of each video, or leave "
        "--model.denoiser.context_channels out."
    )
    assert "--data.root latents: has no vectors" in error_of(*fit, *takes, *cached)

    write_vectors("contexts.safetensors")
    assert "--model.denoiser.context_channels 5: is not the 3 channels" in error_of(
        *fit, "--model.denoiser.context_channels", 5, "--data.context", "contexts.safetensors"
    )
    pvdm.run(*encode, "--data.num_workers", 0, "--data.context", "contexts.safetensors")
    after = {path.name: path.read_bytes() for path in (workdir / "latents").iterdir()}
    assert {name for name in after if after[name] != before.get(name)} == {
        *("cache.json", "train-context.safetensors", "val-context.safetensors")
    }
    assert json.loads(after["cache.json"])["context"] == [2, 3]
    stored = load_file("latents/train-context.safetensors")
    assert torch.equal(stored["context"], torch.stack([vectors(number) for number in stored["index"].tolist()]))
    write_vectors("others.safetensors", scale=2.0)
    pvdm.run(*encode, "--data.num_workers", 0, "--data.context", "others.safetensors")
    assert torch.equal(load_file("latents/train-context.safetensors")["context"], 2 * stored["context"])

    pvdm.run(*fit, *takes, *cached)
    scalars = EventAccumulator(str(next(Path("runs/run").glob("*/events*")).parent)).Reload().Tags()["scalars"]
    assert "val/loss_context" in scalars
    np.save("wanted.npy", np.stack([vectors(3), vectors(9)]))
    predict = ["predict", "--ckpt_path", pvdm.last, *QUIET, "--sampling.num_videos", 3, "--output.formats", "[npy]"]
    predict += ["--sampling.num_inference_steps", 1, "--output.dir"]
    pvdm.run(*predict, "videos", "--sampling.context", "wanted.npy")
    assert len(list((workdir / "videos").glob("*.npy"))) == 3
    np.save("wrong.npy", np.ones((2, 5)))
    assert error_of(*predict, "no", "--sampling.context", "wrong.npy") == (
        "pvdm: error: --sampling.context wrong.npy: has vectors of 5 channels, and the model takes those of 3. "
        "Give such vectors."
    )
    predict[predict.index("--ckpt_path") + 1] = trained["ldm"]
    assert "and the model takes no context. Leave it" in error_of(*predict, "no", "--sampling.context", "wrong.npy")


def test_an_action_per_frame_by_its_preset(pvdm, workdir, trained, error_of, monkeypatch):
    """The example of docs/extending, as its preset runs it; the file of weights names a class that is to be trusted."""
    monkeypatch.syspath_prepend(EXAMPLES)
    fit = ["fit", "--config", "tiny_ldm.yaml", "--config", EXAMPLES / "action_condition.yaml"]
    fit += ["--model.autoencoder_checkpoint", trained["ae"], "--video_logger.num_videos", 0, "--trainer.max_steps", 2]
    narrow = ["--model.denoiser.base_channels", 32, "--model.denoiser.channel_multipliers", "[1]"]
    narrow += ["--model.denoiser.blocks_per_level", 1, "--model.denoiser.heads", 2]
    pvdm.run(*fit, *narrow, "--data.num_workers", 0, "--data.batch_size", 2)
    predict = ["predict", "--ckpt_path", pvdm.last, *QUIET, "--sampling.num_videos", 1]
    predict += ["--sampling.num_inference_steps", 1, "--output.formats", "[npy]", "--output.dir", "videos"]
    assert "--trust_class action_condition.ActionUNet" in error_of(*predict)
    pvdm.run(*predict, "--trust_class", "action_condition.ActionUNet")
    assert len(list((workdir / "videos").glob("*.npy"))) == 1
    assert error_of(*fit, *narrow, "--data", "Synthetic") == (
        "pvdm: error: --data Synthetic: gives no action, which the denoiser takes. Give a data set that does, see "
        "docs/extending.md."
    )
