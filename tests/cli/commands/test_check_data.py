"""`pvdm check-data`: what it says and what it writes."""

import json
import sys

import pytest
from PIL import Image

from pvdm_lightning import cli


@pytest.fixture
def check(tmp_path, monkeypatch):
    """`check(*args)` in a folder with a set of one good and one broken video."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pvdm"])
    for name in ("good", "broken"):
        (tmp_path / "set" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "set" / name / "0.png")
    (tmp_path / "set/broken/0.png").write_bytes(b"no picture")
    return lambda *args: cli.main(["check-data", "--data", "FrameFolder", "--data.root", "set", *args])


def test_a_broken_video_is_said_once_and_the_report_holds_all(check, tmp_path, capsys):
    check("--report", "new/folder/check.json")
    said = capsys.readouterr().out
    assert said.count("set/broken: ") == 1 and "2 videos, 1 frames: 1 good, 1 broken" in said
    (report,) = (tmp_path / "new/folder").iterdir()
    assert json.loads(report.read_text())["counts"] == {"broken": 1, "good": 1}


def test_classes_are_counted(check, tmp_path, capsys):
    (tmp_path / "set/metadata.csv").write_text("file_name,label\ngood,fine\nbroken,fine\n")
    check()
    said = capsys.readouterr().out
    assert "\n1 class: fine 2\n" in said


@pytest.mark.parametrize(
    ("report", "problem"),
    [
        ("set", "is a folder. Name a file."),
        ("set/good/0.png/check.json", "set/good/0.png is not a writable folder"),
    ],
)
def test_a_report_that_cannot_be_written_is_said_before_the_check(check, tmp_path, capsys, report, problem):
    with pytest.raises(SystemExit) as ended:
        check("--report", report)
    assert ended.value.code == 2
    assert f"pvdm: error: --report {report}: {problem}" in capsys.readouterr().err
    assert not (tmp_path / "set/.pvdm_index.npz").exists() and (tmp_path / "set/good/0.png").is_file()


def test_a_lock_is_written_and_nothing_starts_on_other_videos(check, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PVDM_CACHE", str(tmp_path / "cache"))

    def error_of(*args):
        with pytest.raises(SystemExit) as ended:
            cli.main([*args, "--data", "FrameFolder", "--data.root", "set", "--data.lock", "data.lock"])
        assert ended.value.code == 2
        return capsys.readouterr().err

    (tmp_path / "set/more").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "set/more/0.png")
    check("--lock", "data.lock")
    assert "lock: data.lock: 3 videos, list " in (said := capsys.readouterr().out)
    assert json.loads((tmp_path / "data.lock").read_text())["list_sha256"] in said
    check("--data.lock", "data.lock")  # holds
    Image.new("RGB", (8, 8), "red").save(tmp_path / "set/good/0.png")
    line = "--data.lock data.lock: does not hold for set: 1 changed (good). Restore these videos, or write a new lock"
    assert line in error_of("check-data")
    assert line in error_of("fit", "--config", "demo_ae.yaml", "--trainer.accelerator", "cpu")
    assert not (tmp_path / "runs").exists() or not any((tmp_path / "runs").rglob("*.ckpt"))
    (tmp_path / "set/more/0.png").rename(tmp_path / "set/0.png")
    found = error_of("check-data")
    assert "1 missing (more)" in found and "1 new (.)" in found
    with pytest.raises(SystemExit):
        cli.main(["check-data", "--data", "Synthetic", "--lock", "other.lock"])
    assert "--lock other.lock: a generated set has no files to look at. Leave it out." in capsys.readouterr().err


def test_a_generated_set_has_nothing_to_check(check, caplog, capsys):
    check("--data", "Synthetic")
    said = [record.getMessage() for record in caplog.records if record.name.startswith("pvdm")]
    assert capsys.readouterr().out.startswith("4 classes: disc ")
    assert said == ["Synthetic: a generated set, there are no files to check"]


def test_a_set_without_a_good_video_is_an_error_and_nothing_to_train_on(check, tmp_path, capsys):
    (tmp_path / "set/good/0.png").write_bytes(b"no picture either")
    with pytest.raises(SystemExit) as ended:
        check("--report", "check.json")
    said = capsys.readouterr()
    assert ended.value.code == 2 and (tmp_path / "check.json").is_file()
    assert "0 good, 2 broken" in said.out and "pvdm fit" not in said.out + said.err
    assert "pvdm: error: --data.root set: holds no video that can be read. " in said.err
