"""`pvdm predict`: videos in files."""

import os
import signal

import av
import numpy as np
import pytest
import torch
from PIL import Image

from pvdm_lightning import VideoPipeline
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.pipeline.autoguidance import weights_sha256


def sample(pvdm, trained, folder, *more, formats="[npy]"):
    pvdm.run(
        "predict",
        "--ckpt_path",
        trained["ldm"],
        "--trainer.accelerator",
        "cpu",
        "--sampling.num_inference_steps",
        3,
        "--output.dir",
        folder,
        "--output.formats",
        formats,
        *more,
    )


def test_formats_and_length(pvdm, workdir, trained):
    """Ten frames of clips of four: three clips, cut."""
    options = ["--sampling.num_videos", 2, "--sampling.num_frames", 10, "--output.fps", 5]
    sample(pvdm, trained, "out", *options, formats="[mp4,gif,png,npy]")
    assert sorted(path.name for path in (workdir / "out").glob("video_*")) == sorted(
        f"video_0000{i}{suffix}" for i in range(2) for suffix in (".mp4", ".gif", "", ".npy")
    )
    video = np.load("out/video_00001.npy")
    assert video.shape == (10, 16, 24, 3)
    assert video.dtype == np.uint8
    pictures = sorted((workdir / "out/video_00001").iterdir())
    assert np.array_equal(np.asarray(Image.open(pictures[9])), video[9])
    with av.open("out/video_00001.mp4") as container:
        assert container.streams.video[0].average_rate == 5
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert np.stack(decoded).shape == video.shape
    gif = Image.open("out/video_00001.gif")
    assert gif.n_frames == 10
    assert gif.info["duration"] == 200


def test_fewer_videos_than_processes_are_refused(workdir, trained, error_of):
    two = ["--trainer.accelerator", "cpu", "--trainer.devices", 2, "--trainer.strategy", "ddp_spawn"]
    line = error_of("predict", "--ckpt_path", trained["ldm"], *two, "--sampling.num_videos", 1)
    assert "--sampling.num_videos 1: is fewer than the 2 processes, and each needs one. Use fewer" in line


def test_being_terminated_ends_the_run_at_once(pvdm, workdir, trained, monkeypatch):
    forward, before, calls = TriplaneUNet.forward, signal.getsignal(signal.SIGTERM), []

    def terminated(*args):
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return forward(*args)

    monkeypatch.setattr(TriplaneUNet, "forward", terminated)
    with pytest.raises(SystemExit) as ended:
        sample(pvdm, trained, "out", "--sampling.num_videos", 1)
    signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 143
    assert len(calls) == 2
    assert not list(workdir.glob("out/*"))


def test_a_seed_gives_the_same_videos_in_any_batch(pvdm, workdir, trained):
    for folder, batch_size in (("one", 1), ("three", 3)):
        sample(pvdm, trained, folder, "--sampling.num_videos", 3, "--sampling.batch_size", batch_size)
    sample(pvdm, trained, "other", "--sampling.num_videos", 3, "--sampling.seed", 1)
    for i in range(3):
        one, three, other = (np.load(f"{name}/video_0000{i}.npy").astype(int) for name in ("one", "three", "other"))
        assert np.abs(one - three).max() <= 1
        assert np.abs(one - other).max() > 1
    assert np.abs(np.load("one/video_00000.npy").astype(int) - np.load("one/video_00001.npy")).max() > 1


@pytest.mark.parametrize("sampler", ["ddim", "dpm_solver"])
def test_samplers_and_guidance(pvdm, workdir, trained, sampler):
    options = ["--sampling.num_videos", 1, "--sampling.sampler", sampler, "--sampling.num_inference_steps_later", 2]
    sample(pvdm, trained, "plain", *options, "--sampling.num_frames", 8)
    sample(
        pvdm,
        trained,
        "guided",
        *options,
        "--sampling.num_frames",
        8,
        "--sampling.guidance_scale",
        3.5,
    )
    differences = abs(np.subtract(*(np.load(f"{name}/video_00000.npy").astype(int) for name in ("plain", "guided"))))
    assert differences[:4].max() <= 1  # the first clip has no condition to be guided by
    assert differences[4:].max() > 1


