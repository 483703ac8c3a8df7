"""Every `pvdm` command of the README and the documentation runs, on small data and with small networks.

Commands are read from the Markdown in their order, in one folder: what one writes the next one may need. The shipped
configurations are replaced by small ones of the same names, which a file here is found before; options at the end keep
runs short, on a CPU.
"""

import importlib
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from pvdm_lightning import cli, write_video
from pvdm_lightning.cli.shipped_configs import config_folder
from pvdm_lightning.data import write_contexts

ROOT = Path(__file__).parents[2]
# Recipes last: their runs have the name of the paper's, and --resume would go on with them.
PAGES = ("README.md", "data/README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
PAGES = tuple(sorted(PAGES, key=lambda page: page == "docs/recipes.md"))
ON_CPU = (
    *("--trainer.accelerator", "cpu", "--trainer.devices", "1", "--trainer.num_nodes", "1"),
    *("--trainer.strategy", "auto", "--trainer.precision", "32-true"),
)
SHORT = {
    "fit": (
        *("--trainer.max_steps", "1", "--trainer.limit_val_batches", "1", "--trainer.val_check_interval", "1"),
        *("--trainer.check_val_every_n_epoch", "null", "--data.num_workers", "0", "--data.batch_size", "1"),
        *(
            "--video_logger.num_videos",
            "0",
            "--trainer.enable_progress_bar",
            "false",
        ),
        *("--validation_distance.num_videos", "0"),
    ),
    "predict": ("--sampling.num_inference_steps", "1", "--sampling.num_inference_steps_later", "1"),
    "test": ("--evaluation.real.num", "2"),
    "evaluate": (
        *("--evaluation.frames", "8", "--evaluation.real.num", "2", "--evaluation.generated.num", "2"),
        *("--num_workers", "0"),
    ),
}
# Networks of protocols are not there.
OF_PROTOCOLS = ("--evaluation.networks", "transnetv2", "--resolution", "32")
AUTOENCODER = {"patch": 64, "dim": 16, "depth": 1, "heads": 1, "head_dim": 16, "projector_depth": 1}
# Reconstructions have figures without a network; samples need one, and few of them are drawn.
OF_STAGE = {
    "autoencoder": ("--metrics.transnet", "none"),
    "latent_diffusion": (
        *("--evaluation.networks", "transnetv2", "--evaluation.frames", "16", "--evaluation.generated.num", "2"),
        *("--sampling.num_inference_steps_later", "1", "--sampling.batch_size", "2"),
    ),
}
DENOISER = {
    "base_channels": 32,
    "channel_multipliers": [1, 1],
    "blocks_per_level": 1,
    "attention_levels": [1],
    "heads": 1,
}


def documented():
    """(page, command) in the order of the pages."""
    for page in PAGES:
        for block in re.findall(r"^```\w*\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                if re.match(r"(pvdm|python|make|tensorboard|sbatch|pip|uv) ", line):
                    yield page, line.split("  #")[0].strip()


COMMANDS = list(documented())
OURS = [pair for pair in COMMANDS if pair[1].startswith("pvdm ")]
OTHERS = sorted({command for _, command in COMMANDS if not command.startswith("pvdm ")})


def small(name):
    """A shipped configuration with a small network."""
    config = yaml.safe_load((config_folder() / name).read_text())
    arguments = config["model"]["init_args"]
    if "autoencoder" in arguments:
        given = arguments["autoencoder"]["init_args"]
        given |= AUTOENCODER | ({} if given["resolution"] == 256 else {"patch": 8})
        arguments |= {"discriminator_channels": 4}
    else:
        arguments["denoiser"]["init_args"] |= DENOISER
        arguments["denoiser"]["init_args"].pop("norm_groups", None)
    return yaml.safe_dump(config)


def videos(folder, names, frames=40, seed=0):
    for number, name in enumerate(names, seed):
        video = torch.randint(
            256, (3, frames, 32, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(number)
        )
        write_video(video, folder / name)


def frame_folders(folder, names, frames=40):
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(frames):
            Image.fromarray(np.full((32, 48, 3), number, np.uint8)).save(folder / name / f"{number:03d}.png")


def lerobot(folder, episodes):
    camera = "observation.image"
    path = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
    (folder / "meta").mkdir(parents=True)
    videos(folder / f"videos/chunk-000/{camera}", [f"episode_{number:06d}.mp4" for number in range(episodes)])
    lines = [json.dumps({"episode_index": number, "length": 40, "tasks": ["push"]}) for number in range(episodes)]
    (folder / "meta/episodes.jsonl").write_text("\n".join(lines))
    about = {"codebase_version": "v2.1", "fps": 25, "chunks_size": 1000, "video_path": path}
    about["features"] = {camera: {"dtype": "video"}}
    (folder / "meta/info.json").write_text(json.dumps(about))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with everything that the commands name."""
    folder = tmp_path_factory.mktemp("world")
    for name in ("ae.yaml", "ldm.yaml", "demo_ae.yaml", "demo_ldm.yaml"):
        (folder / name).write_text(small(name))
    ucf = folder / "data/UCF-101"
    names = [f"v_{kind}_g{group:02d}_c01.avi" for kind in ("Archery", "Biking") for group in (1, 9)]
    for name in names:
        videos(ucf / name.split("_")[1], ["video.mp4"])
        (ucf / name.split("_")[1] / "video.mp4").rename(ucf / name.split("_")[1] / name)
    splits = folder / "data/ucfTrainTestlist"
    splits.mkdir()
    lists = {"trainlist01.txt": names[1::2], "testlist01.txt": names[::2]}
    for name, chosen in lists.items():
        lines = [f"{n.split('_')[1]}/{n} {1 + ('Biking' in n)}" for n in chosen]
        (splits / name).write_text("\n".join(lines) + "\n")
    (splits / "classInd.txt").write_text("1 Archery\n2 Biking\n")
    names = [f"{number}.mp4" for number in range(4)]
    for place, frames, seed in (("home/videos", 40, 0), ("data/videos", 40, 0), ("videos/real", 130, 0)):
        videos(folder / place, names, frames, seed)
    videos(folder / "videos/of_any_model", names, 130, seed=4)  # no video may be on both sides
    for frames, split in zip((20, 30, 40), ("train", "val", "test")):
        for name in ("Archery", "YoYo"):
            videos(folder / "data/UCF101_subset" / split / name, [f"{name}.mp4"], frames)
    noise = np.random.default_rng(0).integers(0, 200, (20, 1, 24, 24), np.uint8)
    arrays = {"MovingMNIST/mnist_test_seq": (1, 0, 2, 3), "arrays/videos": (0, 1, 2, 3)}
    for name, axes in arrays.items():
        path = folder / f"data/{name}.npy"
        path.parent.mkdir()
        np.save(path, (noise + np.arange(20, dtype=np.uint8)[:, None, None]).transpose(axes))
    for name, channels in (("captions", 768), ("contexts", 256)):
        write_contexts(
            folder / f"{name}.safetensors", {f"{number}.mp4": torch.randn(3, channels) for number in range(4)}
        )
    np.save(folder / "wanted.npy", np.zeros((3, 256), np.float32))
    for part in ("sky_train", "sky_test"):
        frame_folders(folder / "data/sky_timelapse" / part, ["clip/one", "clip/two"])
    frame_folders(folder / "data/frames", ["one", "two"])
    frame_folders(folder / "city", ["one", "two"])
    lerobot(folder / "data/pusht", 4)
    with tarfile.open(folder / "data/shards.tar", "w") as archive:
        archive.add(folder / "data/videos", "")
    (folder / "data/shards").mkdir()
    (folder / "data/shards.tar").rename(folder / "data/shards/shard-000000.tar")
    (folder / "train.txt").write_text("one\n")
    (folder / "val.txt").write_text("two\n")
    parity = ROOT / "tests/parity"
    spec = importlib.util.spec_from_file_location("parity_fill", parity / "fill.py")
    fill = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fill)
    for name, case in (("model_last", "autoencoder_64"), ("ema_model_850000", "unet_32"), ("ema_model", "unet_32")):
        torch.save(fill.load_case(parity / f"{case}.json")[1], folder / f"{name}.pth")
    return folder


@pytest.fixture
def here(world, monkeypatch):
    monkeypatch.chdir(world)
    monkeypatch.setenv("HOME", str(world / "home"))
    monkeypatch.setenv("PVDM_CACHE", str(world / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(world / "torch"))
    return world


def shortened(command):
    """The command with `~` as the shell replaces it, and the options that keep it short."""
    words = [word.replace("~", "home") if word.startswith("~") else word for word in shlex.split(command)[1:]]
    name = words[0]
    if name == "evaluate":
        words += [*SHORT[name], *(OF_PROTOCOLS if "--evaluation.protocol" in words else ())]
    if name in ("fit", "predict", "test", "validate", "encode") and "--help" not in words:
        words += [*ON_CPU, *SHORT.get(name, ())]
        if "--data.num_videos" in words:
            words += ["--data.num_videos", "8", "--data.num_val_videos", "2"]
        if name == "test":
            is_one = any("ae-" in word or "autoencoder" in word for word in words)
            words += OF_STAGE["autoencoder" if is_one else "latent_diffusion"]
        if name in ("predict", "test"):
            words += ["--sampling.num_inference_steps", "1"]
        if name == "predict":
            shutil.rmtree(words[words.index("--output.dir") + 1] if "--output.dir" in words else "samples", True)
            words += ["--sampling.num_videos", "1"]
            if "--sampling.num_frames" in words:
                words += ["--sampling.num_frames", "40"]
    return words


@pytest.mark.parametrize("number", range(len(OURS)), ids=[f"{i}-{page}" for i, (page, _) in enumerate(OURS)])
def test_it_runs(here, monkeypatch, number):
    command = OURS[number][1]
    words = shortened(command)
    monkeypatch.setattr(sys, "argv", ["pvdm", *words])
    for given, stage in (("ae.ckpt", "ae"), ("ldm.ckpt", "ldm")):
        if given in words:  # what a run before it has written
            shutil.copy(f"runs/{stage}-ucf101-256/latest/last.ckpt", given)
    if words[:2] == ["weights", "--fetch"]:
        fetched = importlib.import_module("pvdm_lightning.cli.commands.weights")

        def download(address, target, argument, size, sha256):  # there is no network
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(b"")

        monkeypatch.setattr(fetched, "download_file", download)
        monkeypatch.setenv("PVDM_CACHE", str(here / "fetched"))  # empty files are of use to none of the others
    if "imported" in words:
        shutil.rmtree("imported", True)
    try:
        cli.main(words)
    except SystemExit as ended:
        assert ended.code in (0, None), command


@pytest.mark.parametrize("command", OTHERS)
def test_other_programs_are_called_with_what_there_is(command):
    words = shlex.split(command)
    if words[0] == "make":
        done = subprocess.run(["make", "-n", words[1]], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    for word in words:
        if word.endswith((".py", ".sh")):
            assert (ROOT / word).is_file(), word
            source = (ROOT / word).read_text()
            options = [word for word in words if word.startswith("--")] if word.endswith(".py") else []
            assert all(f'"{option}"' in source for option in options), command
