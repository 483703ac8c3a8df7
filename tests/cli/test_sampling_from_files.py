"""What `pvdm predict` is told to make: classes, pictures, videos to go on from. By a small pipeline, not trained."""

import os
import sys
import weakref

import numpy as np
import pytest
import torch
from PIL import Image

from pvdm_lightning import VideoPipeline, cli, write_video
from pvdm_lightning.cli.sampling_from_files import SamplingFromFiles
from pvdm_lightning.data.videos.metadata import read_metadata
from small_pipeline import build

NAMES = ["Playing Guitar", "<b>Surfing</b>", "\x1b[31mred"]
SAME = {"num_videos": 2, "num_inference_steps": 2, "seed": 0}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folders of two pipelines: one takes classes and known frames, the other neither, as in the paper."""
    folder = tmp_path_factory.mktemp("saved")
    conditions = {"num_classes": 3, "class_names": NAMES, "known_frames": True}
    for name, options in (("all", conditions), ("paper", {})):
        pipeline = build(**options)
        generator = torch.Generator().manual_seed(0)
        for parameter in pipeline.denoiser.parameters():  # some start at zero, and conditions would have no effect
            torch.nn.init.normal_(parameter, std=0.3, generator=generator)
        pipeline.save_pretrained(folder / name)
    return folder


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    """A folder with pictures and videos of moving bars, and the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pvdm"])
    video = torch.zeros(3, 9, 20, 32, dtype=torch.uint8)
    for number in range(9):
        video[:, number, :, 3 * number : 3 * number + 6] = 20 * number + 80
    for name in ("clip.npy", "clip.gif", "frames"):
        write_video(video, name)
    write_video(video[:, :2], "two.gif")
    Image.fromarray(video[:, 0].permute(1, 2, 0).numpy()).save("a.png")
    Image.fromarray(video[:, 8].permute(1, 2, 0).numpy()).save("b.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    return tmp_path


def predict(pipeline, *options, formats="npy", out="samples"):
    quick = ["--sampling.num_videos", 2, "--sampling.num_inference_steps", 2, "--output.overwrite", "true"]
    quick += ["--output.formats", formats, "--output.dir", out, "--trainer.accelerator", "cpu"]
    cli.main([str(word) for word in ("predict", "--ckpt_path", pipeline, *quick, *options)])
    if "npy" in formats:
        names = [f"{out}/video_{number:05d}.npy" for number in range(2)]
        return torch.stack([torch.from_numpy(np.load(name)).permute(3, 0, 1, 2) for name in names])
    return None


def is_same(one, two):
    return one.shape == two.shape and int((one.int() - two.int()).abs().max()) <= 1


def read(name):
    """A video as the model sees it, uint8 [1 3 T 16 16]."""
    from pvdm_lightning import read_video

    return read_video(name, resolution=(16, 16))[None]


def test_classes_by_name_or_number_in_page_sheet_and_metadata(saved, workdir):
    made = predict(saved / "all", "--sampling.class_names", "1,Playing Guitar", formats="npy,gif")
    pipeline = VideoPipeline.from_pretrained(saved / "all")
    assert is_same(made, pipeline.sample(class_names=[1, 0], **SAME))
    assert not is_same(made, pipeline.sample(class_names=[0, 1], **SAME))
    page = (workdir / "samples/index.html").read_text()
    assert page.count("<h2>") == 2 and "<b>" not in page
    assert page.index("<h2>&lt;b&gt;Surfing") < page.index("<h2>Playing Guitar")
    assert "video 1 &middot; Playing Guitar &middot;" in page
    assert read_metadata("samples/video_00001.gif")["class"] == "Playing Guitar"
    assert Image.open("samples/contact_sheet.png").size == (4 * 128, 2 * (128 + 26))


def test_every_class_has_its_grid_by_default(saved, workdir):
    predict(saved / "all", "--sampling.num_videos", 5, formats="png")
    page = (workdir / "samples/index.html").read_text()
    grids = page.split("<h2>")[1:]
    assert [grid.count("<figure>") for grid in grids] == [2, 2, 1] and "\x1b" not in page
    predict(saved / "all", "--sampling.class_names", "[]", formats="png")
    assert "<h2>" not in (workdir / "samples/index.html").read_text()
    (workdir / "classes.yaml").write_text("sampling: {class_names: [2]}")
    predict(saved / "all", "--config", "classes.yaml", formats="png")
    assert (workdir / "samples/index.html").read_text().count("<h2>") == 1


def test_a_picture_is_the_first_frame_and_a_second_one_the_last(saved, workdir):
    pipeline = VideoPipeline.from_pretrained(saved / "all")
    first, last = (read("frames")[:, :, number] for number in (0, 8))
    clip = torch.zeros(1, 3, 4, 16, 16, dtype=torch.uint8)
    clip[:, :, 0], clip[:, :, 3] = first, last
    made = predict(saved / "all", "--sampling.from_image", workdir / "a.png", "--sampling.num_frames", 6)
    assert is_same(made, pipeline.sample(num_frames=6, known=clip, known_mask="first:1", **SAME))
    made = predict(saved / "all", "--sampling.from_image", "a.png,b.png", formats="npy,gif")
    assert is_same(made, pipeline.sample(known=clip, known_mask="ends:1", **SAME))
    assert read_metadata("samples/video_00001.gif")["sampling"]["from_image"] == ["a.png", "b.png"]
    made = predict(saved / "all", "--sampling.from_image", "[a.png]", "--sampling.known_frames", "frame:3")
    clip[:, :, 3] = first
    assert is_same(made, pipeline.sample(known=clip, known_mask="frame:3", **SAME))


@pytest.mark.parametrize("name", ["clip.gif", "clip.npy", "frames"])
def test_a_video_goes_on_from_its_last_frames(saved, workdir, name):
    pipeline = VideoPipeline.from_pretrained(saved / "all")
    previous = read("frames")[:, :, 5:]
    options = ["--sampling.from_video", workdir / name, "--sampling.num_frames", 7, "--sampling.overlap", 2]
    made = predict(saved / "all", *options)
    assert is_same(made, pipeline.sample(num_frames=7, previous=previous, overlap=2, **SAME))
    assert str(workdir) not in (workdir / "samples/index.html").read_text()


def test_a_model_of_the_paper_goes_on_from_the_last_clip(saved, workdir):
    pipeline = VideoPipeline.from_pretrained(saved / "paper")
    made = predict(saved / "paper", "--sampling.from_video", "clip.gif")
    assert is_same(made, pipeline.sample(previous=read("frames")[:, :, 5:], **SAME))
    assert not is_same(made, pipeline.sample(**SAME))


def test_known_frames_of_a_video_are_filled_between(saved, workdir):
    pipeline = VideoPipeline.from_pretrained(saved / "all")
    made = predict(saved / "all", "--sampling.from_video", "clip.gif", "--sampling.known_frames", "every:2")
    clip = torch.zeros(1, 3, 4, 16, 16, dtype=torch.uint8)
    clip[:, :, ::2] = read("frames")[:, :, :2]
    assert is_same(made, pipeline.sample(known=clip, known_mask="every:2", **SAME))


def test_frames_to_go_on_from_are_as_far_apart_as_in_training(saved, workdir):
    pipeline = VideoPipeline.from_pretrained(saved / "all")
    given = SamplingFromFiles(from_video="clip.gif", overlap=3).given(pipeline.denoiser, (4, 16, 16), stride=2)
    assert torch.equal(given.previous[:, :, 1:], read("frames")[:, :, [4, 6, 8]])
    pipeline.about["data"] = {"class_path": "pvdm_lightning.Synthetic", "init_args": {"stride": 4}}
    pipeline.save_pretrained("strided")
    made = predict("strided", "--sampling.from_video", "clip.gif", "--sampling.overlap", 2)
    previous = read("frames")[:, :, [0, 0, 4, 8]]
    assert is_same(made, pipeline.sample(previous=previous, overlap=2, **SAME))


MISTAKES = {
    "a near miss": (["class_names=Playing Gitar"], "class_names Playing Gitar: is not a class", "mean Playing Guitar?"),
    "no such number": (["class_names=3"], "class_names 3: there are 3 classes", "Give 0 to 2"),
    "a missing picture": (["from_image=c.png"], "from_image c.png: cannot be read (No such file", "such as .png or"),
    "no picture": (["from_image=broken.png"], "from_image broken.png: cannot be read", "--sampling.from_video takes"),
    "a missing video": (["from_video=c.mp4"], "from_video c.mp4: cannot be read (No such file", "Give a video file"),
    "no video": (["from_video=broken.mp4"], "from_video broken.mp4: cannot be read", "Give a video file"),
    "a missing array": (["from_video=c.npy"], "from_video c.npy: cannot be read (No such file", "or a .npy file"),
    "an empty folder": (["from_video=empty"], "from_video empty: cannot be read (has no pictures)", "a folder of"),
    "too short": (["from_video=two.gif", "overlap=3"], "from_video two.gif: has 2 frames, and 3 are needed", "longer"),
    "too few": (["from_video=two.gif", "known_frames=all"], "from_video two.gif: has 2 frames, and all of", "longer"),
    "both": (["from_video=two.gif", "from_image=a.png"], "from_video two.gif: --sampling.from_image is", "Leave"),
    "nothing known": (
        ["known_frames=ends:1"],
        "known_frames ends:1: there are no frames",
        "Give --sampling.from_image",
    ),
    "another number": (
        ["from_image=a.png", "known_frames=every:2"],
        "known_frames every:2: is 2 of the 4 frames of a clip, and --sampling.from_image has 1",
        "Give as many of each",
    ),
    "three pictures": (["from_image=a.png,b.png,a.png"], "from_image a.png,b.png,a.png: are 3 pictures", "every:4"),
    "no kind": (["from_image=a.png", "known_frames=odd"], "known_frames odd: is not a kind", "Give first:K"),
    "beyond": (["from_image=a.png", "known_frames=frame:4"], "known_frames frame:4: is beyond the 4", "frame:3"),
}
OF_THE_PAPER = {
    "classes": (["class_names=Surfing"], "class_names Surfing: the model was trained without classes", "Leave it out"),
    "a picture": (
        ["from_image=a.png"],
        "from_image a.png: the model was trained without known frames",
        "--model.denoiser.known_frames true",
    ),
    "a video": (["from_video=clip.gif", "known_frames=first:2"], "from_video clip.gif: the model was", "known_frames"),
    "too short": (["from_video=two.gif"], "from_video two.gif: has 2 frames, and 4 are needed", "longer"),
}


@pytest.mark.parametrize(
    "pipeline, options, problem, remedy",
    [("all", *mistake) for mistake in MISTAKES.values()] + [("paper", *mistake) for mistake in OF_THE_PAPER.values()],
    ids=[*MISTAKES, *(f"of the paper: {name}" for name in OF_THE_PAPER)],
)
def test_mistakes(saved, workdir, capsys, pipeline, options, problem, remedy):
    (workdir / "empty").mkdir()
    with pytest.raises(SystemExit) as ended:
        predict(saved / pipeline, *(f"--sampling.{option}" for option in options))
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("pvdm: error: "))
    assert ended.value.code == 2 and f"--sampling.{problem}" in line and remedy in line
    assert not os.path.exists("samples")  # noqa: PTH110


