"""Whether memory, open files or processes grow while both stages train for many steps.

    python -m benchmarks soak --steps 2000

Runs `pvdm fit` with tiny networks, validations, pictures and checkpoints in a process of its own, and looks at it and
its children once a second. Slopes are of straight lines through the second half, per 1,000 steps; the ratio is to the
mean over that half.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.timing import say

TINY = (
    *("--model.autoencoder.dim", "32", "--model.autoencoder.depth", "1", "--model.autoencoder.heads", "2"),
    *("--model.autoencoder.head_dim", "16", "--model.discriminator_channels", "4", "--model.adversarial_start", "1000"),
)
EVERY = (
    *("--trainer.val_check_interval", "50", "--checkpoint.every_n_train_steps", "100"),
    *("--video_logger.num_videos", "1", "--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu"),
)
DATA = ("--data.num_videos", "400", "--data.num_val_videos", "4", "--data.batch_size", "2", "--data.num_workers", "1")


def look(pid: int) -> tuple[float, int, int]:
    """MiB of memory, open files and number of processes of a process and all below it."""
    family, memory, files = [pid], 0.0, 0
    for one in family:
        try:
            children = Path(f"/proc/{one}/task/{one}/children").read_text().split()
            status = Path(f"/proc/{one}/smaps_rollup").read_text()
            files += len(list(Path(f"/proc/{one}/fd").iterdir()))
        except OSError:
            continue
        memory += int(status[status.index("Pss:") + 4 :].split()[0]) / 1024
        family += map(int, children)
    return memory, files, len(family)


def soak(folder: Path, steps: int, args: tuple[str, ...]) -> list[tuple[float, int, int]]:
    """What was seen once a second until training ended."""
    command = [sys.executable, "-m", "pvdm_lightning", "fit", *args, "--trainer.max_steps", str(steps), *EVERY, *DATA]
    with (folder / "log.txt").open("a") as log:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        seen = []
        while process.poll() is None:
            seen.append(look(process.pid))
            time.sleep(1)
    if process.returncode:
        sys.exit((folder / "log.txt").read_text()[-2000:])
    return seen


def add_options(options: argparse.ArgumentParser) -> None:
    """How long."""
    options.add_argument("--steps", type=int, default=2000)


def run(args: argparse.Namespace) -> None:
    """Print a table of means and slopes."""
    say(f"{'stage':8}{'':10}{'mean':>10}{'slope per 1,000 steps':>24}{'ratio':>10}\n")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        first = folder / "runs/ae-synthetic-64/latest"
        for stage, options in (
            ("one", ("--config", "demo_ae.yaml", *TINY)),
            ("two", ("--config", "demo_ldm.yaml", "--model.autoencoder_checkpoint", str(first))),
        ):
            seen = np.array(soak(folder, args.steps, options))
            half = seen[len(seen) // 2 : -2]
            at = np.linspace(0.5 * args.steps, args.steps, len(half)) / 1000
            for name, values in zip(("MiB", "files", "processes"), half.T):
                slope, mean = np.polyfit(at, values, 1)[0], values.mean()
                say(f"{stage:8}{name:10}{mean:10.1f}{slope:24.2f}{slope / mean:10.4f}\n")
