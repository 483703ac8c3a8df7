"""The rows of tables in docs/evaluation.md: each command runs, on stand-in videos and networks of the published layout.

By default one row for each command and set of networks; PVDM_ALL_RECIPES=1 takes all of them. Options at the end keep
a run small, and the report has to name nothing but these and those of the row as what differs from the protocol.
"""

import importlib.util
import os
import re
import shlex
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import adaptive_avg_pool3d

from pvdm_lightning import write_video
from pvdm_lightning.cli.commands.import_original import _save as save_checkpoint
from pvdm_lightning.convert.i3d import _original_name
from pvdm_lightning.evaluation import feature_networks
from pvdm_lightning.evaluation.chosen_networks import published_name
from pvdm_lightning.evaluation.named_protocol import NamedProtocol
from pvdm_lightning.metrics import I3D, VIDEOMAE_SSV2, VJEPA_SSV2
from pvdm_lightning.metrics.i3d import INPUT_SIDE
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.training import AutoencoderModule

pytestmark = pytest.mark.usefixtures("cache")

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs/evaluation.md").read_text()
ROWS = re.findall(r"^\| ([^`\n]*) \| `(pvdm (?:test|evaluate) [^`]*)` \|$", PAGE, re.MULTILINE)


def kind(command):
    """The command and the protocol; None for stage one."""
    words = command.split()
    protocol = words[words.index("--evaluation.protocol") + 1] if "--evaluation.protocol" in words else None
    return words[1], protocol


def chosen_rows():
    def group(command):
        name, protocol = kind(command)
        return name, protocol and tuple(NamedProtocol.find(protocol).settings["networks"])

    first = {group(command): number for number, (_, command) in reversed(list(enumerate(ROWS)))}
    wanted = range(len(ROWS)) if os.environ.get("PVDM_ALL_RECIPES") else sorted(first.values())
    return [pytest.param(ROWS[number][1], id=ROWS[number][0]) for number in wanted]


def test_there_is_a_row_for_each_protocol():
    assert len(ROWS) >= 30
    protocols = {protocol for _, protocol in (kind(command) for _, command in ROWS)}
    assert protocols >= {"pvdm", "stylegan_v", "digan", "tats", "lvdm", "latte", "far", "larp", "cdfvd", "jedi"}


def noise(number, frames, size=(32, 48)):
    g = torch.Generator().manual_seed(number)
    return torch.randint(256, (3, frames, *size), dtype=torch.uint8, generator=g)


@pytest.fixture(scope="module")
def world(tmp_path_factory, pvdm):
    """A folder with what the rows name: videos, samples, a checkpoint of stage one with 9 frames, network files."""
    folder = tmp_path_factory.mktemp("recipes")
    number = 0
    for kind_of_action in ("Archery", "Biking"):
        for group in (1, 9):
            number += 1
            name = f"v_{kind_of_action}_g{group:02d}_c01.avi"
            path = folder / "data/UCF-101" / kind_of_action / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(noise(number, 60), path.with_suffix(".mp4"))
            path.with_suffix(".mp4").rename(path)
    lists = folder / "data/ucfTrainTestlist"
    lists.mkdir()
    for list_name, group in (("trainlist01", 9), ("testlist01", 1)):
        lines = [f"{one}/v_{one}_g{group:02d}_c01.avi {label}" for label, one in enumerate(("Archery", "Biking"), 1)]
        (lists / f"{list_name}.txt").write_text("\n".join(lines) + "\n")
    (lists / "classInd.txt").write_text("1 Archery\n2 Biking\n")
    for name in ("UCF-101_train", "faceforensics", "taichi"):
        (folder / "data" / name).mkdir()
        for number in range(4):
            write_video(noise(20 + number, 100), folder / f"data/{name}/{number}.npy")
    for part in ("sky_train", "sky_test"):
        for clip in ("one", "two", "three"):
            frames = folder / "data/sky_timelapse" / part / "clip" / clip
            frames.mkdir(parents=True)
            for number in range(48):
                Image.fromarray(np.full((32, 48, 3), 5 * number, np.uint8)).save(frames / f"{number:03d}.png")
    for name in {match for _, command in ROWS for match in re.findall(r"samples/(\w+)", command)}:
        (folder / "samples" / name).mkdir(parents=True)
        for number in range(4):
            write_video(noise(40 + number, 16, (24, 24)), folder / f"samples/{name}/{number}.npy")
    shape = {"frames": 9, "resolution": [16, 24], "patch": 8, "dim": 32, "depth": 1, "heads": 2, "head_dim": 8}
    shape |= {"projector_depth": 1, "projector_heads": 2, "projector_mlp_dim": 32}
    save_checkpoint(AutoencoderModule(VideoAutoencoder(**shape)), folder / "ae.ckpt")
    save_networks(folder)
    return folder


