"""`footage` records what simulators show, whole files of long enough episodes, each once; simulators are fakes here."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from benchmarks import footage
from benchmarks.footage import Scene
from pvdm_lightning import VideoFolder

LENGTH = 6


def plays(colour, length=LENGTH):
    """Starts a simulator whose episodes show a colour beneath noise of their own."""

    def start():
        def episode(rng):
            frame = (np.array(colour) + rng.integers(0, 50, (32, 64, 1))).astype(np.uint8)
            yield from [frame] * length

        return episode

    return start


@pytest.fixture
def record(bench, monkeypatch, tmp_path):
    """`record(OPTIONS...)` with two classes of a package that is there; what it printed, and its folder."""
    monkeypatch.setattr(footage, "LEAST_FRAMES", LENGTH)
    scenes = {"blue": Scene("numpy", plays((0, 0, 200))), "red": Scene("numpy", plays((200, 0, 0)))}
    monkeypatch.setattr(footage, "SCENES", scenes)

    def run(*options):
        small = ("--videos", 3, 1, "--frames", 8, "--size", 16)
        return bench("footage", "--out", tmp_path, *small, "--classes", *(options or scenes))

    run.scenes, run.folder = scenes, tmp_path
    return run


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.mp4")}


def test_classes_and_splits_are_as_video_folder_reads_them(record):
    assert record().splitlines() == ["blue: 4 of 4 videos", "red: 4 of 4 videos"]
    data = VideoFolder(str(record.folder), frames=4, resolution=16, clips_per_sample=1, batch_size=1, num_workers=0)
    data.setup()
    train, val = data.clips("train"), data.clips("val")
    assert data.class_names == ["blue", "red"] and (len(train), len(val)) == (6, 2)
    for sample in (*map(train.__getitem__, range(6)), *map(val.__getitem__, range(2))):
        strongest = sample["clip"].float().mean(dim=(1, 2, 3)).argmax().item()
        assert data.class_names[sample["label"]] == ("red", "green", "blue")[strongest]


def test_what_is_there_is_not_recorded_again_and_what_is_not_comes_out_the_same(record, monkeypatch):
    record()
    first = files(record.folder)
    assert len(set(first.values())) == 8
    for gone in ("train/red/00001.mp4", "test/red/00000.mp4"):
        (record.folder / gone).unlink()
    (record.folder / "train/red/00000.mp4").write_bytes(b"kept")
    monkeypatch.setitem(record.scenes, "blue", Scene("numpy", lambda: pytest.fail("nothing is missing of this class")))
    record()
    assert files(record.folder) == first | {"train/red/00000.mp4": b"kept"}


def test_episodes_that_are_too_short_are_not_tried_for_ever(record, monkeypatch):
    tried = []

    def start():
        def episode(rng):
            tried.append(rng.integers(2**31))
            yield from plays((0, 0, 0), LENGTH if len(tried) == 3 else LENGTH - 1)()(rng)

        return episode

    monkeypatch.setitem(record.scenes, "red", Scene("numpy", start))
    said = record().splitlines()
    assert said[0] == "blue: 4 of 4 videos" and said[2] == "red: 1 of 4 videos"
    assert said[1].endswith(f"00001.mp4: 10 episodes ended before {LENGTH} frames; no more of this class")
    assert len(tried) == len(set(tried)) == 3 + footage.ATTEMPTS


def test_mistakes_are_one_line(record, monkeypatch, capsys):
    monkeypatch.setitem(record.scenes, "green", Scene("not_installed_here", plays(0)))
    said = record("green", "red").splitlines()
    assert said == [
        "green: not_installed_here is not installed: pip install 'pvdm-lightning[footage]'",
        "red: 4 of 4 videos",
    ]
    with pytest.raises(SystemExit):
        record("pink")
    assert capsys.readouterr().err.splitlines()[-1].endswith("--classes pink: is no class. There are blue, red, green.")
    with pytest.raises(SystemExit):
        record("green")
    assert "pip install 'pvdm-lightning[footage]'" in capsys.readouterr().err.splitlines()[-1]


def test_frames_are_cut_to_their_middle():
    frame = np.zeros((8, 16, 3), np.uint8)
    frame[:, 4:12, 1] = 90
    video = footage.square([frame] * 2, 4)
    assert video.shape == (3, 2, 4, 4) and video[1].unique().tolist() == [90]


# Players: each turns what its simulator shows into actions.


class Doom:
    """A room as `vizdoom` shows it: a wall ahead until the player has turned, to the right, where there is space."""

    def __init__(self):
        self.options, self.actions, self.angle = {}, [], 0.0

    def __getattr__(self, name):
        return lambda *value: self.options.update({name: value})

    def is_episode_finished(self):
        return len(self.actions) == 60

    def get_state(self):
        depth = np.full((240, 320), 40.0)
        if self.angle < 45:
            depth[:, :215] = 5
        return SimpleNamespace(screen_buffer=np.full((240, 320, 3), len(self.actions), np.uint8), depth_buffer=depth)

    def make_action(self, action, tics):
        self.actions.append(action)
        self.angle += action[1]


@pytest.fixture
def doom(monkeypatch):
    module, game = ModuleType("vizdoom"), Doom()
    names = SimpleNamespace(PLAYER=0, RGB24=0, RES_320X240=0, MOVE_FORWARD_BACKWARD_DELTA=0, TURN_LEFT_RIGHT_DELTA=1)
    module.__dict__.update(
        DoomGame=lambda: game,
        scenarios_path="scenarios",
        **dict.fromkeys(("Mode", "ScreenFormat", "ScreenResolution", "Button"), names),
    )
    monkeypatch.setitem(sys.modules, "vizdoom", module)
    return game


def test_a_walk_turns_away_from_walls_and_goes_on(doom):
    frames = list(footage.doom("freedoom2", "MAP04", speed=20)()(np.random.default_rng(6)))
    assert doom.options["load_config"] == ("scenarios/freedoom2.cfg",) and doom.options["set_doom_map"] == ("MAP04",)
    assert doom.options["set_window_visible"] == (False,)
    walked, turned = np.array(doom.actions).T
    first = int(np.flatnonzero(walked)[0])
    assert first > 0 and (turned[:first] > 0).all() and (walked[first:] == 20).all()
    steps = [int(frame[0, 0, 0]) for frame in frames]
    assert steps == list(range(steps[0], 60)) and steps[0] > 0


def test_a_walk_through_crafter_changes_its_way_at_obstacles(monkeypatch):
    done = []

    class Env:
        def __init__(self, area, size, seed):
            self.place = 0

        def reset(self):
            return np.zeros((4, 4, 3), np.uint8)

        def step(self, action):
            done.append(action)
            self.place += action == 1  # any other way is blocked
            return np.full((4, 4, 3), self.place, np.uint8), 0.0, len(done) == 150, {}

    module = ModuleType("crafter")
    module.__dict__.update(Env=Env)
    monkeypatch.setitem(sys.modules, "crafter", module)
    frames = list(footage.crafter()(np.random.default_rng(0)))
    assert len(done) == 150 > len(frames) >= 50
    moves = done[::3]
    assert set(moves) <= {1, 2, 3, 4} and set(done[1::3] + done[2::3]) == {0}
    blocked = [before for before, after in zip(moves, moves[1:]) if before == after != 1]
    assert moves.count(1) > 15 and len(blocked) < 13


def test_laps_follow_the_track_and_nothing_is_drawn_in_between(monkeypatch):
    drawn, steers = [], []

    class Hull:
        position, linearVelocity = np.array([0.0, 0.0]), np.array([0.0, 1.0])  # noqa: N815

        def GetLocalPoint(self, point):  # noqa: N802
            return point - self.position

    class Game:
        def __init__(self):
            self.car, self.t = SimpleNamespace(hull=Hull()), 0
            self.track = [(0, 0, 10.0 * (place > 0), 5.0 * place) for place in range(8)]  # to the right

        def _render(self, mode):
            drawn.append(self.t)
            return np.zeros((96, 96, 3), np.uint8)

        def reset(self, seed):
            pass

        def step(self, action):
            self._render("state_pixels")
            self.t += 1
            steers.append(action[0])
            return None, 0.0, self.t == 1000, False, {}

    module = ModuleType("gymnasium")
    module.__dict__.update(make=lambda name, **options: SimpleNamespace(unwrapped=Game()))
    monkeypatch.setitem(sys.modules, "gymnasium", module)
    frames = list(footage.car_racing()(np.random.default_rng(0)))
    assert steers and min(steers) > 0.2
    assert len(frames) == len(drawn) and set(np.diff(drawn)) == {2} and drawn[0] >= 50
