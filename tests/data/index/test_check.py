import json
from pathlib import Path

import pytest
from PIL import Image

from pvdm_lightning import UCF101, Synthetic
from pvdm_lightning.data.index.check import check_videos, summarise, write_report
from pvdm_lightning.data.videos import frame_folder
from pvdm_lightning.errors import InvalidArgumentError


@pytest.fixture
def mixed(tmp_path, playable, broken, frame_folder_writer):
    root = tmp_path / "set"
    root.mkdir()
    for source in (playable / "h264.mp4", playable / "truncated.avi", broken / "empty.avi", broken / "text.mp4"):
        (root / source.name).write_bytes(source.read_bytes())
    frame_folder_writer(root / "frames" / "good", 3)
    damaged = frame_folder_writer(root / "frames" / "damaged", 3) / "frame00002.png"
    damaged.write_bytes(damaged.read_bytes()[:90])
    return root


def test_every_video_is_listed_with_its_state(mixed, tmp_path):
    checked = check_videos(mixed, progress=False)
    found = {Path(video.path).relative_to(mixed).as_posix(): video for video in checked}
    assert {name: video.status for name, video in found.items()} == {
        "empty.avi": "broken",
        "h264.mp4": "good",
        "text.mp4": "broken",
        "truncated.avi": "flawed",
        "frames/damaged": "broken",
        "frames/good": "good",
    }
    assert found["empty.avi"].reason == "is empty (0 bytes)"
    assert found["frames/damaged"].reason.startswith("frame00002.png: ")
    good = found["h264.mp4"]
    assert (good.frames, good.height, good.width, good.fps, good.codec) == (40, 48, 64, 25.0, "h264")
    text = summarise(checked)
    assert "broken: " + str(mixed / "empty.avi") + ": is empty (0 bytes)" in text
    assert "6 videos" in text and "2 good, 1 damaged but usable, 3 broken" in text
    assert summarise([video for video in checked if video.status == "broken"]).endswith("0 good, 3 broken")
    write_report(checked, tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["counts"] == {"broken": 3, "good": 2, "flawed": 1}
    assert [entry["path"] for entry in report["videos"]] == [video.path for video in checked]


def test_a_folder_is_read_once_however_many_pictures_it_has(tmp_path, frame_folder_writer, monkeypatch):
    folder = frame_folder_writer(tmp_path / "set" / "clip", 5)
    listed: list[Path] = []
    monkeypatch.setattr(
        frame_folder, "image_names", lambda path, names=frame_folder.image_names: listed.append(path) or names(path)
    )
    assert [video.status for video in check_videos(tmp_path / "set", progress=False)] == ["good"]
    assert listed == [folder] * 2  # to count its pictures for the index, and to read them


def test_a_folder_heals_when_its_pictures_are_written_again(tmp_path, frame_folder_writer):
    folder = frame_folder_writer(tmp_path / "set" / "clip", 3)

    def status():
        return [video.status for video in check_videos(tmp_path / "set", progress=False)]

    found = [status()]
    for path in sorted(folder.iterdir()):
        Image.new("RGB", (10, 12)).save(path)
        found.append(status())
    assert found == [["good"], ["broken"], ["broken"], ["good"]]


def test_a_data_module_checks_the_videos_of_its_splits(tmp_path, playable):
    (tmp_path / "UCF-101" / "A").mkdir(parents=True)
    (tmp_path / "UCF-101" / "A" / "one.avi").write_bytes((playable / "mpeg4.avi").read_bytes())
    splits = tmp_path / "ucfTrainTestlist"
    splits.mkdir()
    (splits / "classInd.txt").write_text("1 A\n")
    (splits / "trainlist01.txt").write_text("A/one.avi 1\n")
    (splits / "testlist01.txt").write_text("A/missing.avi\n")
    checked = UCF101(str(tmp_path / "UCF-101")).check(progress=False)
    assert [(video.status, video.reason) for video in checked] == [
        ("good", ""),
        ("broken", "No such file or directory"),
    ]
    assert Synthetic().check(progress=False) == []


def test_mistakes_name_the_flag(tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"^DataModule\.root .*nowhere: there is no such folder"):
        check_videos(tmp_path / "nowhere")
    with pytest.raises(InvalidArgumentError, match=r"^DataModule\.root .*: there are no videos and no pictures in it"):
        check_videos(tmp_path)
