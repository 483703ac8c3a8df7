"""What each part of the recipe for few steps gains at equal compute, on generated videos.

    python -m benchmarks recipes --out recipes

Each recipe adds one thing to the one before it. Both stages are trained by `pvdm fit` with small networks, for every
seed, one thread a run and as many runs at once as there are cores; `quality` judges 64 samples. What is there already
is not trained again.

Two tables, of samples and of reconstructions, with the columns of `quality`: the mean over the seeds, and the least and
the largest of them. What one recipe gains over another is more than chance only where their ranges lie apart.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from threading import Lock

from benchmarks.timing import say

CHECKPOINT = "latest"
COLUMNS = {
    "samples": ("empty", "one object", "recognised", "kinds", "factors", "texture", "grid", "TransNetV2"),
    "reconstructions": ("recognised", "sharpness", "texture", "grid", "TransNetV2"),
}
"""Rows of `quality`, and which of its figures a table of them has."""
Figures = Mapping[str, Sequence[float]]
"""By its name, each figure with its interval."""


def _first_stage(zero_mean: bool = True, noise: float = 0.5, gradient: float = 0.0) -> list[str]:
    return [
        *("--model.autoencoder.zero_mean_motion", str(zero_mean).lower()),
        *("--model.latent_noise", str(noise), "--model.gradient_weight", str(gradient)),
    ]


def _second_stage(prediction_type: str, timestep_sampling: str, normalized: bool) -> list[str]:
    return [
        *("--model.prediction_type", prediction_type, "--model.timestep_sampling", timestep_sampling),
        *("--model.normalize_latents", str(normalized).lower()),
    ]


PLAIN, ZERO_MEAN, NOISE = _first_stage(False, 0.0), _first_stage(noise=0.0), _first_stage()
GRADIENT = _first_stage(gradient=0.5)
ADAMW, MUON = (["--model.optimizer", name] for name in ("adamw", "muon"))
EPSILON = _second_stage("epsilon", "uniform", False)
VELOCITY = _second_stage("v_prediction", "uniform", True)
FLOW = _second_stage("flow_prediction", "logit_normal", True)
AXES, POSITIONS = (f"--model.denoiser.{name}" for name in ("axis_pooling", "position_embedding"))


@dataclass(frozen=True)
class Recipe:
    """Options of both stages.

    Args:
        name: What it adds.
        first: Of stage one.
        second: Of stage two.
        times: Stage two trains so many times as long.
    """

    name: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    times: int = 1


def _recipe(name: str, first: list[str], second: list[str], positions: bool, axes: bool, times: int = 1) -> Recipe:
    parts = [AXES, str(axes).lower(), POSITIONS, str(positions).lower()]
    return Recipe(name, tuple(first), (*second, *parts), times)


RECIPES = (
    _recipe("the paper's", PLAIN + ADAMW, EPSILON + ADAMW, False, False),
    _recipe("+ velocity, normalized latents", PLAIN + ADAMW, VELOCITY + ADAMW, False, False),
    _recipe("+ Muon", PLAIN + MUON, VELOCITY + MUON, False, False),
    _recipe("+ motion planes of zero mean", ZERO_MEAN + MUON, VELOCITY + MUON, False, False),
    _recipe("+ position embedding", ZERO_MEAN + MUON, VELOCITY + MUON, True, False),
    _recipe("+ axis pooling", ZERO_MEAN + MUON, VELOCITY + MUON, True, True),
    _recipe("+ latent noise", NOISE + MUON, VELOCITY + MUON, True, True),
    _recipe("+ loss on differences of pixels", GRADIENT + MUON, VELOCITY + MUON, True, True),
    _recipe("+ rectified flow, logit-normal times", GRADIENT + MUON, FLOW + MUON, True, True),
    _recipe("the paper's, 5 times the steps", PLAIN + ADAMW, EPSILON + ADAMW, False, False, times=5),
    _recipe("velocity, normalized, 5 times the steps", PLAIN + ADAMW, VELOCITY + ADAMW, False, False, times=5),
)


class Runs:
    """Trains what is not there yet.

    Args:
        folder: For everything.
        steps: Of stage one and of stage two.
    """

    def __init__(self, folder: Path, steps: tuple[int, int]) -> None:
        self.folder, self.steps = folder, steps
        self._locks: dict[Path, Lock] = {}
        self._lock = Lock()

    def measure(self, recipe: Recipe, seed: int) -> Mapping[str, Figures]:
        """The rows of `quality` for a recipe."""
        folder = self.folder / f"{RECIPES.index(recipe)}-seed{seed}"
        quality = folder / "quality.json"
        if not quality.exists():
            first = self._first_stage(recipe.first, seed)
            steps = self.steps[1] * recipe.times
            self._run("fit", "--config", "demo_ldm.yaml", "--config", "data/cached_latents.yaml",
                      "--data.root", first / "latents", "--data.batch_size", 8, "--seed_everything", seed,
                      "--model.autoencoder_checkpoint", first / "autoencoder" / CHECKPOINT,
                      "--trainer.max_steps", steps, "--model.decay_steps", 6 * steps // 10, *recipe.second,
                      "--trainer.default_root_dir", folder, "--run_name", "latent_diffusion")  # fmt: skip
            checkpoint = folder / "latent_diffusion" / CHECKPOINT
            self._command("benchmarks", "quality", checkpoint.absolute(), "--out", quality.absolute())
        rows: Mapping[str, Figures] = json.loads(quality.read_text())["rows"]
        return rows

    def _first_stage(self, options: tuple[str, ...], seed: int) -> Path:
        name = "-".join(options[i] for i in range(1, len(options), 2))
        folder = self.folder / f"first-{name}-seed{seed}"
        with self._lock:
            lock = self._locks.setdefault(folder, Lock())
        with lock:
            checkpoint = folder / "autoencoder" / CHECKPOINT
            if not (folder / "latents" / "val-00000.safetensors").exists():
                steps = self.steps[0]
                self._run("fit", "--config", "demo_ae.yaml", "--seed_everything", seed, "--trainer.max_steps", steps,
                          "--model.decay_steps", 6 * steps // 10, *options,
                          "--trainer.default_root_dir", folder, "--run_name", "autoencoder")  # fmt: skip
                self._run("encode", "--ckpt_path", checkpoint, "--output.dir", folder / "latents")
        return folder

    def _run(self, *arguments: object) -> None:
        quiet = ["--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu"]
        whole = ["--trainer.val_check_interval", "1000000"] if arguments[0] == "fit" else []
        self._command("pvdm_lightning", *arguments, *quiet, *whole)

    def _command(self, *arguments: object) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-m", *map(str, arguments)]
        run = subprocess.run(command, capture_output=True, text=True, env=environment)
        if run.returncode:
            raise RuntimeError(f"{' '.join(map(str, arguments))}\n{run.stderr[-2000:]}")


def add_options(options: argparse.ArgumentParser) -> None:
    """Which recipes, and how long."""
    options.add_argument("--out", type=Path, default=Path("recipes"), help="folder for all runs")
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--steps", type=int, nargs=2, default=[800, 800], help="of stage one and of stage two")
    options.add_argument("--only", type=int, nargs="+", help="numbers of recipes, from 0")
    options.add_argument("--jobs", type=int, default=os.cpu_count())


def run(args: argparse.Namespace) -> None:
    """Print the tables."""
    chosen = [recipe for number, recipe in enumerate(RECIPES) if args.only is None or number in args.only]
    runs = Runs(args.out, (args.steps[0], args.steps[1]))
    todo = [(recipe, seed) for recipe in chosen for seed in args.seeds]
    with ThreadPoolExecutor(args.jobs) as pool:
        found = dict(zip(todo, pool.map(lambda pair: runs.measure(*pair), todo)))
    for row, columns in COLUMNS.items():
        measured = {recipe.name: [found[recipe, seed][row] for seed in args.seeds] for recipe in chosen}
        say(f"{row}\n\n{table(measured, columns)}\n")


def table(measured: Mapping[str, Sequence[Figures]], columns: Sequence[str]) -> str:
    """A table in Markdown: of the figures of each recipe's seeds their mean and range.

    Args:
        measured: By the name of a recipe, the figures of its seeds; "-" stands for those that no seed has.
        columns: Which figures.
    """
    lines = [" | ".join(["| recipe", *columns]) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, seeds in measured.items():
        cells = []
        for column in columns:
            values = [figures[column][0] for figures in seeds if column in figures and figures[column][0] is not None]
            values = [value for value in values if not math.isnan(value)]
            of_all = "" if len(values) == len(seeds) else f", {len(values)} of {len(seeds)} seeds"
            spread = f"{fmean(values):.2f} ({min(values):.2f}-{max(values):.2f}{of_all})" if values else "-"
            cells.append(f"{values[0]:.2f}" if len(values) == len(seeds) == 1 else spread)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
