"""`pvdm compare`: whether reports are comparable, whether they differ, and what their difference is made of."""

from pathlib import Path

from pvdm_lightning.errors import InvalidArgumentError, check_at_least, check_writable
from pvdm_lightning.evaluation.comparison import compare as compare_two
from pvdm_lightning.evaluation.comparison import table
from pvdm_lightning.evaluation.comparison_plot import plot as draw
from pvdm_lightning.evaluation.group_comparison import compare_groups, groups_table, mean_report
from pvdm_lightning.evaluation.read_report import ReadReport
from pvdm_lightning.printing import print_result

DIFFER, NOT_COMPARABLE = 1, 3
"""Statuses, beside 0 for comparable figures within their spread and 2 for a mistake."""


def compare(
    reports: list[str] | None = None,
    a: list[str] | None = None,
    b: list[str] | None = None,
    plot: str | None = None,
    bootstrap: int = 100,
) -> None:
    """Compare the first report with each other one: comparable, different, and what a difference is made of.

    With --a and --b, two groups of training seeds are compared instead, and the spread is that of trainings. The status
    is 0 if all metrics are comparable and within their spread, 1 if one differs beyond it, 3 if one is not comparable.

    Args:
        reports: JSON files of pvdm test and pvdm evaluate, as words after the command. Three or more also give mean and
            std.
        a: Reports of one group, one for each training seed: --a a1.json a2.json a3.json --b b1.json b2.json b3.json.
        b: Reports of the other group.
        plot: PNG file for a picture of figures and intervals.
        bootstrap: Resamples behind the interval of a difference, where features lie beside the reports; 0 takes the
            intervals in the reports. Not of groups.
    """
    check_at_least("--bootstrap", bootstrap, 0)
    if plot is not None:
        if Path(plot).is_dir():
            raise InvalidArgumentError("--plot", plot, "is a folder", "Name a PNG file.")
        check_writable("--plot", plot, Path(plot).parent)
    if a is not None or b is not None:
        if reports is not None:
            remedy = "Give reports, or two groups with --a and --b."
            raise InvalidArgumentError("--reports", " ".join(reports), "is given beside groups", remedy)
        _compare_groups(a or [], b or [], plot)
        return
    reports = reports or []
    if len(reports) < 2:
        problem = "is one report" if reports else "is missing"
        raise InvalidArgumentError("--reports", " ".join(reports), problem, "Give two reports or more.")
    read = _read("--reports", reports, _short(reports))
    comparisons = [compare_two(read[0], other, bootstrap) for other in read[1:]]
    if plot is not None:
        draw(read, Path(plot))
    print_result(table(read, comparisons))
    _end(all(one.is_comparable for one in comparisons), any(one.differs for one in comparisons))


def _compare_groups(a: list[str], b: list[str], plot: str | None) -> None:
    names = _short([*a, *b]) if a or b else []
    groups = _read("--a", a, names[: len(a)]), _read("--b", b, names[len(a) :])
    comparison = compare_groups(*groups)
    if plot is not None:
        lines, numbers = [], []
        for number, (name, group) in enumerate(zip(comparison.names, groups)):
            lines += [*group, mean_report(name, group)]
            numbers += [number] * (len(group) + 1)
        draw(lines, Path(plot), numbers)
    print_result(groups_table(comparison))
    _end(comparison.is_comparable, comparison.differs)


def _read(argument: str, paths: list[str], names: list[str]) -> list[ReadReport]:
    return [ReadReport.read(path, argument, name) for path, name in zip(paths, names)]


def _end(is_comparable: bool, differs: bool) -> None:
    """End with the status of what was found, if it is not 0."""
    if not is_comparable:
        raise SystemExit(NOT_COMPARABLE)
    if differs:
        raise SystemExit(DIFFER)


def _short(paths: list[str]) -> list[str]:
    """The paths without the folders that all of them share, unless that makes two alike or leaves nothing."""
    parts = [Path(path).parts for path in paths]
    shared = 0
    while all(len(one) > shared + 1 for one in parts) and len({one[: shared + 1] for one in parts}) == 1:
        shared += 1
    return [str(Path(*one[shared:])) for one in parts]
