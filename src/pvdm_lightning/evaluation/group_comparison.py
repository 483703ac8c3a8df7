"""Whether the figures of two groups of trainings differ by more than trainings of one group differ from each other.

The unit is the training: a group is the reports of checkpoints that differ in their training seed alone, each with one
figure, and the videos behind a figure do not count. Welch's t-test compares the means of the two groups (Welch,
Biometrika 34, 1947, as in scipy.stats.ttest_ind), because groups of different methods need not have the same spread. It
takes the figures of a group as normally distributed, which so few cannot show. An exact permutation test, which assumes
nothing of that kind, is printed beside it; with 3 trainings a side there are 20 splits of all figures into two groups,
and of these the two most extreme ones are alike, so that it cannot fall below 0.1.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, isfinite
from statistics import mean, stdev
from typing import NamedTuple

import numpy as np
from scipy.stats import permutation_test, t, ttest_ind

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.comparison import ComparedRow, Difference, compare
from pvdm_lightning.evaluation.read_report import ReadMetric, ReadReport
from pvdm_lightning.evaluation.report import number

LEVEL = 0.95
MOST_SPLITS = 20_000
"""Splits of all reports into two groups that the permutation test goes through; with more, it is left out."""


class GroupDifference(NamedTuple):
    """The mean figure of the second group minus that of the first.

    Attributes:
        difference: With the 95 % interval of Welch's t-test.
        p_value: What Welch's t-test gives, two-sided; None where neither group has any spread.
        p_permutation: What an exact permutation test gives, two-sided; None where there are too many splits.
        least_p: The smallest value that it can have with so many reports.
    """

    difference: Difference
    p_value: float | None
    p_permutation: float | None
    least_p: float


@dataclass(frozen=True)
class GroupRow:
    """A metric of all reports.

    Attributes:
        name: Its name.
        network: By which network.
        values: The figures of each group.
        difference: Between their means.
        obstacles: Why they are not comparable.
    """

    name: str
    network: str
    values: tuple[list[float], list[float]]
    difference: GroupDifference
    obstacles: list[str]


@dataclass(frozen=True)
class GroupComparison:
    """Two groups of reports.

    Attributes:
        names: What the groups are called.
        groups: Their reports.
        rows: Metrics that all reports have.
        single: Metrics that some lack, in words.
    """

    names: tuple[str, str]
    groups: tuple[Sequence[ReadReport], Sequence[ReadReport]]
    rows: list[GroupRow]
    single: list[str]

    @property
    def is_comparable(self) -> bool:
        """Whether all metrics of all reports are comparable, and there are some."""
        return bool(self.rows) and not any(row.obstacles for row in self.rows)

    @property
    def differs(self) -> bool:
        """Whether a metric differs beyond the spread between trainings."""
        return any(row.difference.difference.is_beyond for row in self.rows)


def compare_groups(
    first: Sequence[ReadReport], second: Sequence[ReadReport], names: tuple[str, str] = ("a", "b")
) -> GroupComparison:
    """Compare two groups of reports, one of each training.

    Args:
        first: At least two.
        second: Likewise.
        names: What messages call the groups, and the options that they came from: ``--a``, ``--b``.

    Raises:
        InvalidArgumentError: A group has fewer than two reports, or two reports are of the same checkpoint or the same
            generated videos, which are one training.
    """
    groups = first, second
    for name, group in zip(names, groups):
        if len(group) < 2:
            given = " ".join(report.name for report in group)
            problem = "has no spread between trainings, which takes 2 reports or more"
            raise InvalidArgumentError(f"--{name}", given, problem, "Give a report for each training seed.")
    reports = [*first, *second]
    _check_different(reports, [f"--{name}" for name, group in zip(names, groups) for _ in group])
    # The first report is comparable with each other one by the rules of two, and so are all.
    pairs = [compare(reports[0], other, 0) for other in reports[1:]]
    rows, single = [], []
    for metric in dict.fromkeys((row.name, row.network) for report in reports for row in report.metrics):
        found = [report.find(*metric) for report in reports]
        there = [one for one in found if one is not None]
        if len(there) < len(reports):
            lacking = [report.name for report, one in zip(reports, found) if one is None]
            single.append(f"{_title(*metric)}: not in {', '.join(lacking)}")
            continue
        values = [one.value for one in there[: len(first)]], [one.value for one in there[len(first) :]]
        compared = [row for pair in pairs for row in pair.rows if (row.name, row.network) == metric]
        rows.append(GroupRow(*metric, values, welch(*values), _obstacles(compared, reports)))
    return GroupComparison(names, groups, rows, single)


def welch(first: Sequence[float], second: Sequence[float]) -> GroupDifference:
    """The difference of two means, with figures of trainings as the unit.

    Args:
        first: Figures of one group, 2 or more.
        second: Likewise of the other group.
    """
    splits = comb(len(first) + len(second), len(first))
    least = min(1.0, 2 / splits)
    value, how = mean(second) - mean(first), f"Welch's t-test of {len(first)} and {len(second)} trainings"
    p_permutation = None
    if splits <= MOST_SPLITS:
        shuffled = permutation_test(
            (np.array(second), np.array(first)),
            lambda x, _, axis: x.sum(axis=axis),  # which orders splits as the difference of means does
            n_resamples=splits,  # which makes it go through all of them
            vectorized=True,
        )
        p_permutation = float(shuffled.pvalue)
    if len({*first}) == len({*second}) == 1:  # no spread at all: the t statistic is not defined
        return GroupDifference(Difference(value, (value, value), how), None, p_permutation, least)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # one group may have no spread
        tested = ttest_ind(second, first, equal_var=False)
    low, high = tested.confidence_interval(LEVEL)
    assert isfinite(low) and isfinite(high)
    return GroupDifference(
        Difference(value, (float(low), float(high)), how), float(tested.pvalue), p_permutation, least
    )


def _check_different(reports: Sequence[ReadReport], arguments: Sequence[str]) -> None:
    seen: dict[str, ReadReport] = {}
    for argument, report in zip(arguments, reports):
        for key in _trainings(report):
            if key in seen:
                problem = f"is of the same {key.split(' ')[0]} as {seen[key].name}, and a training counts once"
                remedy = "Give one report of each training."
                raise InvalidArgumentError(argument, report.name, problem, remedy)
            seen[key] = report


def _trainings(report: ReadReport) -> list[str]:
    """What tells a training from another: its checkpoint by hash, if the report says it, and its videos by theirs."""
    stage_two = report.protocol.get("generation")
    model = (stage_two if isinstance(stage_two, dict) else report.protocol).get("model")
    digest = model.get("sha256") if isinstance(model, dict) else None
    videos = {metric.clips_hash("generated") for metric in report.metrics}
    found = [f"checkpoint {digest}"] if digest else []
    return found + [f"videos {one}" for one in sorted(one for one in videos if one)]


def _obstacles(rows: Sequence[ComparedRow], reports: Sequence[ReadReport]) -> list[str]:
    """Why the first report is not comparable with others; which those are, if not all of them."""
    found: dict[str, list[str]] = {}
    for row, other in zip(rows, reports[1:]):
        for obstacle in row.obstacles:
            found.setdefault(obstacle, []).append(other.name)
    first, others = reports[0].name, len(reports) - 1
    return [
        f"{obstacle} ({first} | {', '.join(names) if len(names) < others else 'all others'})"
        for obstacle, names in found.items()
    ]


def _title(name: str, network: str) -> str:
    return name + (f", {network}" if network != "-" else "")


def groups_table(comparison: GroupComparison) -> str:
    """What is said of two groups."""
    lines = []
    width = max(map(len, comparison.names))
    for row in comparison.rows:
        lines.append(_title(row.name, row.network))
        for name, values in zip(comparison.names, row.values):
            figures = ", ".join(map(number, values))
            lines.append(f"  {name:{width}}  mean {number(mean(values))}, std {number(stdev(values))}: {figures}")
        lines += _of_difference(row.difference, comparison.names)
        lines += [f"  not comparable: {obstacle}" for obstacle in row.obstacles] + [""]
    lines += comparison.single
    if not comparison.rows:
        lines.append("the reports have no metric in common.")
    return "\n".join(lines).rstrip() + "\n"


def _of_difference(found: GroupDifference, names: tuple[str, str]) -> list[str]:
    value, interval, how = found.difference
    assert interval is not None
    verdict = "beyond" if found.difference.is_beyond else "within"
    p_value = "" if found.p_value is None else f", p {found.p_value:.2g}"
    bounds = f"{interval[0]:+.4g}..{interval[1]:+.4g}"
    lines = [
        f"  {names[1]} - {names[0]}: {value:+.4g}, 95 % {bounds}{p_value} ({how}): {verdict} the spread of trainings"
    ]
    if found.p_permutation is not None:
        least = f"with so many trainings it is {found.least_p:.2g} at least"
        lines.append(f"  permutation test: p {found.p_permutation:.2g}; {least}")
    return lines


def mean_report(name: str, group: Sequence[ReadReport]) -> ReadReport:
    """The mean of each metric that all reports of a group have, with the 95 % interval of Student's t for a mean.

    Args:
        name: What the group is called.
        group: Two reports or more.
    """
    rows = []
    for row in group[0].metrics:
        found = [report.find(row.name, row.network) for report in group]
        values = [one.value for one in found if one is not None]
        if len(values) == len(group):
            half = float(t.ppf((1 + LEVEL) / 2, len(values) - 1)) * stdev(values) / len(values) ** 0.5
            figures = {"value": mean(values), "repeats": values, "interval": [mean(values) - half, mean(values) + half]}
            rows.append(ReadMetric({**row.content, **figures}, row.folder))
    return ReadReport(f"mean of {name}", {}, rows)