def test_autoguidance_takes_an_earlier_checkpoint(pvdm, workdir, trained, load, error_of):
    """Within an interval; the videos are those of the library, which takes the network as an object."""
    earlier = load(trained["ldm"])
    earlier["state_dict"]["ema.network.head_conv.weight"].mul_(-1)
    torch.save(earlier, "earlier.ckpt")
    options = ["--sampling.num_videos", 1, "--sampling.guidance_interval", "0.2,0.8"]
    by = ["--sampling.autoguidance_ckpt", "earlier.ckpt", "--sampling.autoguidance_scale", 3]
    sample(pvdm, trained, "out", *options, *by, formats="[npy,mp4]")
    pipeline, worse = (VideoPipeline.from_pretrained(path) for path in (trained["ldm"], "earlier.ckpt"))
    how = {"num_inference_steps": 3, "guidance_interval": (0.2, 0.8), "autoguidance": worse, "autoguidance_scale": 3}
    video = pipeline.sample(**how)[0].permute(1, 2, 3, 0).numpy().astype(int)
    assert np.abs(video - np.load("out/video_00000.npy")).max() <= 1
    plain = pipeline.sample(num_inference_steps=3)[0].permute(1, 2, 3, 0).numpy().astype(int)
    assert np.abs(video - plain).max() > 1
    with av.open("out/video_00000.mp4") as container:
        assert f'"autoguidance_sha256": "{weights_sha256(worse.denoiser)}"' in container.metadata["comment"]

    predict = ["predict", "--ckpt_path", trained["ldm"], "--trainer.accelerator", "cpu"]
    for more, said in (
        (
            by[2:],
            "--sampling.autoguidance_scale 3.0: there is no worse network to move away from. Give --sampling.autogui",
        ),
        (
            by[:2],
            "--sampling.autoguidance_ckpt earlier.ckpt: has no effect at an autoguidance_scale of 1. Give --sampling",
        ),
        (
            [by[0], trained["ae"], *by[2:]],
            f"--sampling.autoguidance_ckpt {trained['ae']}: has no denoiser, only stage one",
        ),
        ([by[0], "earlie.ckpt", *by[2:]], "--sampling.autoguidance_ckpt earlie.ckpt: there is no such file or folder."),
    ):
        assert error_of(*predict, *more).startswith(f"pvdm: error: {said}")


def test_reconstructions_of_stage_one(pvdm, workdir, trained):
    pvdm.run(
        "predict",
        "--ckpt_path",
        trained["ae"],
        "--trainer.accelerator",
        "cpu",
        "--sampling.num_videos",
        2,
        "--output.formats",
        "[png]",
    )
    folders = sorted((workdir / "samples").glob("video_*"))
    assert len(folders) == 2
    assert Image.open(folders[0] / "frame_00003.png").size == (48, 16)


def test_videos_are_not_replaced_unasked(pvdm, workdir, trained, error_of):
    sample(pvdm, trained, "out", "--sampling.num_videos", 1)
    line = error_of("predict", "--ckpt_path", trained["ldm"], "--output.dir", "out", "--trainer.accelerator", "cpu")
    assert line.startswith("pvdm: error: --output.dir out: already holds videos.")
    sample(pvdm, trained, "out", "--sampling.num_videos", 1, "--output.overwrite", "true")
    assert len(list((workdir / "out").glob("video_*"))) == 1


def test_a_page_a_sheet_and_one_file_of_all(pvdm, workdir, trained):
    """By two processes as by one: the first joins what both have written."""
    import numpy as np

    from pvdm_lightning.data.videos.metadata import read_metadata

    options = ["--sampling.num_videos", 3, "--sampling.batch_size", 1, "--sampling.num_inference_steps", 2]
    options += ["--output.formats", "mp4,npz", "--trainer.accelerator", "cpu", "--ckpt_path", trained["ldm"]]
    pvdm.run("predict", *options, "--output.dir", "one")
    two = ["--trainer.devices", 2, "--trainer.strategy", "ddp", "--output.dir", "two"]
    pvdm.fork(workdir, "predict", *options, *two, ranks=2)
    names = {path.name for path in (workdir / "one").iterdir()}
    assert names == {"index.html", "contact_sheet.png", "videos.npz", *(f"video_0000{i}.mp4" for i in range(3))}
    assert {path.name for path in (workdir / "two").iterdir()} == names
    videos = [np.load(workdir / folder / "videos.npz")["videos"].astype(int) for folder in ("one", "two")]
    assert videos[0].shape[0] == 3 and np.abs(videos[0] - videos[1]).max() <= 1
    said = read_metadata(workdir / "one/video_00002.mp4")
    assert (
        said["video"] == 2 and said["sampling"]["num_inference_steps"] == 2 and len(said["checkpoint"]["sha256"]) == 64
    )
    page = (workdir / "one/index.html").read_text()
    assert page.count("<video ") == 3 and "num_inference_steps" in page and said["checkpoint"]["sha256"] in page


def test_the_contact_sheet_beside_folders_of_frames_is_no_video(pvdm, workdir, trained):
    from pvdm_lightning.data.index.video_tree import find_frame_folders

    options = ["--sampling.num_videos", 2, "--sampling.num_inference_steps", 1, "--output.formats", "png"]
    pvdm.run("predict", "--ckpt_path", trained["ldm"], "--trainer.accelerator", "cpu", *options)
    assert (workdir / "samples/contact_sheet.png").is_file()
    assert find_frame_folders(workdir / "samples") == ["video_00000", "video_00001"]


def test_a_process_without_a_video_does_not_hold_up_the_others(pvdm, workdir, trained):
    two = ["--trainer.accelerator", "cpu", "--trainer.devices", 2, "--trainer.strategy", "ddp"]
    one = ["--sampling.num_videos", 1, "--output.formats", "png", "--data.num_val_videos", 1, "--data.video_frames", 4]
    pvdm.fork(workdir, "predict", "--ckpt_path", trained["ae"], *two, *one, ranks=2)
    assert (workdir / "samples/index.html").read_text().count("<figure>") == 1
