"""What a command says at its end: where everything is, and what to type next."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from pvdm_lightning.pipeline.runs import CHECKPOINTS, LAST, LATEST
from pvdm_lightning.printing import print_result


def say(rows: Sequence[tuple[str, str]]) -> None:
    """Print rows of a label and a text, the texts in a column."""
    width = max(len(label) for label, _ in rows) + 2
    print_result("\n" + "".join(f"{label:{width}s}{text}\n" for label, text in rows))


def relative(path: str | Path) -> Path:
    """A path from here, if it lies below."""
    absolute, here = Path(path).absolute(), Path.cwd()
    return absolute.relative_to(here) if absolute.is_relative_to(here) else Path(path)


def shortest(checkpoint: str | Path) -> str:
    """How to name a checkpoint on the command line: by its run, if it is the last of the latest run of its name."""
    path = Path(checkpoint)
    runs = path.parents[2] if len(path.parents) > 2 else path.parent
    latest = runs / LATEST
    if path.parent.name == CHECKPOINTS and path.name == LAST and latest.resolve() == path.parent.resolve():
        return shlex.quote(str(relative(latest)))
    return shlex.quote(str(relative(path)))


def after_stage_one(checkpoint: str) -> list[tuple[str, str]]:
    """Look at reconstructions, train stage two."""
    args = sys.argv[1:]
    configs = [value for option, value in pairwise(args) if option in ("--config", "-c")]
    stage_two = ["demo_ldm.yaml" if "demo_ae.yaml" in configs else "ldm.yaml"]
    stage_two += [name for name in configs if name.startswith("data/")]
    data = [f"{a} {shlex.quote(b)}" for a, b in pairwise(args) if a == "--data" or a.startswith("--data.")]
    data += [shlex.quote(arg) for arg in args if arg.startswith("--data") and "=" in arg]
    command = " ".join(
        [
            "pvdm fit",
            *(f"--config {shlex.quote(name)}" for name in stage_two),
            *data,
            f"--model.autoencoder_checkpoint {shortest(checkpoint)}",
        ]
    )
    return [
        ("reconstructions", f"pvdm predict --ckpt_path {shortest(checkpoint)} --output.dir reconstructions"),
        ("measure", f"pvdm test --ckpt_path {shortest(checkpoint)}"),
        ("stage two", command),
    ]


def after_stage_two(checkpoint: str) -> list[tuple[str, str]]:
    """Sample, measure."""
    return [
        ("sample", f"pvdm predict --ckpt_path {shortest(checkpoint)} --output.dir samples"),
        ("measure", f"pvdm test --ckpt_path {shortest(checkpoint)}"),
    ]


def after_encoding(folder: str, checkpoint: str) -> list[tuple[str, str]]:
    """Train on the latents."""
    command = f"--config ldm.yaml --config data/cached_latents.yaml --data.root {shlex.quote(folder)}"
    return [("stage two", f"pvdm fit {command} --model.autoencoder_checkpoint {shortest(checkpoint)}")]


def after_import(paths: Sequence[Path]) -> list[tuple[str, str]]:
    """Look at what the released weights make."""
    rows = [("checkpoint", str(path)) for path in paths]
    folder = "samples" if len(paths) > 1 else "reconstructions"
    more = "" if len(paths) > 1 else " --data UCF101 --data.root data/UCF-101"
    return [*rows, ("look", f"pvdm predict --ckpt_path {shlex.quote(str(paths[-1]))}{more} --output.dir {folder}")]


def after_checking() -> list[tuple[str, str]]:
    """Train on the set."""
    args = [shlex.quote(arg) for arg in sys.argv[1:] if arg != "check-data"]
    given = " ".join(args[: args.index("--report")] if "--report" in args else args)
    return [("train", f"pvdm fit --config ae.yaml {given}")]


def duration(seconds: float) -> str:
    """In words: 42 s, 3 min 20 s, 5 h 3 min."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
