"""Two groups of trainings: the spread between seeds is the unit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.group_comparison import compare_groups, groups_table, mean_report, welch
from pvdm_lightning.evaluation.read_report import ReadReport


@pytest.fixture
def group(write_report):
    """Reports of trainings of these seeds, whose features lie so far from the real ones."""

    def call(seeds, shift=1.0, count=80, **more):
        names = [f"{seed}_{shift}" for seed in seeds]
        paths = [write_report(name, generated=(seed, count, shift), **more) for name, seed in zip(names, seeds)]
        return [ReadReport.read(path, "--a", name) for path, name in zip(paths, names)]

    return call


def test_seeds_of_one_method_are_within_the_spread_of_trainings_and_another_method_is_beyond(group):
    one = group((1, 2, 3))
    same = compare_groups(one, group((4, 5, 6)))
    said = groups_table(same)
    assert same.is_comparable and not same.differs and "): within the spread of trainings" in said
    other = compare_groups(one, group((7, 8, 9), 2.0))
    said = groups_table(other)
    assert other.is_comparable and other.differs
    assert "(Welch's t-test of 3 and 3 trainings): beyond the spread of trainings" in said
    assert "permutation test: p 0.1; with so many trainings it is 0.1 at least" in said
    assert [len(values) for values in other.rows[0].values] == [3, 3]


def test_groups_are_comparable_by_the_rules_of_two_reports(group):
    one = group((1, 2))
    fewer = compare_groups(one, [*group((3,)), *group((4,), count=60)])
    assert fewer.rows[0].obstacles == ["generated videos: 80 | 60 (1_1.0 | 4_1.0)"]
    assert not fewer.is_comparable and "not comparable: generated videos" in groups_table(fewer)
    cropped = compare_groups(group((5, 6), keep=False), group((7, 8), keep=False, crop="none"))
    assert cropped.rows[0].obstacles == ["crop: - | none (5_1.0 | 7_1.0, 8_1.0)"]


def test_a_metric_that_a_report_lacks_is_named(group):
    some = [*group((1, 2), distances=("frechet", "kvd")), *group((3, 4))]
    found = compare_groups(some[:2], some[2:])
    assert [row.name for row in found.rows] == ["FVD 16"]
    assert found.single == ["KVD 16, i3d-original: not in 3_1.0, 4_1.0"]


@pytest.mark.parametrize("protocol", [{"generation": {"model": {"sha256": "1"}}}, {"model": {"sha256": "1"}}])
def test_a_training_counts_once(group, protocol):
    one, two = group((1, 2))
    with pytest.raises(InvalidArgumentError, match="^--b 1_1.0: is of the same videos as 1_1.0, and a training counts"):
        compare_groups([one, two], [*group((3,)), one])
    seeds = group((4, 5), keep=False, **protocol)  # two draws of samples of one checkpoint
    with pytest.raises(InvalidArgumentError, match="^--a 5_1.0: is of the same checkpoint as 4_1.0, and a training"):
        compare_groups(seeds, [one, two])


def test_a_single_report_has_no_spread(group):
    one, two, three = group((1, 2, 3))
    for given_groups, option in ((([one], [two, three]), "--a 1_1.0"), (([one, two], []), "--b ")):
        with pytest.raises(InvalidArgumentError, match=f"^{option}: has no spread between trainings, which takes 2"):
            compare_groups(*given_groups)


figures = st.lists(st.integers(1, 1000).map(float), min_size=2, max_size=5)  # whose sums are exact


@settings(deadline=None)
@given(figures, figures)
def test_the_tests_against_their_definitions(first, second):
    found = welch(first, second)
    x, y = np.array(first), np.array(second)
    value, interval, _ = found.difference
    assert value == pytest.approx(y.mean() - x.mean(), abs=1e-9)
    assert interval[0] <= value + 1e-9 and value <= interval[1] + 1e-9
    # The middle of Welch's interval is the difference, and it holds 0 exactly if p is above 0.05.
    if found.p_value is not None and abs(found.p_value - 0.05) > 1e-6:
        assert sum(interval) / 2 == pytest.approx(value, abs=1e-6 * (1 + interval[1] - interval[0]))
        assert found.difference.is_beyond == (found.p_value < 0.05)
    swapped = welch(second, first)
    assert swapped.difference.value == pytest.approx(-value)
    assert swapped.p_permutation == pytest.approx(found.p_permutation)
    assert found.least_p - 1e-12 <= found.p_permutation <= 1


@pytest.mark.parametrize(("sizes", "least"), [((2, 2), 1 / 3), ((3, 3), 0.1), ((4, 4), 2 / 70), ((3, 2), 0.2)])
def test_how_small_a_permutation_test_can_be(sizes, least):
    apart = welch(list(range(sizes[0])), [100.0 + n for n in range(sizes[1])])
    assert apart.p_permutation == pytest.approx(apart.least_p) == pytest.approx(least)


def test_groups_without_any_spread_and_large_ones():
    still = welch([3.0, 3.0], [3.0, 3.0])
    assert not still.difference.is_beyond and still.p_value is None and still.p_permutation == 1
    assert welch([3.0, 3.0], [4.0, 4.0]).difference.is_beyond
    many = welch([float(n) for n in range(20)], [float(n) for n in range(20)])
    assert many.p_permutation is None and not many.difference.is_beyond and many.p_value == pytest.approx(1)


def test_welch_holds_its_level_where_groups_have_unequal_spread():
    """Where means are equal, one comparison in twenty is beyond the spread, also with std 1 of 3 against std 4 of 5."""
    seeded = torch.Generator().manual_seed(0)
    draws = torch.randn(400, 8, generator=seeded, dtype=torch.float64) * torch.tensor([1.0] * 3 + [4.0] * 5)
    beyond = [welch(row[:3].tolist(), row[3:].tolist()).difference.is_beyond for row in draws]
    assert 0.02 < np.mean(beyond) < 0.085


def test_the_line_of_a_group_in_the_picture(group):
    reports = group((1, 2, 3))
    line = mean_report("a", reports)
    (row,) = line.metrics
    values = [report.metrics[0].value for report in reports]
    assert line.name == "mean of a" and row.repeats == values and row.value == pytest.approx(np.mean(values))
    assert row.interval[1] - row.value == pytest.approx(4.3027 * np.std(values, ddof=1) / 3**0.5, rel=1e-4)
