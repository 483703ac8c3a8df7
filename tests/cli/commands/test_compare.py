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


def test_groups_of_trainings(folder, capsys):
    for name, value in (("a2", 101.0), ("b1", 150.0), ("b2", 151.0), ("b3", 149.5)):
        report(folder, f"{name}.json", value, [value - 10, value + 10])
    assert status("--a", "a.json", "a2.json", "--b", "near.json", "near2.json") == 2
    assert "--b near2.json: there is no such file" in capsys.readouterr().err
    code = status("--a", "a.json", "a2.json", "--b", "b1.json", "b2.json", "b3.json", "--plot", "groups.png")
    said = capsys.readouterr().out
    assert code == 1 and "b - a: +49.67, 95 % +" in said and "beyond the spread of trainings" in said
    picture = Image.open(folder / "groups.png")
    colours = {colour for _, colour in picture.getcolors(10**6) if max(colour) - min(colour) > 80}
    assert len({colour for colour in colours if picture.tobytes().count(bytes(colour)) > 100}) == 2  # one a group
    assert status("--a", "a.json", "a2.json", "--b", "few.json", "b1.json") == 3
    assert status("--a", "a.json", "far.json", "--b", "a2.json", "b1.json") == 0


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["a.json"], "--reports a.json: is one report. Give two reports or more."),
        (["a.json", "no.json"], "--reports no.json: there is no such file. Give a JSON file that pvdm test or"),
        (["a.json", "."], "--reports .: cannot be read (Is a directory). Give a JSON file"),
        (["a.json", "near.json", "--bootstrap", "-1"], "--bootstrap -1: is less than 0. Give 0 or more."),
        (["a.json", "near.json", "--plot", "."], "--plot .: is a folder. Name a PNG file."),
        ([], "--reports : is missing. Give two reports or more."),
        (["--a", "a.json", "near.json"], "--b : has no spread between trainings, which takes 2 reports or more."),
        (
            ["a.json", "far.json", "--a", "near.json"],
            "--reports a.json far.json: is given beside groups. Give reports, or",
        ),
    ],
)
def test_mistakes_in_a_line(folder, capsys, words, line):
    assert status(*words) == 2
    assert line in capsys.readouterr().err
