"""Whether figures of two reports are comparable, differ beyond their spread, and what a difference is made of.

The spread is that of videos: both sides are resampled, the real one alike for both reports where they share it. It does
not hold what another training would move, which for pictures is several times as much ("FID Lottery", arXiv
2606.20536): that takes a report for each training seed, see `group_comparison`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pvdm_lightning.evaluation.features import ClipFeatures
from pvdm_lightning.evaluation.figures import DISTANCES, NEAREST, compute
from pvdm_lightning.evaluation.read_report import ReadMetric, ReadReport, settings
from pvdm_lightning.evaluation.report import number
from pvdm_lightning.metrics import bootstrap_interval

SUBSETS = 10
"""Random subsets of the larger side, where counts differ."""
_COMPARED = ("generation", "model", "reconstructions_of", "loss")
"""Parts of names of settings that say what is compared, not how."""
_PLACES = ("real", "generated", "root", "dir", "title")
_IDENTITY = ("fingerprint", "list", "usable_videos", "videos", "too_short", "seed", "choice_seed")
"""Last names of settings that say which videos were there: their hashes are compared instead."""
_OF_ROWS = ("networks", "measured", "distances", "versions", "repeats")
"""Begin the names of settings that rows themselves show, or that only accompany a figure."""


class Difference(NamedTuple):
    """The figure of one report minus that of another.

    Attributes:
        value: The difference.
        interval: Where 95 % of resampled differences would lie; None where no spread is known.
        how: What the interval is of.
    """

    value: float
    interval: tuple[float, float] | None
    how: str

    @property
    def is_beyond(self) -> bool | None:
        """Whether the difference is larger than the spread; None if that is not known."""
        return None if self.interval is None else not self.interval[0] <= 0 <= self.interval[1]


@dataclass(frozen=True)
class ComparedRow:
    """A metric in two reports.

    Attributes:
        name: Its name.
        network: By which network.
        difference: The second report's figure minus the first one's.
        obstacles: Why the two are not comparable.
        moves: What the difference is made of, as far as features tell.
    """

    name: str
    network: str
    difference: Difference
    obstacles: list[str] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Comparison:
    """Two reports.

    Attributes:
        first: One.
        second: The other.
        rows: Metrics of both.
        single: Metrics of one of them alone, in words.
    """

    first: ReadReport
    second: ReadReport
    rows: list[ComparedRow]
    single: list[str]

    @property
    def is_comparable(self) -> bool:
        """Whether all metrics of both are comparable, and there are some."""
        return bool(self.rows) and not any(row.obstacles for row in self.rows)

    @property
    def differs(self) -> bool:
        """Whether a metric differs beyond its spread."""
        return any(row.difference.is_beyond for row in self.rows)


def compare(first: ReadReport, second: ReadReport, resamples: int) -> Comparison:
    """Compare two reports.

    Args:
        first: One.
        second: The other.
        resamples: Resamples behind an interval, where features are there; 0 takes the reports' own intervals.
    """
    protocols = first.protocol, second.protocol
    rows = []
    for a in first.metrics:
        b = second.find(a.name, a.network)
        if b is not None:
            rows.append(_compare_row(a, b, (first.name, second.name), protocols, resamples))
    return Comparison(first, second, rows, _of_one(first, second) + _of_one(second, first))


def _differing_settings(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    one, other = settings(a), settings(b)
    return [
        (name, one.get(name, "-"), other.get(name, "-"))
        for name in dict.fromkeys((*one, *other))
        if one.get(name) != other.get(name) and _is_setting(name)
    ]


def _is_setting(name: str) -> bool:
    parts = name.split(".")
    return parts[0] not in _OF_ROWS and parts[-1] not in (*_IDENTITY, *_PLACES) and not {*parts} & {*_COMPARED}


def _compare_row(
    a: ReadMetric,
    b: ReadMetric,
    names: tuple[str, str],
    protocols: tuple[Mapping[str, Any], Mapping[str, Any]],
    resamples: int,
) -> ComparedRow:
    sides = [{side: metric.features(side) for side in ("real", "generated")} for metric in (a, b)]
    records = [{side: one.record.get("clips", {}) for side, one in found.items() if one is not None} for found in sides]
    # What features were measured under is the row's alone; a protocol is that of all rows.
    differing = _differing_settings(*(records if all(map(len, records)) else protocols))
    pairs = [(found["real"], found["generated"]) for found in sides]
    obstacles: list[str] = []
    moves: list[str] = []
    if a.file_hash != b.file_hash:
        obstacles.append(f"file of the network: {a.file_hash} | {b.file_hash}")
    for side in ("real", "generated"):
        if a.counts[side] != b.counts[side]:
            obstacles.append(f"{side} videos: {a.counts[side]:,} | {b.counts[side]:,}")
    shared, same_clips, other_data = _shared_real(a, b, pairs[0][0], pairs[1][0])
    relevant = [one for one in differing if _concerns(one[0], a) and not _is_count(one[0])]
    obstacles += [f"{name}: {one} | {other}" for name, one, other in relevant]
    if a.counts["real"] is not None and a.distance is not None:
        (obstacles if other_data else moves).extend([] if same_clips else [f"real clips: {shared}"])
    difference = _difference(a, b, pairs, same_clips, resamples)
    if a.distance in DISTANCES and all(one is not None and other is not None for one, other in pairs):
        known = [(one, other) for one, other in pairs if one is not None and other is not None]
        try:
            moves += _moves(a, b, known, names, same_clips)
        except ValueError as error:  # files of other networks under one name
            moves.append(f"the features cannot be compared: {error}")
        not_computed = [name for name, _, _ in relevant if not _is_of_real_side(name)]
        if obstacles and not_computed:
            moves.append(f"not computable from features, which were measured under them: {', '.join(not_computed)}")
    elif obstacles and a.distance is not None:
        moves.append("features of both sides of both reports would tell how much each of these moves the figure")
    return ComparedRow(a.name, a.network, difference, obstacles, moves)


def _concerns(name: str, metric: ReadMetric) -> bool:
    """Whether a setting shapes a metric."""
    if name.startswith("inception"):
        return metric.distance is None
    return not name.startswith("frame_step") or " of " in metric.name


def _is_count(name: str) -> bool:
    return name.rsplit(".", 1)[-1] in ("count", "num")


def _is_of_real_side(name: str) -> bool:
    return name.startswith(("real", "data.", "clips.real"))


def _shared_real(
    a: ReadMetric, b: ReadMetric, one: ClipFeatures | None, other: ClipFeatures | None
) -> tuple[str, bool, bool]:
    """How many real clips two rows share, in words; whether they are the same; whether they are of other data.

    Another draw of clips of the same videos is part of the spread.
    """
    hashes = a.clips_hash("real"), b.clips_hash("real")
    if hashes[0] is not None and hashes[0] == hashes[1]:
        return "the same", True, False
    if one is None or other is None:
        return "not known to be of the same videos, as features of one side are missing", False, True
    clips = {clip[1:] for clip in one.clips} & {clip[1:] for clip in other.clips}
    videos = {clip.hash for clip in one.clips} & {clip.hash for clip in other.clips}
    if not videos:
        return f"none of {len(one):,} and {len(other):,} are of the same video", False, True
    text = f"{len(clips):,} of {len(one):,} and {len(other):,} are the same; both have {len(videos):,} videos in common"
    return text, False, False


Pair = tuple[ClipFeatures, ClipFeatures]


def _difference(
    a: ReadMetric,
    b: ReadMetric,
    pairs: Sequence[tuple[ClipFeatures | None, ClipFeatures | None]],
    same_clips: bool,
    resamples: int,
) -> Difference:
    value = b.value - a.value
    known = [(one, other) for one, other in pairs if one is not None and other is not None]
    name = a.distance
    # Resamples of real videos have twins, among which a nearest one says nothing.
    if resamples > 1 and len(known) == 2 and name == b.distance and name in DISTANCES and name != NEAREST:
        again = _bootstrap(lambda *pair: compute(name, *pair).value, known, same_clips, resamples)
        if again is not None:
            return Difference(value, bootstrap_interval(value, again), f"{resamples} resamples of both")
    if a.interval and b.interval:
        half = sum(((high - low) / 2) ** 2 for low, high in (a.interval, b.interval)) ** 0.5
        return Difference(value, (value - half, value + half), "the intervals of both")
    if len(a.repeats) > 1 and len(b.repeats) > 1:
        half = 1.96 * sum(stdev(one) ** 2 / len(one) for one in (a.repeats, b.repeats)) ** 0.5
        return Difference(value, (value - half, value + half), "the repeated draws of both")
    return Difference(value, None, "")


def _bootstrap(
    distance: Callable[[Tensor, Tensor], float], pairs: Sequence[Pair], same_clips: bool, resamples: int
) -> Tensor | None:
    """Differences of resampled sides: what both share of the real clips moves both figures alike and cancels out."""
    generator = torch.Generator().manual_seed(0)
    (real_a, made_a), (real_b, made_b) = pairs
    is_paired = same_clips and list(real_a.clips) == list(real_b.clips)

    def draw(count: int) -> Tensor:
        return torch.randint(count, (count,), generator=generator)

    values = []
    try:
        for _ in range(resamples):
            of_a = draw(len(real_a))
            of_b = of_a if is_paired else draw(len(real_b))
            one = distance(real_a.values[of_a], made_a.values[draw(len(made_a))])
            values.append(distance(real_b.values[of_b], made_b.values[draw(len(made_b))]) - one)
    except (ValueError, RuntimeError):  # too few videos
        return None
    return torch.tensor(values, dtype=torch.float64)


def _moves(a: ReadMetric, b: ReadMetric, pairs: Sequence[Pair], names: tuple[str, str], same_clips: bool) -> list[str]:
    """How much counts and real clips move a figure."""
    found = []
    assert a.distance is not None
    for place, side in enumerate(("real", "generated")):
        sizes = [len(pair[place]) for pair in pairs]
        if sizes[0] == sizes[1]:
            continue
        larger = int(sizes[1] > sizes[0])
        values = _at_count(a.distance, pairs[larger], place, min(sizes))
        before = (a, b)[larger].value
        what = f"{names[larger]} at {min(sizes):,} of its {max(sizes):,} {side} videos"
        std = f", std {number(stdev(values))} over {SUBSETS} subsets"
        found.append(f"{what}: {number(mean(values))} ({mean(values) - before:+.2f}){std}")
    if not same_clips:
        for place, metric in ((1, b), (0, a)):
            value = compute(a.distance, pairs[1 - place][0].values, pairs[place][1].values).value
            what = f"{names[place]} against the real clips of {names[1 - place]}"
            found.append(f"{what}: {number(value)} ({value - metric.value:+.2f})")
    return found


def _at_count(distance: str, pair: Pair, place: int, count: int) -> list[float]:
    """The distance with random subsets of one side."""
    generator = torch.Generator().manual_seed(0)
    values = []
    for _ in range(SUBSETS):
        sides = [pair[0].values, pair[1].values]
        sides[place] = sides[place][torch.randperm(len(pair[place]), generator=generator)[:count]]
        values.append(compute(distance, *sides).value)
    return values


def _of_one(report: ReadReport, other: ReadReport) -> list[str]:
    """Metrics that one report alone has; those that are another distance of features that both have are computed."""
    found = []
    for metric in report.metrics:
        if other.find(metric.name, metric.network) is not None:
            continue
        line = f"{metric.name}, {metric.network}: {number(metric.value)} in {report.name} alone"
        like = [
            one
            for one in other.metrics
            if (one.network, one.selection()) == (metric.network, metric.selection()) and one.distance in DISTANCES
        ]
        sides = [like[0].features(side) for side in ("real", "generated")] if like else []
        if metric.distance in DISTANCES and len(sides) == 2 and sides[0] is not None and sides[1] is not None:
            value = compute(str(metric.distance), sides[0].values, sides[1].values).value
            line += f"; the features of {other.name} give {number(value)}"
        found.append(line)
    return found


def table(reports: Sequence[ReadReport], comparisons: Sequence[Comparison]) -> str:
    """What is said of reports, of which the first was compared with each other one."""
    lines = []
    rows = dict.fromkeys((row.name, row.network) for report in reports for row in report.metrics)
    width = max(len(report.name) for report in reports)
    for name, network in rows:
        there = [(report, metric) for report in reports if (metric := report.find(name, network))]
        if len(there) < 2:
            continue
        lines.append(name + (f", {network}" if network != "-" else ""))
        lines += [f"  {report.name:{width}}  {_figure(metric)}" for report, metric in there]
        if len(there) > 2:
            values = [metric.value for _, metric in there]
            lines.append(f"  mean {number(mean(values))}, std {number(stdev(values))} over {len(values)} reports")
        for comparison in comparisons:
            row = next((one for one in comparison.rows if (one.name, one.network) == (name, network)), None)
            if row is not None:
                lines += _of_row(row, comparison, several=len(comparisons) > 1)
        lines.append("")
    for comparison in comparisons:
        lines += comparison.single
    if not lines:
        lines.append("the reports have no metric in common.")
    return "\n".join(lines).rstrip() + "\n"


def _figure(metric: ReadMetric) -> str:
    parts = [number(metric.value)]
    parts += ["95 % " + "..".join(map(number, metric.interval))] if metric.interval else []
    repeats = metric.repeats
    parts += [f"std {number(stdev(repeats))} over {len(repeats)} draws"] if len(repeats) > 1 else []
    parts += [f"{count:,} {side}" for side, count in metric.counts.items() if count is not None]
    return ", ".join(parts)


def _of_row(row: ComparedRow, comparison: Comparison, several: bool) -> list[str]:
    difference = row.difference
    pair = f"{comparison.second.name} - {comparison.first.name}: " if several else "difference "
    line = f"  {pair}{difference.value:+.4g}"
    if difference.interval is None:
        line += "; no spread is known: measure with --evaluation.bootstrap or .repeats"
    else:
        bounds = f"{difference.interval[0]:+.4g}..{difference.interval[1]:+.4g}"
        verdict = "beyond the spread" if difference.is_beyond else "within the spread"
        line += f", 95 % {bounds} ({difference.how}): {verdict}"
    lines = [line]
    lines += [f"  not comparable: {obstacle}" for obstacle in row.obstacles]
    lines += [f"    {move}" for move in row.moves]
    return lines
