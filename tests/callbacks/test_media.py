"""Videos and texts reach each kind of logger."""

import logging
import sys
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, MLFlowLogger, WandbLogger
from lightning.pytorch.loggers.logger import DummyLogger
from PIL import Image

from pvdm_lightning.callbacks import media
from pvdm_lightning.callbacks.video_logger import draw_panel

VIDEO = torch.randint(256, (3, 4, 16, 24), dtype=torch.uint8)


class NoVideos(DummyLogger):
    name = property(lambda self: "none")


NoVideos.__name__ = "ScalarLogger"


def spy(cls, **attributes):
    """A logger of a service that is not installed here: it notes what it is called with."""
    logger = cls.__new__(cls)
    logger.calls = []

    def note(name):
        return lambda *args, **kwargs: logger.calls.append((name, args, kwargs))

    kind = type("Spy", (cls,), dict(attributes))
    logger.__class__ = kind
    for name in ("log_video", "log_image", "log_text"):
        setattr(logger, name, note(name))
    kind.experiment = SimpleNamespace(log=note("log"), log_artifact=note("log_artifact"))
    return logger


def test_csv_has_the_videos_as_files_beside_it(tmp_path):
    logger = CSVLogger(tmp_path, name="csv")
    media.log_video([logger], "val/samples", VIDEO, 7, fps=8)
    media.log_video([logger], "val/planes", VIDEO[:, :1], 7, fps=8)
    media.log_text([logger], "run/command", "pvdm fit")
    folder = tmp_path / "csv/version_0/media"
    assert Image.open(folder / "val/samples/00000007.gif").n_frames == 4
    assert Image.open(folder / "val/planes/00000007.png").size == (24, 16)
    assert (folder / "run/command/00000000.md").read_text() == "pvdm fit"


def test_wandb_gets_files_and_captions_in_the_row_of_their_step(tmp_path):
    rows = []
    logger = WandbLogger.__new__(WandbLogger)
    logger._prefix, logger._wandb_init = "", {}
    kind = type("Spy", (WandbLogger,), {"save_dir": str(tmp_path), "experiment": SimpleNamespace(log=rows.append)})
    logger.__class__ = kind
    made = SimpleNamespace(
        Video=lambda path, **more: {"path": path, **more},
        Image=lambda path, **more: {"path": path, **more},
        Table=lambda **more: more,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "wandb", made)
        media.log_video([logger], "val/samples", VIDEO, 7, fps=8, caption="sample 0")
        media.log_video([logger], "val/planes", VIDEO[:, :1], 9, fps=8)
        media.log_text([logger], "run/command", "pvdm fit", 11)
    video, image, text = rows
    assert [row["trainer/global_step"] for row in rows] == [7, 9, 11]
    assert video["val/samples"][0]["caption"] == "sample 0" and video["val/samples"][0]["format"] == "gif"
    assert Image.open(video["val/samples"][0]["path"]).n_frames == 4
    assert Image.open(image["val/planes"][0]["path"]).size == (24, 16)
    assert text["run/command"]["data"] == [["pvdm fit"]]


def test_mlflow_gets_artifacts(tmp_path):
    logger = spy(MLFlowLogger, save_dir=str(tmp_path), run_id="7")
    media.log_video([logger], "val/samples", VIDEO, 7, fps=8)
    ((name, (run, path, folder), _),) = logger.calls
    assert (name, run, folder) == ("log_artifact", "7", "media/val/samples") and path.endswith("00000007.gif")


def test_a_logger_that_takes_no_video_says_so_once(caplog):
    with caplog.at_level(logging.WARNING, logger="pvdm_lightning"):
        for step in range(3):
            media.log_video([NoVideos()], "val/samples", VIDEO, step, fps=8)
    assert caplog.text.count("ScalarLogger takes no videos") == 1


@pytest.mark.parametrize("size, least, height", [(16, 64, 64), (100, 128, 200)])
def test_panels_are_enlarged_captioned_and_in_step(size, least, height):
    videos = torch.randint(256, (3, 3, 4, size, size), dtype=torch.uint8)
    panel = draw_panel({"real": videos, "reconstruction": videos}, least)
    assert panel.dtype == torch.uint8 and panel.shape[:2] == (3, 4)
    first, second = panel[:, :, : panel.shape[2] // 2], panel[:, :, panel.shape[2] // 2 :]
    title = first.shape[2] - height - 4
    assert torch.equal(first[:, :, title:], second[:, :, title:])  # the same clip in both rows, frame by frame
    assert not torch.equal(first[:, :, :title], second[:, :, :title])  # captions differ
    assert (first[:, :, :title] < 128).any()  # and are written
