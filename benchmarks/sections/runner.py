"""Runs sections, each in a process of its own: a part that fails, hangs or runs out of time ends alone.

The processes are forks of one that has imported everything and has not touched the GPU, so each starts at once and
leaves no memory behind. A part that fails ends its process, as the GPU may be lost to it; the next part has a new one.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from itertools import accumulate
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from benchmarks.sections.section import Part, Proof, Section

PRELOAD = ["torch", "lightning", "torchmetrics", "pvdm_lightning.cli.program", "benchmarks.gpu"]
_GRACE = 5.0  # seconds between the request to end and the end

Report = Callable[[Section, list[dict[str, Any]], str, float], None]


def run_sections(
    sections: Sequence[Section], device: str, tiny: bool, out: Path, minutes: float, report: Report
) -> None:
    """Run sections until the time is over.

    Args:
        sections: In order of worth; the last part gets all the time that is left.
        device: cpu or cuda.
        tiny: Toy sizes.
        out: Folder for pictures and videos.
        minutes: For everything; parts have their share of it.
        report: Called whenever something is new: section, its rows so far, its state, its seconds so far.
    """
    # A forked server imports by PYTHONPATH alone.
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    began = time.monotonic()
    ends = list(accumulate((part.seconds * minutes / 8 for one in sections for part in one.parts), initial=began))[1:]
    ends = [*(min(end, began + 60 * minutes) for end in ends[:-1]), began + 60 * minutes]
    for section in sections:
        deadlines, ends = ends[: len(section.parts)], ends[len(section.parts) :]
        _run(context, section, deadlines, (device, tiny, out), report)


def _run(
    context: Any, section: Section, deadlines: Sequence[float], where: tuple[str, bool, Path], report: Report
) -> None:
    """Run the parts of a section, in a new process after each that failed."""
    started, number, failures = time.monotonic(), 0, 0
    rows: list[dict[str, Any]] = []

    def add(row: dict[str, Any]) -> None:
        rows.append(row)
        report(section, rows, "running", time.monotonic() - started)

    while number < len(section.parts):
        done, why = _process(context, section.parts[number:], deadlines[number:], where, add)
        number += done
        if why is not None:
            add({"not measured": section.parts[number].name, "why": why})
            number, failures = number + 1, failures + 1
    state = f"{failures} of {number} parts not measured" if failures else "done"
    report(section, rows, state, time.monotonic() - started)


def _process(
    context: Any,
    parts: Sequence[Part],
    deadlines: Sequence[float],
    where: tuple[str, bool, Path],
    add: Callable[[dict[str, Any]], None],
) -> tuple[int, str | None]:
    """Run parts in one process, until one fails: how many were done, and why the next was not."""
    if deadlines[0] - time.monotonic() < 1:
        return 0, "no time was left"
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(parts, deadlines, where, sender))
    process.start()
    sender.close()
    done, why = 0, None
    while done < len(parts) and why is None:
        if not receiver.poll(max(0.0, deadlines[done] - time.monotonic())):
            why = "ran out of time"
            break
        try:
            kind, content = receiver.recv()
        except EOFError:
            process.join(_GRACE)
            why = f"its process ended without a word, code {process.exitcode}"
            break
        if kind == "row":
            add(content)
        elif kind == "done":
            done += 1
        else:
            why = content
    _end(process, 0.0 if why == "ran out of time" else _GRACE)
    return done, why


def _end(process: BaseProcess, patience: float) -> None:
    process.join(patience)
    if process.is_alive():
        process.terminate()
        process.join(_GRACE)
    if process.is_alive():
        process.kill()
        process.join()


def _work(parts: Sequence[Part], deadlines: Sequence[float], where: tuple[str, bool, Path], sender: Connection) -> None:
    kept: dict[str, Any] = {}
    try:
        for part, deadline in zip(parts, deadlines):
            part.run(Proof(*where, deadline, lambda row: sender.send(("row", row)), kept))
            sender.send(("done", None))
    except BaseException as error:  # whatever it is, the next part has to start
        traceback.print_exc()
        sender.send(("failed", f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"))
