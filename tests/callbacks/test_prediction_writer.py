"""What of a user's is in the folder of `pvdm predict` stays there."""

import os
from types import SimpleNamespace

import pytest
import torch
from lightning import LightningModule

from pvdm_lightning.callbacks import PredictionWriter
from pvdm_lightning.errors import InvalidArgumentError

NAMES = ["video_00000", "video_00000.mp4", "video_00001.gif", "index.html", "contact_sheet.png", "videos.npz"]
TRAINER = SimpleNamespace(is_global_zero=True, strategy=SimpleNamespace(barrier=lambda *_: None))


def writer(folder, **options):
    callback = PredictionWriter(str(folder), formats=["png", "npy"], overwrite=True, **options)
    callback.setup(TRAINER, LightningModule(), "predict")
    return callback


def write(callback):
    prediction = {"video": torch.zeros(2, 3, 4, 16, 16, dtype=torch.uint8), "index": torch.arange(2)}
    callback.write_on_batch_end(TRAINER, LightningModule(), prediction, None, None, 0, 0)
    callback.teardown(TRAINER, LightningModule(), "predict")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["folder", "linked folder"])
def test_folders_in_the_place_of_videos_are_not_replaced(tmp_path, name, kind):
    out = tmp_path / "out"
    held = tmp_path / "held" if kind == "linked folder" else out / name
    out.mkdir()
    held.mkdir()
    (held / "thesis.tex").write_text("precious")
    if kind == "linked folder":
        (out / name).symlink_to(held)
    with pytest.raises(InvalidArgumentError, match=f"{name}: cannot be replaced: a folder is in its place"):
        writer(out)
    assert (held / "thesis.tex").read_text() == "precious"


def test_own_videos_are_replaced_and_others_stay(tmp_path):
    write(writer(tmp_path))
    (tmp_path / "video_00000/frame_00009.png").write_bytes(b"of a longer video")
    (tmp_path / "video_of_my_cat").mkdir()
    (tmp_path / "video_of_my_cat/cat.mp4").touch()
    write(writer(tmp_path))
    assert len(list((tmp_path / "video_00000").iterdir())) == 4
    assert (tmp_path / "video_of_my_cat/cat.mp4").exists()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", [".parts", ".pvdm.parts"])
@pytest.mark.parametrize("kind", ["link", "file", "folder"])
def test_what_is_called_as_the_parts_are(tmp_path, name, kind):
    out, victims = tmp_path / "out", tmp_path / "victims"
    out.mkdir()
    victims.mkdir()
    for victim in ("row_0.npy", "0", "notes.txt"):
        (victims / victim).write_text("precious")
    if kind == "link":
        (out / name).symlink_to(victims)
    elif kind == "file":
        (out / name).write_text("precious")
    else:
        victims = victims.rename(out / name)
        if name == ".pvdm.parts":  # leftovers of ours go, notes stay
            os.remove(victims / "row_0.npy")  # noqa: PTH107
            os.remove(victims / "0")  # noqa: PTH107
    before = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    if name == ".parts":
        write(writer(out))
    else:
        with pytest.raises(InvalidArgumentError, match=r"its \.pvdm\.parts was not made by this program"):
            writer(out)
    assert {path: path.read_text() for path in before} == before


def test_parts_that_a_killed_run_left_are_cleared(tmp_path):
    (tmp_path / ".pvdm.parts").mkdir()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in ("7", "row_7.npy"):
        (tmp_path / ".pvdm.parts" / name).touch()
    (tmp_path / ".pvdm.parts/row_0.npy").symlink_to(victim)
    write(writer(tmp_path))
    assert victim.read_text() == "precious" and "2 videos" in (tmp_path / "index.html").read_text()
