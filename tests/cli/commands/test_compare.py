"""`pvdm compare` as it is typed: words, statuses, the picture."""

import json

import pytest
from PIL import Image

from pvdm_lightning import cli


def report(folder, name, value, interval, videos=2048):
    metric = {"name": "FVD 16", "key": "fvd_16", "value": value, "distance": "frechet", "interval": interval}
    metric |= {"real_videos": videos, "generated_videos": videos, "network": {"name": "i3d-original", "sha256": "0"}}
    metric["features"] = {"real": [{"file": "features/gone.safetensors", "clips_hash": "0"}]}
    (folder / name).write_text(json.dumps({"protocol": {}, "metrics": [metric]}))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report(tmp_path, "a.json", 100.0, [90.0, 110.0])
    report(tmp_path, "near.json", 105.0, [95.0, 115.0])
    report(tmp_path, "far.json", 150.0, [140.0, 160.0])
    report(tmp_path, "few.json", 150.0, [140.0, 160.0], videos=256)
    return tmp_path


def status(*words):
    try:
        cli.main(["compare", *words])
    except SystemExit as ended:
        return ended.code
    return 0


@pytest.mark.parametrize(("other", "code"), [("near.json", 0), ("far.json", 1), ("few.json", 3)])
def test_the_status_says_what_was_found(folder, other, code, capsys):
    assert status("a.json", other) == code
    assert "difference " in capsys.readouterr().out


def test_a_picture_shows_all_figures(folder):
    assert status("a.json", "near.json", "--plot", "figures.png") == 0
    assert status("--plot", "three.png", "--reports", "a.json", "near.json", "far.json") == 1
    pictures = [Image.open(folder / name) for name in ("figures.png", "three.png")]
    assert pictures[1].height > pictures[0].height
    for picture, reports in zip(pictures, (2, 3)):  # a colour for each report
        colours = [colour for _, colour in picture.getcolors(10**6) if max(colour) - min(colour) > 80]
        assert len({colour for colour in colours if picture.tobytes().count(bytes(colour)) > 100}) == reports


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["a.json"], "--reports a.json: is one report. Give two reports or more."),
        (["a.json", "no.json"], "--reports no.json: there is no such file. Give a JSON file that pvdm test or"),
        (["a.json", "."], "--reports .: cannot be read (Is a directory). Give a JSON file"),
        (["a.json", "near.json", "--bootstrap", "-1"], "--bootstrap -1: is less than 0. Give 0 or more."),
        (["a.json", "near.json", "--plot", "."], "--plot .: is a folder. Name a PNG file."),
        ([], "reports"),
    ],
)
def test_mistakes_in_a_line(folder, capsys, words, line):
    assert status(*words) == 2
    assert line in capsys.readouterr().err
