"""Everything that the project claims, measured on a GPU in a fixed time; `make gpu` runs it.

    python -m benchmarks gpu --minutes 8 --out gpu
    REFERENCE=checkout python -m benchmarks gpu --minutes 8 --out gpu
    python -m benchmarks gpu --device cpu --tiny --out gpu

Sections run in order of worth, each in a process of its own with its own share of the time: parity with the recorded
results, training steps of both stages, sampling, the original beside them (REFERENCE), the largest batches, and with
all the time that is left both stages trained on generated videos. Compiled training steps are measured by
`--only compiled`, in a run of their own. What is known is written as it comes, to gpu.json and gpu.md. Needs no network
and no installation: packages that are missing are taken from the folder .wheels.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.sections import card, gallery, largest, original, parity, sampling, training
from benchmarks.sections.report import Report
from benchmarks.sections.runner import run_sections
from benchmarks.sections.section import Section
from benchmarks.timing import say
from pvdm_lightning.errors import InvalidArgumentError

SECTIONS = (
    Section("card", "The card", 15, card.run),
    Section("parity", "Parity and limits", 75, parity.run),
    Section("stage_two", "Stage two: a training step", 60, training.stage_two),
    Section("stage_one", "Stage one: a training step", 45, training.stage_one),
    Section("sampling", "Encoding, decoding, sampling", 60, sampling.run),
    Section("original", "Beside the original implementation", 60, original.run),
    Section("largest", "Largest batches", 30, largest.run),
    Section("gallery", "Both stages on generated videos", 90, gallery.run),
)
COMPILED = Section("compiled", "Training steps, compiled", 480, training.compiled)


def add_options(options: argparse.ArgumentParser) -> None:
    """Where, how long, and which sections."""
    options.add_argument("--minutes", type=float, default=8.0, help="for everything; shares are those of 8 minutes")
    options.add_argument("--out", type=Path, default=Path("gpu"), help="folder of the results")
    options.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    options.add_argument("--tiny", action="store_true", help="toy sizes: shows that it runs, not how fast")
    options.add_argument("--only", nargs="+", metavar="SECTION", help="these sections alone, in their order")


def run(args: argparse.Namespace) -> None:
    """Run the sections, and print the report at the end."""
    names = [section.name for section in (*SECTIONS, COMPILED)]
    only = " ".join(args.only or ())
    for option, value, bad, problem, remedy in (
        ("--minutes", args.minutes, not args.minutes > 0, "is no time", "Give minutes, such as 8."),
        ("--out", args.out, args.out.exists() and not args.out.is_dir(), "is a file", "Name a folder."),
        ("--only", only, not {*only.split()} <= {*names}, "names no such section", f"Give some of {', '.join(names)}."),
        ("--device", "cuda", args.device == "cuda" and not torch.cuda.is_available(), "PyTorch finds no GPU",
         "Give --device cpu --tiny to try the command."),
    ):  # fmt: skip
        if bad:
            raise InvalidArgumentError(option, value, problem, remedy)
    args.out.mkdir(parents=True, exist_ok=True)
    settings = {"device": args.device, "tiny": args.tiny, "minutes": args.minutes, "files": "gpu.md has the tables"}
    about = f"`make gpu`: {args.minutes:g} minutes on {args.device}{', toy sizes' if args.tiny else ''}."
    report = Report(args.out, about, settings)

    def update(section: Section, rows: list[dict[str, Any]], state: str, seconds: float) -> None:
        report.update(section, rows, state, seconds)
        if state != "running":
            say(f"{section.name}: {state}, {len(rows)} rows, {seconds:.0f} s\n")

    chosen = [section for section in (*SECTIONS, COMPILED) if section.name in args.only] if args.only else SECTIONS
    run_sections(chosen, args.device, args.tiny, args.out, args.minutes, update)
    say("\n" + report.markdown())
    sys.stdout.flush()
