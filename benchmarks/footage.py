"""Records class folders of videos from simulators on the package index: footage to train on that anybody can make.

    pip install 'pvdm-lightning[footage]'
    python -m benchmarks footage --out data/games
    pvdm check-data --data VideoFolder --data.root data/games

A class is a game, or a place in one, of a look of its own; a scripted player keeps its camera moving. Videos are
train/CLASS/00000.mp4 ... and test/CLASS/00000.mp4 ..., each of an episode with a seed of its own, which does not depend
on the others. What is there already is not recorded again. No screen and no GPU are needed.
"""

from __future__ import annotations

import argparse
import atexit
import itertools
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from PIL import Image
from torch import Tensor

from benchmarks.timing import say
from pvdm_lightning.data.output.writing import write_video
from pvdm_lightning.errors import InvalidArgumentError

LEAST_FRAMES = 24
"""An episode with fewer frames gives no video."""
ATTEMPTS = 10
"""Episodes tried for a video before its class is given up."""
FPS = 15
INSTALL = "pip install 'pvdm-lightning[footage]'"

Episode = Callable[[Generator], Iterator[np.ndarray]]
"""Plays an episode, all of whose chance comes from a generator, and yields its frames, uint8 [H W 3]."""


@dataclass(frozen=True)
class Scene:
    """What a class is recorded from.

    Args:
        package: Package it needs, as it is imported.
        start: Starts the simulator, and returns what plays an episode of it.
    """

    package: str
    start: Callable[[], Episode]


def doom(scenario: str, place: str | None = None, speed: float = 8.0) -> Callable[[], Episode]:
    """A walk through a scenario of ViZDoom with the free graphics of Freedoom.

    Args:
        scenario: Name of its configuration.
        place: Map of a game of several.
        speed: Of walking. Slow, because textures that a camera passes fast are more than small models learn.
    """

    def start() -> Episode:
        import vizdoom

        game = vizdoom.DoomGame()
        game.load_config(str(Path(vizdoom.scenarios_path, f"{scenario}.cfg")))
        if place is not None:
            game.set_doom_map(place)
        game.set_window_visible(False)
        game.set_sound_enabled(False)
        game.set_mode(vizdoom.Mode.PLAYER)
        game.set_screen_format(vizdoom.ScreenFormat.RGB24)
        game.set_screen_resolution(vizdoom.ScreenResolution.RES_320X240)
        game.set_depth_buffer_enabled(True)
        game.set_render_hud(False)
        game.set_render_messages(False)
        game.set_render_screen_flashes(False)
        game.set_episode_timeout(10_000)
        walk, turn = vizdoom.Button.MOVE_FORWARD_BACKWARD_DELTA, vizdoom.Button.TURN_LEFT_RIGHT_DELTA
        game.set_available_buttons([walk, turn])
        game.add_game_args("+sv_cheats 1")
        game.set_seed(1)
        folder = tempfile.mkdtemp()
        atexit.register(shutil.rmtree, folder)
        atexit.register(game.close)  # before that: it writes its settings then
        game.set_doom_config_path(str(Path(folder, "vizdoom.ini")))
        game.init()

        def episode(rng: Generator) -> Iterator[np.ndarray]:
            game.set_seed(int(rng.integers(2**31)))
            game.new_episode()
            game.send_game_command("god")  # else its monsters end most episodes early
            turning, side = 0.0, 1.0
            skipped = int(rng.integers(5, 100))  # the places where players begin are few
            for step in itertools.count():
                if game.is_episode_finished():
                    return
                state = game.get_state()
                if step >= skipped:
                    yield state.screen_buffer
                depth = state.depth_buffer[100:140].astype(np.float32)
                left, ahead, right = (depth[:, part].mean() for part in np.split(np.arange(320), (110, 210)))
                turning = 0.95 * turning + rng.normal(0, 0.15)
                if ahead < 14:  # a wall is near
                    turning = 1.5 * side
                else:
                    side = 1.0 if right > left else -1.0
                game.make_action([speed if ahead > 8 else 0.0, turning], 1 if step >= skipped else 6)

        return episode

    return start


def crafter() -> Episode:
    """A walk through the worlds of Crafter, seen from above."""
    from crafter import Env

    def episode(rng: Generator) -> Iterator[np.ndarray]:
        world = Env(area=(40, 40), size=(126, 126), seed=int(rng.integers(2**31)))
        frame, over = world.reset(), False
        skipped, way, left, before = int(rng.integers(0, 100)), 0, 0, frame
        for step in itertools.count():
            if over:
                return
            if step >= skipped:
                yield frame
            action = 0
            if step % 3 == 0:  # each move is a whole square
                if left == 0 or np.array_equal(frame, before):
                    way, left = int(rng.integers(1, 5)), int(rng.integers(4, 12))  # left, right, up, down
                action, before, left = way, frame, left - 1
            frame, _, over, _ = world.step(action)

    return episode