def save_networks(folder):
    """Files in the published layouts: I3D's in full size, whose forward the tests replace, transformers in small."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save({_original_name(key): one for key, one in I3D().state_dict().items()}, folder / "i3d.pt")
    spec = importlib.util.spec_from_file_location("vit_layouts", TESTS / "metrics/test_video_vit.py")
    layouts = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(layouts)
    g, dim, hidden = torch.Generator().manual_seed(0), layouts.DIM, layouts.HIDDEN
    videomae = layouts.transformer(14, g, separate_biases=True)
    layouts.norm(videomae, "fc_norm", g)
    layouts.linear(videomae, "head", 174, dim, g)
    torch.save(videomae, folder / "vit_g_hybrid_pt_1200e_ssv2_ft.pth")
    vjepa = layouts.transformer(16, g, separate_biases=False)
    vjepa["pos_embed"] = torch.randn(1, 8 * 14 * 14, dim, generator=g)
    layouts.norm(vjepa, "norm", g)
    probe = {"pooler.query_tokens": torch.randn(1, 1, dim, generator=g)}
    block = "pooler.cross_attention_block"
    for name in ("norm1", "norm2"):
        layouts.norm(probe, f"{block}.{name}", g)
    for name, outputs, inputs in (("xattn.q", dim, dim), ("xattn.kv", 2 * dim, dim), ("xattn.proj", dim, dim)):
        layouts.linear(probe, f"{block}.{name}", outputs, inputs, g)
    layouts.linear(probe, f"{block}.mlp.fc1", hidden, dim, g)
    layouts.linear(probe, f"{block}.mlp.fc2", dim, hidden, g)
    layouts.linear(probe, "linear", 174, dim, g)
    torch.save(vjepa, folder / "vith16.pth.tar")
    torch.save(probe, folder / "ssv2-probe.pth.tar")


def pooled_logits(self, videos):
    """In place of I3D's 100 GFLOP a clip: its own preprocessing, and 400 means."""
    frames = self.prepare(videos)
    assert frames.shape[-2:] == (INPUT_SIDE, INPUT_SIDE)
    return adaptive_avg_pool3d(frames, (4, 10, 10)).flatten(1)[:, :400]


SMALL = {
    "evaluate": "--evaluation.real.num 2 --evaluation.generated.num 2 --resolution 32 --device cpu --num_workers 0",
    "test": "--evaluation.real.num 2 --trainer.accelerator cpu --trainer.enable_progress_bar false "
    "--data.num_workers 0 --data.batch_size 1",
}
TWO = (
    "--evaluation.generated.num 2 --sampling.num_inference_steps 1 --sampling.num_inference_steps_later 1 "
    "--sampling.batch_size 2"
)
SHRUNK = {"real.num", "generated.num", "resolution", "repeats", "inception_splits", "inception_loops", "frames"}


@pytest.fixture
def small_networks(networks, world, monkeypatch):
    """Options that name all networks but those that a row names itself."""
    monkeypatch.setattr(I3D, "forward", pooled_logits)
    for name, network in (("VIDEOMAE_SSV2", VIDEOMAE_SSV2), ("VJEPA_SSV2", VJEPA_SSV2)):
        monkeypatch.setattr(feature_networks, name, replace(network, num_outputs=32))
    return [*map(str, networks), "--metrics.i3d", str(world / "i3d.pt")]


@pytest.mark.parametrize("command", chosen_rows())
def test_it_runs(command, pvdm, world, trained, small_networks, monkeypatch, tmp_path, report_in):
    monkeypatch.chdir(world)
    monkeypatch.setattr("sys.argv", ["pvdm"])
    words = shlex.split(command)[1:]
    name, protocol = kind(command)
    given = dict(zip(words[1::2], words[2::2]))
    is_stage_two = protocol is not None
    settings = NamedProtocol.find(protocol).settings if is_stage_two else {}
    more = [*SMALL[name].split(), "--evaluation.bootstrap", "0", "--evaluation.dir", str(tmp_path / "out")]
    splits = given.get("--evaluation.inception_splits", settings.get("inception_splits", 0))
    if is_stage_two:
        more += ["--evaluation.frames", "16"]
        more += ["--evaluation.inception_splits", "1", "--evaluation.inception_loops", "1"] if int(splits) else []
        more += ["--evaluation.repeats", "2"] if settings["repeats"] > 1 and "--evaluation.repeats" not in given else []
    if name == "test":
        more += TWO.split()[: None if is_stage_two else 0]
        checkpoint = trained["ldm"] if is_stage_two else world / "ae.ckpt"
        words[words.index("--ckpt_path") + 1] = str(checkpoint)
    if "--metrics.c3d" in words:  # a file of this name is in no world
        words[words.index("--metrics.c3d") + 1] = small_networks[small_networks.index("--metrics.c3d") + 1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TorchScript
        pvdm.run(*words, *small_networks, *more)
    report = report_in(tmp_path / "out")
    rows = {
        (one.get("distance", "IS"), published_name(one["network"]["name"]))
        for one in report["metrics"]
        if one["network"]
    }
    if not is_stage_two:
        assert rows == {("frechet", "i3d-original")}
        assert {"R-FVD 9", "PSNR"} <= {one["name"] for one in report["metrics"]}
        return
    networks = given["--evaluation.networks"].split(",") if "--evaluation.networks" in given else settings["networks"]
    expected = {(one, network) for one in settings["distances"] for network in networks if "c3d" not in network}
    expected |= {("IS", network) for network in networks if "c3d" in network and int(splits)}
    assert rows == expected
    said = re.fullmatch(rf"custom \({protocol} but: (.*)\)", report["protocol_name"])[1]
    parts = [part for part in said.split("; ") if not re.match(r"[\d,]+ of [\d,]+ (real|generated) clips", part)]
    differing = {part.split(" ")[0] for part in parts} - SHRUNK
    its_own = {option.removeprefix("--evaluation.") for option in given}
    # Beside those settings: unrecognised stand-ins for the networks, and networks that the row adds.
    assert all(part in its_own or part.startswith(("i3d", "c3d")) for part in differing), said
