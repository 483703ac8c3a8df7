import json
import re
import sys

import pyarrow
import pytest
from pyarrow import parquet

from pvdm_lightning.data.videos import lerobot
from pvdm_lightning.data.videos.lerobot import Episode, LeRobotFolder
from pvdm_lightning.errors import InvalidArgumentError

EYE, WRIST = "observation.images.eye", "observation.images.wrist"
INFO = {
    "codebase_version": "v3.0",
    "fps": 10,
    "chunks_size": 1000,
    "splits": {"train": "0:2", "Test": "2:3"},
    "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    "features": {EYE: {"dtype": "video"}, WRIST: {"dtype": "video"}, "action": {"dtype": "float32"}},
}
ROWS = [
    (0, 30, 0, 0, 0.0, 3.0, ["push"]),
    (1, 25, 0, 0, 3.0, 5.5, ["push", "pull"]),
    (2, 1, 1, 12, 0.1, 0.2, []),
]
NAMES = ("episode_index", "length", "chunk_index", "file_index", "from_timestamp", "to_timestamp", "tasks")


def write(root, info=INFO, rows=ROWS, names=NAMES):
    """The descriptions of a data set, without its videos; all cameras have the same places."""
    (root / "meta/episodes/chunk-000").mkdir(parents=True, exist_ok=True)
    (root / "meta/info.json").write_text(json.dumps(info))
    records = [dict(zip(names, row)) for row in rows]
    own = [name for name in names if name.endswith(("_index", "timestamp")) and name != "episode_index"]
    for record in records:
        for name in own:
            value = record.pop(name)
            record.update({f"videos/{camera}/{name}": value for camera in (EYE, WRIST)})
    parquet.write_table(pyarrow.Table.from_pylist(records), root / "meta/episodes/chunk-000/file-000.parquet")
    return LeRobotFolder(root)


def write_v2(root, lines, **changes):
    (root / "meta").mkdir(parents=True, exist_ok=True)
    path = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
    (root / "meta/info.json").write_text(
        json.dumps({**INFO, "codebase_version": "v2.1", "video_path": path, **changes})
    )
    (root / "meta/episodes.jsonl").write_text("\n".join(lines))
    return LeRobotFolder(root)


def test_episodes_of_version_3_are_stretches_of_files(tmp_path):
    folder = write(tmp_path, rows=ROWS[::-1])
    assert folder.splits == {"train": (0, 2), "test": (2, 3)} and folder.cameras == [EYE, WRIST]
    assert folder.episodes(WRIST) == [
        Episode(0, f"videos/{WRIST}/chunk-000/file-000.mp4", 0, 30, "push"),
        Episode(1, f"videos/{WRIST}/chunk-000/file-000.mp4", 30, 25, ""),
        Episode(2, f"videos/{WRIST}/chunk-001/file-012.mp4", 1, 1, ""),
    ]


def test_an_episode_is_no_longer_than_its_stretch_whatever_its_length_says(tmp_path):
    folder = write(tmp_path, rows=[(0, 300, 0, 0, 0.0, 3.0, []), (1, 300, 0, 0, 3.0, 3.0, [])])
    assert [episode.frames for episode in folder.episodes(EYE)] == [30, 0]


@pytest.mark.parametrize("fps", [10, 29.97, 30, 50, 59.94])
def test_times_that_are_sums_of_rounded_ones_find_their_frames(tmp_path, fps):
    lengths, rows, time = [37 + number % 11 for number in range(200)], [], 0.0
    for number, length in enumerate(lengths):
        end = time + round(length / fps, 6)
        rows.append((number, length, 0, 0, time, end, []))
        time = end
    episodes = write(tmp_path, {**INFO, "fps": fps}, rows).episodes(EYE)
    assert [episode.frames for episode in episodes] == lengths
    assert [episode.first for episode in episodes] == [sum(lengths[:number]) for number in range(200)]


def test_episodes_of_version_2_are_files(tmp_path):
    lines = [
        '{"episode_index": 1001, "length": 7, "tasks": ["Pick  the\\ncube"]}',
        "",
        '{"episode_index": 3, "length": 9}',
    ]
    assert write_v2(tmp_path, lines).episodes(EYE) == [
        Episode(3, f"videos/chunk-000/{EYE}/episode_000003.mp4", 0, 9, ""),
        Episode(1001, f"videos/chunk-001/{EYE}/episode_001001.mp4", 0, 7, "Pick the cube"),
    ]


def test_the_camera_is_the_only_one_or_named(tmp_path):
    folder = write(tmp_path)
    assert folder.camera(WRIST) == WRIST
    with pytest.raises(
        InvalidArgumentError, match=rf"DataModule\.camera None: no camera is named in .*\. Give {EYE} or {WRIST}\."
    ):
        folder.camera(None)
    with pytest.raises(InvalidArgumentError, match=r"DataModule\.camera top: there is no such camera in"):
        folder.camera("top")
    one = {**INFO, "features": {WRIST: {"dtype": "video"}, "depth": {"dtype": "image"}}}
    assert write(tmp_path, one).camera(None) == WRIST


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"codebase_version": "v1.6"}, "is of version v1.6 of LeRobot's format, and 2 and 3 are read"),
        ({"codebase_version": "new"}, "meta/info.json is not as LeRobot writes it"),
        ({"fps": 0}, "meta/info.json has 0 frames a second"),
        ({"fps": float("nan")}, "meta/info.json has nan frames a second"),
        ({"chunks_size": -1}, "meta/info.json has 10 frames a second|chunks"),
        ({"features": {"a": {"dtype": "image"}}}, "has no videos, but 1 columns of single pictures"),
        ({"features": ["a"]}, "meta/info.json is not as LeRobot writes it"),
        ({"splits": {"train": "all"}}, "meta/info.json is not as LeRobot writes it"),
        ({"splits": ["train"]}, "meta/info.json is not as LeRobot writes it"),
    ],
)
def test_a_description_that_is_none_is_said(tmp_path, changes, problem):
    with pytest.raises(InvalidArgumentError, match=problem):
        write(tmp_path, {**INFO, **changes})


