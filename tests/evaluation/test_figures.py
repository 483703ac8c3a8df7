"""Figures from features: their names, intervals and draws."""

import pytest
import torch

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation import figures
from pvdm_lightning.evaluation.features import ClipFeatures, generated_clips
from pvdm_lightning.evaluation.figures import DISTANCES, Figures, key_of, row_name
from pvdm_lightning.evaluation.lengths import Selection
from pvdm_lightning.metrics import frechet, nearest_real_ratio


def features(seed, count=60, width=4, shift=0.0):
    values = torch.randn(count, width, generator=torch.Generator().manual_seed(seed)) + shift
    return ClipFeatures(values, generated_clips(range(count), str(seed), 16), {})


def distances(real, generated, network="i3d-original", **wanted):
    return figures.distances(
        real, generated, Selection(128, 16, 8), {"name": network}, Figures(**wanted), torch.device("cpu")
    )


def test_every_distance_has_a_row_of_its_own():
    for network, first in (("i3d-stylegan-v (unrecognised file 0)", "FVD"), ("transnetv2", "Frechet")):
        rows, skipped = distances([features(0)], [features(1)], network, distances=DISTANCES, bootstrap=2)
        assert not skipped and [row.distance for row in rows] == [name for name in DISTANCES if name != "motion"]
        assert len({row.name for row in rows}) == len({row.key for row in rows}) == len(DISTANCES) - 1
        assert rows[0].name == f"{first} 16 of 128"
        # No other network gives a figure that carries the name of I3D's.
        *named, nearest = rows
        assert all(("FVD" in row.name or "KVD" in row.name) == (first == "FVD") for row in named)
        assert nearest.name == "nearest real 16 of 128"
    assert row_name("jedi", "v-jepa", "16") == "JEDi 16" and "JEDi" not in row_name("jedi", "i3d-original", "16")
    assert key_of("FVD 16 of 128 (biased covariance)") == "fvd_16_of_128_biased_covariance"


def test_a_name_that_no_distance_has():
    with pytest.raises(
        InvalidArgumentError, match=r"^Figures\.distances fvd: there is no such distance\. Give frechet,"
    ):
        Figures(distances=["fvd"])


def test_an_interval_is_as_wide_as_other_videos_would_move_the_figure():
    """It holds about 95 % of the distances between other sets of as many videos, shifted to their mean."""
    (row,), _ = distances([features(0)], [features(1, shift=1.0)], bootstrap=100)
    low, high = row.interval
    assert low < row.value < high
    others = torch.tensor(
        [frechet(features(2 * n).values, features(2 * n + 1, shift=1.0).values) for n in range(1, 60)]
    )
    width = (others.quantile(0.975) - others.quantile(0.025)).item()
    assert high - low == pytest.approx(width, rel=0.4)
    wide, _ = distances([features(0, 15)], [features(1, 15, shift=1.0)], bootstrap=100)
    assert wide[0].interval[1] - wide[0].interval[0] > 1.5 * (high - low)
    assert distances([features(0)], [features(1)], bootstrap=0)[0][0].interval is None


def test_the_interval_of_the_nearest_real_video_is_as_wide_as_other_videos_would_move_it():
    (row,), _ = distances([features(0)], [features(1)], distances=["nearest_real"], bootstrap=100)
    low, high = row.interval
    assert low < row.value < high
    others = torch.tensor(
        [nearest_real_ratio(features(2 * n).values, features(2 * n + 1).values) for n in range(1, 60)]
    )
    assert high - low == pytest.approx((others.quantile(0.975) - others.quantile(0.025)).item(), rel=0.5)


def test_motion_is_of_frame_differences_and_has_the_values_of_both_sides():
    real, generated = ([features(seed, width=1, shift=shift)] for seed, shift in ((0, 10.0), (1, 5.0)))
    (row,), skipped = distances(real, generated, "frame-differences", distances=DISTANCES, bootstrap=100)
    assert not skipped and (row.name, row.key, row.network) == ("motion 16 of 128", "motion_16_of_128", None)
    means = {"real": real[0].values.mean().item(), "generated": generated[0].values.mean().item()}
    assert row.content()["sides"] == pytest.approx(means)
    assert row.value == pytest.approx(means["generated"] / means["real"])
    assert f"1 is real; {means['generated']:.3g} of {means['real']:.3g} grey levels a step" in row.meaning
    # Of a ratio of means of 60 videos with a standard deviation of 1, by the delta method.
    expected = 2 * 1.96 * (1 / 60) ** 0.5 * (1 + row.value**2) ** 0.5 / means["real"]
    assert row.interval[0] < row.value < row.interval[1]
    assert row.interval[1] - row.interval[0] == pytest.approx(expected, rel=0.35)
    assert not row.is_distribution and row.small_count() is None
    twice, _ = distances(real * 2, [*generated, *real], "frame-differences")
    assert twice[0].repeats == pytest.approx([row.value, 1]) and twice[0].value == pytest.approx((row.value + 1) / 2)
    still = [ClipFeatures(torch.zeros(5, 1), generated_clips(range(5), "still", 16), {})]
    none, skipped = distances(still, generated, "frame-differences")
    assert not none and "no real video moves" in skipped[0].reason


def test_too_few_videos_are_said():
    rows, skipped = distances([features(0, 1)], [features(1)], distances=["frechet", "kvd"])
    assert not rows and [name for name, _ in skipped] == [
        "FVD 16 of 128 (i3d-original)",
        "KVD 16 of 128 (i3d-original)",
    ]
    assert skipped[0].reason.startswith("1 real and 60 generated videos; ")


def test_an_inception_score_over_splits_or_loops():
    sides = [ClipFeatures(features(seed).values.log_softmax(dim=1), features(seed).clips, {}) for seed in (0, 1)]
    network = {"name": "c3d"}
    (row,), _ = figures.score(sides[:1], network, Figures(inception_splits=3, bootstrap=30))
    assert 1 <= row.value <= 4 and row.spread > 0 and row.interval[0] < row.value < row.interval[1]
    (loops,), _ = figures.score(sides, network, Figures(inception_splits=1, inception_loops=3, bootstrap=0))
    assert loops.repeats[0] != loops.repeats[1] and loops.value == pytest.approx(sum(loops.repeats) / 2)
    none, skipped = figures.score(sides, network, Figures(inception_splits=31, inception_loops=2))
    assert not none and "62 splits need as many videos, there are 60" in skipped[0].reason
