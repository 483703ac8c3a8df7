"""VideoPipeline gives what the commands give, from a checkpoint and from a folder."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pvdm_lightning import InvalidArgumentError, VideoPipeline, read_video, write_video
from pvdm_lightning.pipeline.loading import find_folder

README = Path(__file__).parents[2] / "README.md"


def difference(one, two):
    """The largest difference of two uint8 tensors, in grey levels."""
    return int((one.int() - two.int()).abs().max())


@pytest.fixture
def pipeline(trained):
    return VideoPipeline.from_checkpoint(trained["ldm"])


def test_samples_are_those_of_predict(pvdm, workdir, trained, pipeline):
    options = ["--sampling.num_videos", 3, "--sampling.num_frames", 6, "--sampling.num_inference_steps", 3]
    options += ["--sampling.guidance_scale", 2, "--sampling.seed", 5, "--output.formats", "[npy]"]
    pvdm.run("predict", "--ckpt_path", trained["ldm"], "--trainer.accelerator", "cpu", *options)
    videos = pipeline.sample(3, 6, num_inference_steps=3, guidance_scale=2, seed=5, batch_size=2)
    assert (videos.shape, videos.dtype) == ((3, 3, 6, 16, 24), torch.uint8)
    for number, video in enumerate(videos):
        predicted = np.load(f"samples/video_0000{number}.npy").astype(int)
        assert np.abs(video.permute(1, 2, 3, 0).numpy().astype(int) - predicted).max() <= 1


def test_a_saved_folder_is_the_same_pipeline(workdir, pipeline):
    pipeline.save_pretrained("saved")
    assert sorted(path.name for path in Path("saved").iterdir()) == ["README.md", "config.json", "model.safetensors"]
    again = VideoPipeline.from_pretrained("saved")
    assert torch.equal(again.sample(num_inference_steps=2), pipeline.sample(num_inference_steps=2))
    again.save_pretrained("twice")
    for name in ("README.md", "config.json", "model.safetensors"):
        assert Path("saved", name).read_bytes() == Path("twice", name).read_bytes()
    card = Path("saved/README.md").read_text()
    assert "Trained on: `pvdm_lightning.Synthetic`" in card and "Optimizer steps: 4" in card and "val/loss" in card


def test_one_loader_takes_checkpoints_runs_and_saved_pipelines(workdir, trained, pipeline):
    expected = pipeline.sample(num_inference_steps=2)
    pipeline.save_pretrained("saved")
    Path("copied.ckpt").symlink_to(trained["ldm"])
    for path in (trained["ldm"], "copied.ckpt", trained["ldm"].parent, trained["ldm"].parents[1], "saved"):
        for load in (VideoPipeline.from_pretrained, VideoPipeline.from_checkpoint):
            assert torch.equal(load(path).sample(num_inference_steps=2), expected), path
    assert VideoPipeline.from_checkpoint("showcase").sampling.sampler == "dpm_solver"
    with pytest.raises(InvalidArgumentError, match="nowhere"):
        VideoPipeline.from_checkpoint("nowhere")


def test_commands_take_a_saved_folder_as_they_take_a_checkpoint(pvdm, workdir, trained, pipeline, error_of):
    options = ["--trainer.accelerator", "cpu", "--sampling.num_videos", 2, "--sampling.num_inference_steps", 2]
    options += ["--output.formats", "[npy]"]
    pipeline.save_pretrained("saved")
    for path, out in ((trained["ldm"], "one"), ("saved", "two")):
        pvdm.run("predict", "--ckpt_path", path, *options, "--output.dir", out)
    for number in (0, 1):
        name = f"video_0000{number}.npy"
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()
    VideoPipeline.from_checkpoint(trained["ae"]).save_pretrained("first")
    pvdm.run("predict", "--ckpt_path=first", *options, "--output.dir", "reconstructed")
    assert len(list(Path("reconstructed").glob("video_*.npy"))) == 2
    Path("empty").mkdir()
    assert "empty: holds no pipeline that can be read" in error_of("predict", "--ckpt_path", "empty")


def test_pictures_lie_beside_enlarged_videos(pvdm, workdir, trained):
    options = ["--sampling.num_videos", 3, "--sampling.batch_size", 2, "--sampling.num_inference_steps", 2]
    options += ["--output.least_side", 40, "--output.formats", "npy"]
    pvdm.run("predict", "--ckpt_path", trained["ldm"], "--trainer.accelerator", "cpu", *options)
    assert np.load("samples/video_00000.npy").shape == (4, 48, 72, 3)  # 3 x 16 is the first multiple that has 40
    assert Image.open("samples/contact_sheet.png").size == (4 * 192, 3 * 128)


def test_stage_one_alone(workdir, trained):
    pipeline = VideoPipeline.from_checkpoint(trained["ae"])
    clips = torch.randint(0, 256, (2, 3, *pipeline.clip_shape), dtype=torch.uint8)
    latent = pipeline.encode(clips)
    assert latent.z_s.abs().max() <= 1
    assert torch.equal(pipeline.decode(latent), pipeline.reconstruct(clips))
    pipeline.save_pretrained("saved")
    assert torch.equal(VideoPipeline.from_pretrained("saved").reconstruct(clips), pipeline.reconstruct(clips))
    with pytest.raises(InvalidArgumentError, match="only stage one is trained"):
        pipeline.sample()
    with pytest.raises(ValueError, match="this autoencoder takes clips"):
        pipeline.encode(clips[:, :, :1])


def test_given_videos_are_continued(pipeline):
    clips = torch.randint(0, 256, (3, 3, *pipeline.clip_shape), dtype=torch.uint8)
    options = {"num_frames": 5, "num_inference_steps": 2}
    videos = pipeline.sample(previous=clips, batch_size=2, **options)
    assert videos.shape == (3, 3, 5, *pipeline.clip_shape[1:])
    assert difference(videos, pipeline.sample(3, **options)) > 1
    assert difference(videos[:1], pipeline.sample(previous=clips[:1], **options)) <= 1  # up to rounding


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"num_frames": 0}, "Sampling.num_frames 0: is not positive"),
        ({"eta": 2}, "Sampling.eta 2: is not between 0 and 1"),
        ({"num_inference_steps": 2000}, "Sampling.num_inference_steps 2000: is more than the 1000 steps"),
        ({"sampler": "euler"}, "Sampling.sampler euler: is not a sampler. Give ddim, ddpm, dpm_solver or"),
    ],
)
def test_arguments_that_cannot_be_used(pipeline, options, said):
    with pytest.raises(InvalidArgumentError, match=said):
        pipeline.sample(**options)


def test_folders_that_hold_no_pipeline(workdir, pipeline):
    with pytest.raises(
        InvalidArgumentError, match=r"VideoPipeline.path nowhere: there is no such file or folder. Give a"
    ):
        VideoPipeline.from_pretrained("nowhere")
    Path("empty").mkdir()
    with pytest.raises(InvalidArgumentError, match=r"VideoPipeline.folder empty: holds no pipeline"):
        VideoPipeline.from_pretrained("empty")
    pipeline.save_pretrained("saved")
    config = json.loads(Path("saved/config.json").read_text())
    for name, damaged in (("format", {**config, "format": 9}), ("dim", {**config, "autoencoder": {"dim": 12}})):
        Path("saved/config.json").write_text(json.dumps(damaged))
        with pytest.raises(InvalidArgumentError, match=name):
            VideoPipeline.from_pretrained("saved")


def test_the_lines_of_the_readme(workdir):
    """As printed, without anything from Lightning on the screen."""
    _, _, rest = README.read_text().partition("```python\n")
    lines = rest.partition("```")[0]
    run = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    videos = sorted(Path().glob("*.mp4"))
    assert videos
    assert read_video(videos[0]).shape[0] == 3


def test_what_is_written_is_read(workdir):
    video = torch.randint(0, 256, (3, 5, 16, 24), dtype=torch.uint8)
    assert torch.equal(read_video(write_video(video, "frames")), video)
    small = read_video("frames", frames=[1, 3], resolution=(8, 12))
    assert small.shape == (3, 2, 8, 12)
    with pytest.raises(ValueError, match=r"a\.avi: videos are written as"):
        write_video(video, "a.avi")
    with pytest.raises(ValueError, match="cannot be read"):
        read_video(__file__)


@pytest.mark.parametrize("name", ["README.md", "config.json", "model.safetensors"])
def test_a_file_of_the_users_is_not_replaced_by_a_saved_pipeline(workdir, pipeline, name):
    Path("project").mkdir()
    Path("project", name).write_text("precious")
    with pytest.raises(InvalidArgumentError, match=rf"VideoPipeline.folder project: holds {name}, which is not of"):
        pipeline.save_pretrained("project")
    assert [path.read_text() for path in Path("project").iterdir()] == ["precious"]
    for _ in range(2):
        pipeline.save_pretrained("saved")


@pytest.mark.parametrize("held", [[], ["video_00000.mp4"], ["config.json"], ["model.safetensors"], "file"])
def test_a_folder_called_showcase_hides_nothing(workdir, held):
    if held == "file":
        Path("showcase").touch()
    else:
        Path("showcase").mkdir()
        for name in held:
            Path("showcase", name).write_text("{}")
    assert find_folder("showcase").parent.name == "pvdm_lightning"


def test_a_pipeline_called_showcase_is_that_one(workdir, pipeline):
    pipeline.save_pretrained("showcase")
    assert find_folder("showcase") == Path("showcase")
