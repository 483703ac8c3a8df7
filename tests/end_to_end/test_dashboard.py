"""TensorBoard itself, asked over HTTP as its page asks: what is promised is there."""

import io
import json
import urllib.parse
import urllib.request

import pytest
from PIL import Image
from tensorboard import program

STAGE_ONE = {
    *("train/loss", "train/l1", "train/psnr", "train/learning_rate", "train/grad_norm"),
    *("train/grad_norm_discriminators", "train/adversarial", "train/feature_matching", "train/discriminator"),
    *(f"train/{kind}_discriminator_{what}" for kind in ("frame", "clip") for what in ("real", "fake", "accuracy")),
    *("train/clips_per_second", "system/data_wait_share", "system/peak_memory_gib"),
    *("weights/autoencoder", "weights/discriminators", "val/l1", "val/psnr", "val/ssim"),
}
STAGE_TWO = {
    *("train/loss", "train/loss_unconditional", "train/loss_next_clip", "train/ema_decay", "train/grad_norm"),
    *("train/learning_rate", "train/clips_per_second", "weights/denoiser", "val/loss", "val/loss_next_clip"),
}


class Dashboard:
    def __init__(self, folder):
        board = program.TensorBoard()
        board.configure(argv=[None, "--logdir", str(folder), "--port", "0", "--reload_interval", "0"])
        self.url = board.launch()

    def get(self, path, body=None, **query):
        address = f"{self.url}data/plugin/{path}?{urllib.parse.urlencode(query)}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            return answer.read()

    def json(self, path, body=None, **query):
        return json.loads(self.get(path, body, **query))

    def run(self):
        (name,) = self.json("scalars/tags")
        return name


@pytest.fixture(scope="module")
def boards(trained):
    return {stage: Dashboard(path.parents[1]) for stage, path in trained.items()}


@pytest.mark.parametrize("stage, promised", [("ae", STAGE_ONE), ("ldm", STAGE_TWO)])
def test_scalars(boards, stage, promised):
    board = boards[stage]
    drawn = set(board.json("scalars/tags")[board.run()])
    assert promised <= drawn, promised - drawn
    if stage == "ldm":
        assert len([name for name in drawn if name.startswith("train/loss_t_quarter_")]) >= 2


@pytest.mark.parametrize(
    "stage, videos, stills",
    [
        ("ae", ("train/reconstruction", "val/reconstruction"), ("val/planes",)),
        ("ldm", ("train/clips", "val/clips", "val/samples"), ("val/planes",)),
    ],
)
def test_videos_play_enlarged_and_planes_are_pictures(boards, pvdm, stage, videos, stills):
    board = boards[stage]
    run, frames = board.run(), pvdm.autoencoder["init_args"]["autoencoder"]["init_args"]["frames"]
    for tag in (*videos, *stills):
        entries = board.json("images/images", run=run, tag=tag, sample=0)
        assert [entry["step"] for entry in entries] == [2, 4]
        picture = Image.open(io.BytesIO(board.get(f"images/individualImage?{entries[-1]['query']}&x")))
        assert picture.height >= 128
        count = 1 if tag in stills else 2 * frames if tag == "val/samples" else frames
        assert getattr(picture, "n_frames", 1) == count


@pytest.mark.parametrize("stage", ["ae", "ldm"])
def test_text_says_how_the_run_came_about(boards, stage):
    board = boards[stage]
    run = board.run()
    assert {"run/command", "run/configuration", "run/environment"} <= {
        tag.removesuffix("/text_summary") for tag in board.json("text/tags")[run]
    }
    (environment,) = board.json("text/text", run=run, tag="run/environment/text_summary")
    assert "torch" in environment["text"] and "git commit" in environment["text"]
    (configuration,) = board.json("text/text", run=run, tag="run/configuration/text_summary")
    assert "class_path" in configuration["text"]


@pytest.mark.parametrize("stage, metric", [("ae", "final/val/psnr"), ("ldm", "final/val/loss")])
def test_hparams_hold_the_final_metrics(boards, stage, metric):
    board = boards[stage]
    names = {"experimentName": ""}
    experiment = board.json("hparams/experiment", names)
    assert "learning_rate" in {info["name"] for info in experiment["hparamInfos"]}
    assert metric in {info["name"]["tag"] for info in experiment["metricInfos"]}
    groups = board.json(
        "hparams/session_groups",
        {**names, "allowedStatuses": ["STATUS_SUCCESS", "STATUS_UNKNOWN", "STATUS_RUNNING"], "colParams": [],
         "startIndex": 0, "sliceSize": 10},
    )  # fmt: skip
    (group,) = groups["sessionGroups"]
    assert group["hparams"]["learning_rate"] == 1e-3
    values = {value["name"]["tag"]: value["value"] for value in group["metricValues"]}
    assert isinstance(values[metric], float) and values[metric] > 0
