import json

import numpy as np
import pytest
import torch

from pvdm_lightning import LeRobot
from pvdm_lightning.data import write_contexts
from pvdm_lightning.data.index.video_info import Route
from pvdm_lightning.errors import InvalidArgumentError

HERE = {"frames": 4, "resolution": (16, 24), "clips_per_sample": 2, "num_workers": 0, "batch_size": 3}
EPISODES = (14, 9, 23, 11, 3, 17)
TASKS = ("push", "pull", "push", "push", "pull", "push")


@pytest.fixture(params=["libx264", "libsvtav1"])
def both(request, tmp_path, lerobot_writer):
    """The same episodes as version 2 and as version 3 of the format."""
    how = {
        "codec": request.param,
        "tasks": TASKS,
        "splits": {"train": "0:4", "test": "4:6"},
        "parts": tmp_path / "parts",
    }
    how |= {"options": {"preset": "12"}} if request.param == "libsvtav1" else {"max_b_frames": 2}
    lerobot_writer(tmp_path / "v2", 2, EPISODES, **how)
    return lerobot_writer(tmp_path / "v3", 3, EPISODES, files=[[0, 1, 2], [3, 4], [5]], **how)


def opened(root, **how):
    module = LeRobot(str(root), **{**HERE, **how})
    module.setup()
    return module


def test_an_episode_has_the_same_clips_in_a_file_of_its_own_and_among_others(both):
    alone, among = opened(both.parent / "v2"), opened(both)
    rng = np.random.default_rng(0)
    for split, lengths in (("train", EPISODES[:4]), ("val", EPISODES[4:])):
        one, other = alone.clips(split).source, among.clips(split).source
        assert one.lengths.tolist() == other.lengths.tolist() == list(lengths)
        for episode, length in enumerate(lengths):
            frames = sorted(rng.choice(length, size=min(length, 6), replace=False).tolist())
            for chosen in (frames, [0], [length - 1]):
                assert torch.equal(one.read(episode, chosen, (24, 32)), other.read(episode, chosen, (24, 32)))
    for module in (alone, among):
        assert [*module.captions().items()] == [(f"episode_{n:06d}", task) for n, task in enumerate(TASKS)]
        assert module.class_names == ["pull", "push"] and list(module.labels().values()) == [1, 0, 1, 1, 0, 1]
    for batch, same in zip(alone.train_dataloader(), among.train_dataloader()):
        assert batch.keys() == same.keys() and all(torch.equal(batch[key], same[key]) for key in batch)
    assert among.clips("train").source.fps.tolist() == [25.0] * 4


def test_a_camera_is_chosen(tmp_path, lerobot_writer):
    lerobot_writer(tmp_path / "set", 2, [5, 5], camera="observation.images.eye")
    info = json.loads((tmp_path / "set/meta/info.json").read_text())
    info["features"]["observation.images.wrist"] = {"dtype": "video"}
    (tmp_path / "set/meta/info.json").write_text(json.dumps(info))
    with pytest.raises(InvalidArgumentError, match=r"DataModule\.camera None: .* Give observation\.images\.eye or obs"):
        LeRobot(str(tmp_path / "set"), **HERE).setup()
    module = opened(tmp_path / "set", camera="observation.images.eye")
    assert module.class_names == [] and set(module.labels().values()) == {-1}  # one task tells nothing apart
    # Of the other one no video is there.
    checked = LeRobot(str(tmp_path / "set"), camera="observation.images.wrist").check(progress=False)
    assert [video.status for video in checked] == ["broken"] * 2
    assert {video.reason for video in checked} == {"No such file or directory"}


@pytest.mark.parametrize(
    ("splits", "train", "val"),
    [
        ({"train": "0:3", "val": "3:4", "test": "4:6"}, [0, 1, 2], [3]),
        ({"train": "2:6", "test": "0:2"}, [2, 3, 4, 5], [0, 1]),
        ({"train": "0:6", "val": "0:6"}, None, None),
        ({"train": "0:6"}, None, None),
        ({}, None, None),
    ],
)
def test_episodes_are_split_as_the_set_says_or_by_a_fraction(tmp_path, lerobot_writer, splits, train, val):
    lerobot_writer(tmp_path / "set", 2, [4] * 6, splits=splits)
    if not splits:
        info = json.loads((tmp_path / "set/meta/info.json").read_text())
        (tmp_path / "set/meta/info.json").write_text(json.dumps({**info, "splits": None}))
    sources = LeRobot(str(tmp_path / "set"), val_fraction=0.4).open_sources()
    found = [[int(source.key(place)[-6:]) for place in range(len(source.lengths))] for source in sources]
    if train is None:
        assert sorted(found[0] + found[1]) == list(range(6)) and min(map(len, found)) > 0
    else:
        assert found == [train, val]


def test_what_is_wrong_with_a_file_is_said_of_each_episode_in_it(tmp_path, lerobot_writer):
    root = lerobot_writer(
        tmp_path / "set", 3, [8, 8, 8, 8], files=[[0, 1], [2, 3]], splits={"train": "0:3", "val": "3:4"}
    )
    files = sorted(root.glob("videos/*/*/*.mp4"))
    files[0].write_bytes(files[0].read_bytes()[:700])
    checked = LeRobot(str(root)).check(progress=False)
    assert [video.path.rsplit(", ")[-1] for video in checked] == [f"episode {number}" for number in range(4)]
    assert [video.status for video in checked] == ["broken", "broken", "good", "good"]
    assert [(video.frames, video.route) for video in checked[2:]] == [(8, checked[2].route)] * 2
    assert checked[2].route != Route.BROKEN.name.lower()
    with pytest.raises(InvalidArgumentError, match=r"max_bad_fraction 0\.1: 2 of 3 videos cannot be read"):
        LeRobot(str(root), **HERE).setup()


def test_episodes_have_vectors_by_their_numbers(tmp_path, lerobot_writer):
    root = lerobot_writer(tmp_path / "set", 3, [9, 9], files=[[0, 1]], splits={"train": "0:1", "val": "1:2"})
    write_contexts(tmp_path / "c.safetensors", {f"episode_{n:06d}": torch.full((2, 3), float(n)) for n in range(2)})
    module = opened(root, context=str(tmp_path / "c.safetensors"))
    assert next(iter(module.val_dataloader()))["context"].unique().tolist() == [1.0]
    assert len(module.check(progress=False)) == 2
