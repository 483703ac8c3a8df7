"""What `pvdm compare` says: comparable or not, beyond the spread or not, and what a difference is made of."""

import re

import pytest

from pvdm_lightning.evaluation.comparison import compare, table
from pvdm_lightning.evaluation.figures import compute
from pvdm_lightning.evaluation.read_report import ReadReport


@pytest.fixture
def compared(write_report):
    """Compare two reports, of the second of which some things are others."""

    def call(resamples=40, first=None, **second):
        reports = [
            ReadReport.read(write_report(name, **options), "--reports", name)
            for name, options in (("a", first or {}), ("b", second))
        ]
        comparison = compare(*reports, resamples)
        return comparison, table(reports, [comparison])

    return call


def test_other_samples_of_one_model_are_within_the_spread_and_those_of_another_beyond(compared):
    same, said = compared(generated=(2, 80, 1.0))
    assert same.is_comparable and not same.differs and "within the spread" in said and "not comparable" not in said
    other, said = compared(generated=(2, 80, 2.0))
    assert other.is_comparable and other.differs and "(40 resamples of both): beyond the spread" in said


def test_the_spread_of_a_difference_is_that_of_pairs_where_real_clips_are_shared(compared):
    """What the shared real clips add to both figures cancels out; apart from each other, it would not."""
    few = (0, 20)
    paired, _ = compared(400, {"real": few}, real=few, generated=(2, 80, 1.0))
    intervals, said = compared(0, {"real": few, "bootstrap": 400}, real=few, generated=(2, 80, 1.0), bootstrap=400)
    assert "(the intervals of both)" in said
    widths = [high - low for low, high in (one.rows[0].difference.interval for one in (paired, intervals))]
    assert widths[0] < 0.8 * widths[1]


def test_unequal_counts_are_not_comparable_and_what_they_move_is_said(compared):
    comparison, said = compared(generated=(1, 20, 1.0))
    assert not comparison.is_comparable
    assert "not comparable: generated videos: 80 | 20" in said
    move = re.search(r"a at 20 of its 80 generated videos: ([\d.]+) \(\+[\d.]+\), std [\d.]+ over 10 subsets", said)
    values = [row.value for report in (comparison.first, comparison.second) for row in report.metrics]
    assert values[0] < float(move[1]) < 2 * values[1]


def test_other_real_clips_are_exchanged(compared):
    comparison, said = compared(real=(5, 80))
    assert not comparison.is_comparable and "real clips: none of 80 and 80 are of the same video" in said
    sides = {report.name: report.metrics[0].features for report in (comparison.first, comparison.second)}
    value = compute("frechet", sides["a"]("real").values, sides["b"]("generated").values).value
    assert (
        f"b against the real clips of a: {value:.2f} (" in said or f"b against the real clips of a: {value:.4g}" in said
    )


def test_another_draw_of_the_same_videos_is_part_of_the_spread(compared):
    comparison, said = compared(real=(0, 80, 0.0, 4, 3))
    assert comparison.is_comparable
    assert "real clips: 0 of 80 and 80 are the same; both have 80 videos in common" in said


def test_real_clips_at_another_rate_are_not_comparable(compared):
    for first, second in ((8.0, 16.0), (None, 8.0), (12.5, 12.5)):
        rates = [{} if rate is None else {"real_clips": {"fps": rate}, "fps": rate} for rate in (first, second)]
        comparison, said = compared(first=rates[0], **rates[1])
        assert comparison.is_comparable == (first == second)
        assert ("real clips: 0 of 80 and 80 are the same" in said) == (first != second)
        assert ("not comparable: real.fps: " in said) == (first != second)


def test_a_setting_that_differs_is_named_and_what_features_cannot_tell_too(compared):
    changed = {"stride": 3, "fingerprint": "another", "generation": {"seed": 1}}
    comparison, said = compared(real_clips=changed, generated_clips=changed | {"preparation": {"rounding": "truncate"}})
    assert comparison.rows[0].obstacles == [
        "real.stride: 1 | 3",
        "generated.stride: 1 | 3",
        "generated.preparation.rounding: - | truncate",
    ]
    assert "under them: generated.stride, generated.preparation.rounding" in said


def test_without_features_settings_are_those_of_the_protocol(compared):
    comparison, said = compared(first={"keep": False}, keep=False, crop="none", frame_step=2, data={"root": "a"})
    assert comparison.rows[0].obstacles == ["crop: - | none"]  # the step shapes no row of these


def test_another_convention_is_computed_from_features(compared):
    comparison, said = compared(distances=("frechet_biased", "kvd"))
    assert not comparison.is_comparable  # nothing in common
    biased = comparison.second.metrics[0].value
    line = next(line for line in said.splitlines() if line.startswith("FVD 16 (biased covariance)"))
    assert line.endswith(f"in b alone; the features of a give {biased:.2f}")


def test_without_features_nothing_is_invented(compared):
    comparison, said = compared(first={"keep": False, "bootstrap": 0}, keep=False, bootstrap=0, generated=(1, 40, 1.0))
    assert comparison.rows[0].difference.is_beyond is None and "no spread is known" in said
    assert "features of both sides of both reports would tell how much each of these moves the figure" in said


def test_features_of_other_clips_are_not_taken_for_those_of_the_report(write_report):
    paths = [write_report("a"), write_report("b", generated=(7, 80, 3.0))]
    (paths[1].parent / "features/generated.safetensors").replace(paths[0].parent / "features/generated.safetensors")
    assert ReadReport.read(paths[0], "--reports").metrics[0].features("generated") is None


def test_three_reports_have_a_mean_and_a_spread(write_report):
    reports = [ReadReport.read(write_report(str(n), generated=(n, 80, 1.0)), "-", str(n)) for n in (1, 2, 3)]
    said = table(reports, [compare(reports[0], other, 0) for other in reports[1:]])
    assert re.search(r"mean [\d.]+, std [\d.]+ over 3 reports", said)
    assert "2 - 1: " in said and "3 - 1: " in said