def test_a_folder_without_a_description_is_no_lerobot_set(tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"has no meta/info\.json, which .* Give the folder that holds meta"):
        LeRobotFolder(tmp_path)
    (tmp_path / "meta").mkdir()
    for content in (b"{", b"[]", b"\xff", b"[" * 10**5):
        (tmp_path / "meta/info.json").write_bytes(content)
        with pytest.raises(
            InvalidArgumentError, match=r"meta/info\.json (cannot be read|is not as LeRobot writes it) \("
        ):
            LeRobotFolder(tmp_path)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([(0, 30, 0, 0, -1.0, 3.0, [])], "-1.0 is no time"),
        ([(0, 30, 0, 0, float("nan"), 3.0, [])], "nan is no time"),
        ([(0, 30, 0, 0, float("inf"), 3.0, [])], "inf is no time"),
        ([(0, 30, 0, 0, None, 3.0, []), (1, 30, 0, 0, 1.0, 3.0, [])], "None is no time"),
        ([(0, -3, 0, 0, 0.0, 3.0, [])], "-3 is no count"),
        ([(0.5, 3, 0, 0, 0.0, 3.0, [])], "0.5 is no count"),
        ([(0, 3, -1, 0, 0.0, 3.0, [])], "-1 is no count"),
        ([(True, 3, 0, 0, 0.0, 3.0, [])], "True is no count"),
    ],
)
def test_impossible_episodes_are_said(tmp_path, rows, problem):
    with pytest.raises(InvalidArgumentError, match=rf"its list of episodes is not as LeRobot writes it \({problem}\)"):
        write(tmp_path, rows=rows).episodes(EYE)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("../{video_key}.mp4", "leads out of the data set"),
        ("/etc/{video_key}", "leads out of the data set"),
        ("{video_key}/{secret}", "'secret' is missing"),
    ],
)
def test_paths_stay_within_the_data_set(tmp_path, path, problem):
    with pytest.raises(InvalidArgumentError, match=problem):
        write(tmp_path, {**INFO, "video_path": path}).episodes(EYE)


def test_a_template_looks_into_nothing(tmp_path):
    folder = write(
        tmp_path, {**INFO, "video_path": "{video_key.__class__}/{0.a}/{chunk_index!r}/{file_index:9999999d}"}
    )
    assert folder.episodes(EYE)[2].file == "{video_key.__class__}/{0.a}/{chunk_index!r}/{file_index:9999999d}"


def test_a_list_that_is_missing_or_damaged_is_said(tmp_path, monkeypatch):
    folder, file = write(tmp_path), tmp_path / "meta/episodes/chunk-000/file-000.parquet"
    whole = file.read_bytes()
    for content in (b"", b"text", whole[:200], whole[:-9], whole[:100] + b"\xff" * 200 + whole[300:]):
        file.write_bytes(content)
        with pytest.raises(InvalidArgumentError, match="its list of episodes (is not as|cannot be read)"):
            folder.episodes(EYE)
    write(tmp_path, rows=[row[:1] for row in ROWS], names=NAMES[:1])
    with pytest.raises(InvalidArgumentError, match=r"file-000\.parquet has no column length"):
        folder.episodes(EYE)
    write(tmp_path)
    monkeypatch.setattr(lerobot, "MOST_EPISODES", 2)
    with pytest.raises(InvalidArgumentError, match=r"file-000\.parquet has more than 2 episodes"):
        folder.episodes(EYE)
    monkeypatch.undo()
    monkeypatch.setattr(lerobot, "MOST_IN_LIST", 10)
    with pytest.raises(InvalidArgumentError, match=r"has longer texts than any list of episodes"):
        folder.episodes(EYE)
    file.unlink()
    with pytest.raises(InvalidArgumentError, match=r"there is no meta/episodes/chunk-000/file-000\.parquet"):
        folder.episodes(EYE)


@pytest.mark.parametrize("lines", [["{"], ['{"length": 3}'], ['{"episode_index": 0}'], ["[]"], [""]])
def test_a_list_of_version_2_that_is_damaged_is_said(tmp_path, lines):
    with pytest.raises(InvalidArgumentError, match=r"(its list of episodes is not as LeRobot writes it|lists no epis)"):
        write_v2(tmp_path, lines).episodes(EYE)


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    folder = write(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    said = re.escape('is not installed. Install it with `pip install "pvdm-lightning[parquet]"`.')
    with pytest.raises(InvalidArgumentError, match=rf"DataModule\.root {tmp_path}: has its list of episodes.* {said}"):
        folder.episodes(EYE)
