"""Figures of several reports with their intervals, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.escaping import printable
from pvdm_lightning.evaluation.read_report import ReadMetric, ReadReport
from pvdm_lightning.evaluation.report import number

WIDTH, LINE, MARGIN = 900, 26, 20
_INK, _FAINT, _COLOURS = "#222222", "#bbbbbb", ("#1f6fb4", "#c8501e", "#2e8b57", "#8a4fa3", "#8c6d1f")


def plot(reports: Sequence[ReadReport], path: Path, groups: Sequence[int] | None = None) -> None:
    """Draw each metric that two reports or more have: a line a report, its value, interval and repeated draws.

    Args:
        reports: The reports.
        path: PNG file, written atomically.
        groups: Number of each report's group, which have a colour each. Default: each is by itself.
    """
    rows = dict.fromkeys((row.name, row.network) for report in reports for row in report.metrics)
    panels = []
    for name, network in rows:
        there = [(place, report, row) for place, report in enumerate(reports) if (row := report.find(name, network))]
        if len(there) > 1:
            panels.append((f"{name}, {network}" if network != "-" else name, there))
    height = 2 * MARGIN + sum((len(there) + 3) * LINE for _, there in panels)
    image = Image.new("RGB", (WIDTH, max(height, 4 * LINE)), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(15)
    top = MARGIN
    for title, there in panels:
        draw.text((MARGIN, top), printable(title)[:100], _INK, font)
        low, high = _range([row for _, _, row in there])
        left, right = WIDTH // 3, WIDTH - 6 * MARGIN

        def x(value: float, low: float = low, high: float = high, left: int = left, right: int = right) -> float:
            return left + (value - low) / (high - low) * (right - left)

        for line, (place, report, row) in enumerate(there, 1):
            y = top + line * LINE + LINE // 2
            colour = _COLOURS[(place if groups is None else groups[place]) % len(_COLOURS)]
            draw.text((MARGIN, y), printable(report.name)[-34:], _INK, font, anchor="lm")
            draw.line([(left, y), (right, y)], _FAINT)
            if row.interval:
                draw.line([(x(row.interval[0]), y), (x(row.interval[1]), y)], colour, 3)
                for bound in row.interval:
                    draw.line([(x(bound), y - 6), (x(bound), y + 6)], colour, 3)
            for value in row.repeats:
                draw.line([(x(value), y - 4), (x(value), y + 4)], colour, 1)
            draw.ellipse([x(row.value) - 5, y - 5, x(row.value) + 5, y + 5], colour)
            draw.text((right + 10, y), number(row.value), _INK, font, anchor="lm")
        y = top + (len(there) + 1) * LINE + 2
        draw.text((left, y), number(low), _FAINT, font, anchor="lt")
        draw.text((right, y), number(high), _FAINT, font, anchor="rt")
        top += (len(there) + 3) * LINE
    with atomic_write(path) as partial:
        image.save(partial, "PNG")


def _range(rows: Sequence[ReadMetric]) -> tuple[float, float]:
    values = [value for row in rows for value in (row.value, *(row.interval or ()), *row.repeats)]
    low, high = min(values), max(values)
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room
