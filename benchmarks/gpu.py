"""Everything that the project claims, measured on a GPU in a fixed time; `make gpu` runs it.

    python -m benchmarks gpu --minutes 8 --out gpu
    REFERENCE=checkout python -m benchmarks gpu --minutes 8 --out gpu
    python -m benchmarks gpu --device cpu --tiny --out gpu

Sections run in order of worth, each in a process of its own: parity with the recorded results, training steps and
sampling with each switch on and off, the original beside them (REFERENCE), the largest batches, compiled steps, and
with all the time that is left both stages trained on generated videos. A part that fails, or takes longer than its
share of the time, is a row that says why. What is known is written as it comes, to gpu.json and gpu.md. Needs no
network and no installation: packages that are missing are taken from the folder .wheels.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.original import checkout
from benchmarks.sections.card import CARD
from benchmarks.sections.gallery import GALLERY
from benchmarks.sections.largest import LARGEST
from benchmarks.sections.original import ORIGINAL
from benchmarks.sections.parity import PARITY
from benchmarks.sections.report import Report
from benchmarks.sections.runner import run_sections
from benchmarks.sections.sampling import SAMPLING
from benchmarks.sections.section import Section
from benchmarks.sections.training import COMPILED_STEPS, STAGE_ONE, STAGE_TWO
from benchmarks.timing import say
from pvdm_lightning.errors import InvalidArgumentError

SECTIONS = (
    Section("card", "The card", CARD),
    Section("parity", "Parity and limits", PARITY),
    Section("stage_two", "Stage two: a training step", STAGE_TWO),
    Section("sampling", "Encoding, decoding, sampling", SAMPLING),
    Section("stage_one", "Stage one: a training step", STAGE_ONE),
    Section("original", "Beside the original implementation", ORIGINAL),
    Section("largest", "Largest batches", LARGEST),
    Section("compiled", "Training steps, compiled", COMPILED_STEPS),
    Section("gallery", "Both stages on generated videos", GALLERY),
)


def add_options(options: argparse.ArgumentParser) -> None:
    """Where, how long, and which sections."""
    options.add_argument("--minutes", type=float, default=8.0, help="for everything; shares are those of 8 minutes")
    options.add_argument("--out", type=Path, default=Path("gpu"), help="folder of the results")
    options.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    options.add_argument("--tiny", action="store_true", help="toy sizes: shows that it runs, not how fast")
    options.add_argument("--only", nargs="+", metavar="SECTION", help="these sections alone, in their order")


def run(args: argparse.Namespace) -> None:
    """Run the sections, and print the report at the end."""
    names = [section.name for section in SECTIONS]
    only = " ".join(args.only or ())
    for option, value, bad, problem, remedy in (
        ("--minutes", args.minutes, not args.minutes > 0, "is no time", "Give minutes, such as 8."),
        ("--out", args.out, args.out.exists() and not args.out.is_dir(), "is a file", "Name a folder."),
        ("--only", only, not {*only.split()} <= {*names}, "names no such section", f"Give some of {', '.join(names)}."),
        ("--only", only, "original" in only.split() and checkout() is None, "needs a checkout of the original",
         "Name one in the variable REFERENCE."),
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

    chosen = [section for section in SECTIONS if not args.only or section.name in args.only]
    if checkout() is None:
        chosen = [section for section in chosen if section.name != "original"]
        say("original: not run, REFERENCE names no checkout of it\n")
    run_sections(chosen, args.device, args.tiny, args.out, args.minutes, update)
    say("\n" + report.markdown())
    sys.stdout.flush()
