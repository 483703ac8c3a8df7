"""Runs sections one after another, each in a process of its own: one that fails, hangs or runs out of time ends alone.

The processes are forks of one that has imported everything and has not touched the GPU, so each starts at once and
leaves no memory behind.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from benchmarks.sections.section import Proof, Section

PRELOAD = ["torch", "lightning", "torchmetrics", "pvdm_lightning.cli.program", "benchmarks.gpu"]
_GRACE = 5.0  # seconds between the request to end and the end

Report = Callable[[Section, list[dict[str, Any]], str, float], None]


def run_sections(
    sections: Sequence[Section], device: str, tiny: bool, out: Path, minutes: float, report: Report
) -> None:
    """Run sections until the time is over.

    Args:
        sections: In order of worth; the last one gets all the time that is left.
        device: cpu or cuda.
        tiny: Toy sizes.
        out: Folder for pictures and videos.
        minutes: For everything.
        report: Called whenever something is new: section, its rows so far, its state, its seconds so far.
    """
    # A forked server imports by PYTHONPATH alone.
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    end = time.monotonic() + 60 * minutes
    for number, section in enumerate(sections):
        now = time.monotonic()
        last = number == len(sections) - 1
        limit = end - now if last else min(end - now, section.seconds * minutes / 8)
        if limit < 1:
            report(section, [], "not run: no time was left", 0.0)
            continue
        _run(context, section, device, tiny, out, limit, report)


def _run(context: Any, section: Section, device: str, tiny: bool, out: Path, limit: float, report: Report) -> None:
    started = time.monotonic()
    rows: list[dict[str, Any]] = []

    def add(row: dict[str, Any]) -> None:
        rows.append(row)
        report(section, rows, "running", time.monotonic() - started)

    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(section.run, device, tiny, out, started + limit, sender))
    process.start()
    sender.close()
    state = _receive(receiver, process, started + limit, add)
    report(section, rows, state, time.monotonic() - started)


def _work(
    run: Callable[[Proof], None], device: str, tiny: bool, out: Path, deadline: float, sender: Connection
) -> None:
    try:
        run(Proof(device, tiny, out, deadline, lambda row: sender.send(("row", row))))
        sender.send(("state", "done"))
    except BaseException as error:  # whatever it is, the next section has to start
        traceback.print_exc()
        sender.send(("state", f"failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}"))


def _receive(receiver: Connection, process: BaseProcess, deadline: float, add: Callable[[dict[str, Any]], None]) -> str:
    """Take a process's rows until it ends or its time is over; what became of it."""
    while True:
        if not receiver.poll(max(0.0, deadline - time.monotonic())):
            state = "ran out of time"
            break
        try:
            kind, content = receiver.recv()
        except EOFError:
            process.join(_GRACE)
            state = f"failed: its process ended without a word, code {process.exitcode}"
            break
        if kind == "state":
            state = content
            break
        add(content)
    process.join(0.0 if state == "ran out of time" else _GRACE)
    if process.is_alive():
        process.terminate()
        process.join(_GRACE)
    if process.is_alive():
        process.kill()
        process.join()
    return state
