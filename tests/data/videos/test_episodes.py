import numpy as np
import pytest
import torch

from pvdm_lightning.data.index import probing
from pvdm_lightning.data.index.build_index import load_or_build
from pvdm_lightning.data.videos.episodes import Episodes
from pvdm_lightning.data.videos.source import ConcatVideos, IndexedVideos, check_source, file_of, fps_of


@pytest.fixture
def videos(tmp_path, video_writer, broken):
    video_writer(tmp_path / "long.mp4", 60, codec="libx264", max_b_frames=2)
    video_writer(tmp_path / "short.avi", 10)
    (tmp_path / "text.mp4").write_bytes((broken / "text.mp4").read_bytes())
    return IndexedVideos(load_or_build(tmp_path, ["long.mp4", "short.avi", "text.mp4"], probing.probe, False))


def test_frames_of_an_episode_are_those_of_its_stretch(videos):
    rng = np.random.default_rng(0)
    for _ in range(6):
        first = int(rng.integers(0, 50))
        count = int(rng.integers(1, 60 - first))
        episodes = Episodes(videos, [0], [first], [count], [5])
        assert episodes.lengths.tolist() == [count] and not episodes.problems
        chosen = sorted(rng.choice(count, size=min(count, 4), replace=False).tolist())
        expected = videos.read(0, [first + frame for frame in chosen], (24, 32))
        assert torch.equal(episodes.read(0, chosen, (24, 32)), expected)


def test_an_episode_ends_where_its_file_ends(videos):
    episodes = Episodes(videos, [0, 0, 1, 1, 2, 0], [0, 50, 5, 10, 0, 7], [60, 20, 5, 4, 9, 0], range(6))
    assert episodes.lengths.tolist() == [60, 10, 5, 0, 0, 0]
    assert sorted(episodes.problems) == [3, 4, 5]
    assert episodes.problems[3] == "is frames 10 to 14 of a file that has 10"
    assert "Invalid data" in episodes.problems[4]
    checked = episodes.check(progress=False)
    assert [video.status for video in checked] == ["good", "flawed", "good", "broken", "broken", "broken"]
    assert checked[1].reason == "is frames 50 to 70 of a file that has 60" and checked[1].frames == 10
    assert checked[3].path == f"{videos.name(1)}, episode 3"


def test_what_is_said_of_an_episode(videos):
    episodes = Episodes(videos, [0, 1], [3, 0], [9, 10], [7, 12], [1, 0], ["pull", "push"])
    assert [episodes.key(place) for place in (0, 1)] == ["episode_000007", "episode_000012"]
    assert file_of(episodes, 1) == videos.name(1) and episodes.name(0) == f"{videos.name(0)}, episode 7"
    assert fps_of(episodes).tolist() == [25.0, 25.0] and episodes.labels.tolist() == [1, 0]
    both = ConcatVideos([episodes, videos])
    assert fps_of(both).tolist() == [25.0, 25.0, 25.0, 25.0, 0.0]
    assert file_of(both, 1) == file_of(both, 3) == videos.name(1)
    assert check_source(both, progress=False) == []  # checked one by one


def test_stamps_tell_where_episodes_start(videos):
    moved = [Episodes(videos, [0], [first], [9], [0]).stamps() for first in (3, 4)]
    assert moved[0] != moved[1] != videos.stamps()