def test_a_long_video_is_written_in_the_memory_of_a_short_one(saved, workdir, monkeypatch):
    """The frames that are alive at once, of all that are decoded."""
    to_pixels, alive, most, made = VideoPipeline.to_pixels, [0], [], []

    def counted(self, latent):
        clip = to_pixels(self, latent)
        alive[0] += clip.shape[2]
        weakref.finalize(clip, lambda: alive.__setitem__(0, alive[0] - 4))
        most[-1] = max(most[-1], alive[0])
        return clip

    monkeypatch.setattr(VideoPipeline, "to_pixels", counted)
    for frames in (10, 40):
        most.append(0)
        options = ["--sampling.num_frames", frames, "--sampling.num_inference_steps", 1, "--output.fps", 5]
        made.append(predict(saved / "all", *options, formats="mp4,gif,png,npy,npz"))
        assert made[-1].shape == (2, 3, frames, 16, 16)
        assert np.array_equal(np.load("samples/videos.npz")["videos"][1], made[-1][1].permute(1, 2, 3, 0).numpy())
        assert Image.open("samples/video_00001.gif").n_frames == frames
        assert len(os.listdir("samples/video_00001")) == frames  # noqa: PTH208
        assert Image.open("samples/contact_sheet.png").width == 8 * 128
    assert most[0] == most[1] <= 3 * 4
    assert is_same(made[0], made[1][:, :, :10])


def test_a_video_that_is_cut_short_leaves_no_file(saved, workdir, monkeypatch):
    to_pixels, calls = VideoPipeline.to_pixels, []

    def interrupted(self, latent):
        calls.append(latent)
        if len(calls) == 4:
            assert list(workdir.glob("samples/.video_00000.npy.partial-*"))
            raise KeyboardInterrupt
        return to_pixels(self, latent)

    monkeypatch.setattr(VideoPipeline, "to_pixels", interrupted)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        predict(saved / "all", "--sampling.num_frames", 20, formats="mp4,gif,png,npy,npz")
    assert len(calls) == 4
    assert not list(workdir.glob("samples/*video_*")) and not list(workdir.glob("samples/.pvdm.parts/*"))