def car_racing() -> Episode:
    """Laps on the random tracks of CarRacing."""
    import gymnasium

    game: Any = gymnasium.make("CarRacing-v3", max_episode_steps=-1).unwrapped
    draw = game._render  # of all steps that are not recorded it would take most of the time
    game._render = lambda mode: None

    def episode(rng: Generator) -> Iterator[np.ndarray]:
        game.reset(seed=int(rng.integers(2**31)))
        track = np.array(game.track)[:, 2:]
        skipped, wanted = int(rng.integers(50, 800)), rng.uniform(30, 60)  # the camera zooms in first
        for step in itertools.count():
            car = game.car.hull
            near = int(np.square(track - car.position).sum(axis=1).argmin())
            x, y = car.GetLocalPoint(track[(near + 5) % len(track)])
            slow = np.linalg.norm(car.linearVelocity) < wanted
            action = np.array([np.clip(np.arctan2(x, y), -1, 1), 0.5 * slow, 0.0])
            if game.step(action)[2]:
                return
            if step >= skipped and step % 2 == 0:
                yield draw("state_pixels")

    return episode


SCENES = {
    "arena": Scene("vizdoom", doom("defend_the_center")),
    "base": Scene("vizdoom", doom("freedoom2", "MAP04")),
    "car_racing": Scene("gymnasium", car_racing),
    "hall": Scene("vizdoom", doom("deathmatch")),
    "crafter": Scene("crafter", crafter),
    "inferno": Scene("vizdoom", doom("freedoom1", "E3M1")),
    "lamps": Scene("vizdoom", doom("rocket_basic")),
    "maze": Scene("vizdoom", doom("my_way_home")),
    "meadow": Scene("vizdoom", doom("health_gathering")),
    "portals": Scene("vizdoom", doom("predict_position")),
}


def record(play: Episode, name: str, index: int, length: int) -> Sequence[np.ndarray] | None:
    """The frames of a video, or None if `ATTEMPTS` episodes ended before `LEAST_FRAMES`.

    Args:
        play: Plays an episode.
        name: Split and class; seeds depend on them.
        index: Number of the video.
        length: Most frames that it may have.
    """
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng([zlib.crc32(name.encode()), index, attempt])
        frames = [frame.copy() for frame in itertools.islice(play(rng), length)]
        if len(frames) >= min(LEAST_FRAMES, length):
            return frames
    return None


def square(frames: Sequence[np.ndarray], side: int) -> Tensor:
    """The middle of frames uint8 [H W 3], resized: uint8 [3 T side side]."""
    resized = []
    for frame in frames:
        least = min(frame.shape[:2])
        top, left = ((length - least) // 2 for length in frame.shape[:2])
        middle = Image.fromarray(frame[top : top + least, left : left + least])
        resized.append(np.asarray(middle.resize((side, side), Image.Resampling.BICUBIC)))
    return torch.from_numpy(np.stack(resized)).permute(3, 0, 1, 2)


def add_options(options: argparse.ArgumentParser) -> None:
    """What to record, and where to."""
    options.add_argument("--out", type=Path, required=True, help="folder of the data set")
    options.add_argument("--classes", nargs="+", metavar="CLASS", default=list(SCENES), help=", ".join(SCENES))
    options.add_argument("--videos", type=int, nargs=2, default=[200, 30], metavar=("TRAIN", "TEST"), help="of a class")
    options.add_argument("--frames", type=int, default=48, help="of a video, at most")
    options.add_argument("--size", type=int, default=128, help="of the frames' sides; twice that of the clips is best")


def run(args: argparse.Namespace) -> None:
    """Record what is missing."""
    unknown = [name for name in args.classes if name not in SCENES]
    if unknown:
        raise InvalidArgumentError("--classes", unknown[0], "is no class", f"There are {', '.join(SCENES)}.")
    there = [name for name in args.classes if find_spec(SCENES[name].package) is not None]
    if not there:
        problem = f"needs {SCENES[args.classes[0]].package}, which is not installed"
        raise InvalidArgumentError("--classes", args.classes[0], problem, INSTALL)
    for name in args.classes:
        scene = SCENES[name]
        if name not in there:
            say(f"{name}: {scene.package} is not installed: {INSTALL}\n")
            continue
        wanted = [
            (f"{split}/{name}", index)
            for split, count in zip(("train", "test"), args.videos, strict=True)
            for index in range(count)
        ]
        paths = {each: args.out / each[0] / f"{each[1]:05d}.mp4" for each in wanted}
        missing = [each for each in wanted if not paths[each].exists()]
        play = scene.start() if missing else None
        for each in missing:
            assert play is not None
            frames = record(play, *each, args.frames)
            if frames is None:
                say(f"{paths[each]}: {ATTEMPTS} episodes ended before {LEAST_FRAMES} frames; no more of this class\n")
                break
            write_video(square(frames, args.size), paths[each], FPS)
        say(f"{name}: {sum(path.exists() for path in paths.values())} of {len(wanted)} videos\n")
