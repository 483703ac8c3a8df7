"""`pvdm compare`: whether reports are comparable, whether they differ, and what their difference is made of."""

from pathlib import Path

from pvdm_lightning.errors import InvalidArgumentError, check_at_least, check_writable
from pvdm_lightning.evaluation.comparison import compare as compare_two
from pvdm_lightning.evaluation.comparison import table
from pvdm_lightning.evaluation.comparison_plot import plot as draw
from pvdm_lightning.evaluation.read_report import ReadReport
from pvdm_lightning.printing import print_result

DIFFER, NOT_COMPARABLE = 1, 3
"""Statuses, beside 0 for comparable figures within their spread and 2 for a mistake."""


def compare(reports: list[str], plot: str | None = None, bootstrap: int = 100) -> None:
    """Compare the first report with each other one: comparable, different, and what a difference is made of.

    The status is 0 if all metrics are comparable and within their spread, 1 if one differs beyond it, 3 if one is not
    comparable.

    Args:
        reports: JSON files of pvdm test and pvdm evaluate, as words after the command. Three or more, such as those of
            training seeds, also give mean and std.
        plot: PNG file for a picture of figures and intervals.
        bootstrap: Resamples behind the interval of a difference, where features lie beside the reports; 0 takes the
            intervals in the reports.
    """
    if len(reports) < 2:
        raise InvalidArgumentError("--reports", " ".join(reports), "is one report", "Give two reports or more.")
    check_at_least("--bootstrap", bootstrap, 0)
    if plot is not None:
        if Path(plot).is_dir():
            raise InvalidArgumentError("--plot", plot, "is a folder", "Name a PNG file.")
        check_writable("--plot", plot, Path(plot).parent)
    read = [ReadReport.read(path, "--reports", name) for path, name in zip(reports, _short(reports))]
    comparisons = [compare_two(read[0], other, bootstrap) for other in read[1:]]
    if plot is not None:
        draw(read, Path(plot))
    print_result(table(read, comparisons))
    if not all(comparison.is_comparable for comparison in comparisons):
        raise SystemExit(NOT_COMPARABLE)
    if any(comparison.differs for comparison in comparisons):
        raise SystemExit(DIFFER)


def _short(paths: list[str]) -> list[str]:
    """The paths without the folders that all of them share, unless that makes two alike or leaves nothing."""
    parts = [Path(path).parts for path in paths]
    shared = 0
    while all(len(one) > shared + 1 for one in parts) and len({one[: shared + 1] for one in parts}) == 1:
        shared += 1
    return [str(Path(*one[shared:])) for one in parts]
