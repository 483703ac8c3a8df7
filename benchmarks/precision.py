"""bf16-mixed beside float32: one training run of the demo with each, the same draws, the losses side by side.

    python benchmarks/precision.py --steps 300

Both runs are `pvdm fit` with the demo's configuration and a schedule of so many steps, the adversarial phase in the
last tenth. Prints means of the losses over tenths of the run, their relative difference, and what validation says at
the end.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pvdm_lightning.cli.program import main as pvdm

say = sys.stdout.write
STAGES = {
    "stage one": ("demo_ae.yaml", "autoencoder", "train/l2", "val/psnr"),
    "stage two": ("demo_ldm.yaml", "latent_diffusion", "train/loss", "val/loss"),
}


def fit(folder: Path, config: str, name: str, precision: str, steps: int, more: Sequence[str]) -> float:
    """One training run; returns its seconds."""
    started = time.perf_counter()
    lengths = {"max_steps": steps, "val_check_interval": steps, "log_every_n_steps": 1, "enable_progress_bar": "false"}
    options = [part for name, value in lengths.items() for part in (f"--trainer.{name}", str(value))]
    schedule = ["--model.warmup_steps", str(steps // 10), "--model.decay_steps", str(steps // 2)]
    saved = ["--trainer.default_root_dir", str(folder), "--run_name", name, "--trainer.precision", precision]
    pvdm(["fit", "--config", config, *options, *schedule, *saved, *more])
    return time.perf_counter() - started


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    """Steps and values of what a run logged under a name."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def main() -> None:
    """Print the losses of both stages."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--steps", type=int, default=300)
    options.add_argument("--accelerator", default="cpu", help="cpu or cuda")
    options.add_argument("--quick", action="store_true", help="20 steps: shows that it runs")
    args = options.parse_args()
    steps = 20 if args.quick else args.steps
    machine = ["--trainer.accelerator", args.accelerator]
    with tempfile.TemporaryDirectory() as folder:
        for stage, (config, name, loss, validated) in STAGES.items():
            runs, losses, figures, seconds = {}, {}, {}, {}
            for precision in ("32-true", "bf16-mixed"):
                runs[precision] = Path(folder) / precision
                # Both precisions of stage two stand on the same autoencoder.
                ae = Path(folder) / "32-true" / "autoencoder" / "latest"
                one = ["--model.adversarial_start", str(steps * 9 // 10)]
                given = ["--model.autoencoder_checkpoint", str(ae)] if stage == "stage two" else one
                seconds[precision] = fit(runs[precision], config, name, precision, steps, [*machine, *given])
                logged = runs[precision] / (name + "/latest")
                logged = logged.resolve().parent
                losses[precision], figures[precision] = scalars(logged, loss), scalars(logged, validated)[-1][1]
            report(stage, loss, losses["32-true"], losses["bf16-mixed"])
            say(f"  {validated:24s}{figures['32-true']:12.4f}{figures['bf16-mixed']:12.4f}\n")
            say(f"  {'seconds':24s}{seconds['32-true']:12.1f}{seconds['bf16-mixed']:12.1f}\n\n")


Scalars = Sequence[tuple[int, float]]


def report(stage: str, loss: str, exact: Scalars, mixed: Scalars) -> None:
    """Means over tenths of the run; a step that logs no such loss is none of them."""
    say(f"{stage}, {loss}\n  {'steps':24s}{'float32':>12s}{'bf16-mixed':>12s}{'difference':>12s}\n")
    tenth = max(1, len(exact) // 10)
    for first in range(0, len(exact) - tenth + 1, tenth):
        of_tenth = slice(first, first + tenth)
        one, other = (statistics.fmean(value for _, value in run[of_tenth]) for run in (exact, mixed))
        where = f"{exact[first][0]}-{exact[of_tenth][-1][0]}"
        say(f"  {where:24s}{one:12.4f}{other:12.4f}{other / one - 1:12.1%}\n")


if __name__ == "__main__":
    main()
