"""Seconds of steps that take turns, of those that fit into memory and into a limit of time."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from measure import free_memory, in_turn
from stage_two import awake, trainer
from step_costs import Build

# Convolutions copy what they read and write into layouts of their own: resident memory was 2.1 to 2.5 times the count.
RESIDENT = 2.5


@dataclass
class Stopwatch:
    """Runs what fits, and keeps what did not and why.

    Args:
        limit: Seconds that a step may take.
        rate: float32 rate of this machine in GFLOP/s.
        args: The options of `measure.parser`.
    """

    limit: float
    rate: float
    args: argparse.Namespace
    left_out: list[str] = field(default_factory=list)
    _reached: dict[tuple[str, str], float] = field(default_factory=dict)

    def seconds(
        self, what: str, kind: str, builds: dict[str, Build], gflop: dict[str, float], gib: dict[str, float]
    ) -> dict[str, float]:
        """Medians by name of the steps that fit, at batch 1.

        Args:
            what: The clip, for the reasons.
            kind: "training" runs forward, backward and AdamW, any other one evaluation.
            builds: Networks by name.
            gflop: What a step of each computes, about.
            gib: Peak memory of a step of each.
        """
        runs: dict[str, Callable[[], Any]] = {}
        held = 0.0
        for name, build in builds.items():
            reason = self._reason((name, kind), gflop[name], gib[name], held)
            if reason is None:
                runs[name] = _step(kind, build)
                held += gib[name]  # freed blocks stay with the allocator, so each one's peak adds to the next one's
            else:
                self.left_out.append(f"{name}, {kind}, {what}: {reason}")
        timings = in_turn(runs, self.args.repeats, self.args.cpu_time)
        medians = {name: timing.median for name, timing in timings.items()}
        # What was reached on this clip foretells the next, larger one.
        self._reached |= {(name, kind): gflop[name] / seconds for name, seconds in medians.items()}
        return medians

    def _reason(self, key: tuple[str, str], gflop: float, gib: float, held: float) -> str | None:
        needed, free = RESIDENT * gib + held, 0.9 * free_memory()
        if needed > free:
            return f"about {needed:.0f} GiB with the libraries' copies, more than the {free:.0f} that are free"
        # Before the first run of its kind, hope for a third of the machine's rate.
        expected = gflop / self._reached.get(key, self.rate / 3)
        if expected > self.limit:
            return f"about {expected:.1f} s, more than --limit {self.limit:g}"
        return None


def _step(kind: str, build: Build) -> Callable[[], Any]:
    network, arguments = build(1)
    awake(network)
    if kind == "training":
        step = trainer(network, fused=True)
        return lambda: step(lambda: network(*arguments))
    return torch.no_grad()(lambda: network(*arguments))
