"""Distances of features against loops in numpy, torchmetrics, and what others print for known numbers."""

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchmetrics.image.kid import KernelInceptionDistance

from pvdm_lightning.metrics import FeatureStatistics, frechet_distance
from pvdm_lightning.metrics.feature_distances import (
    KERNEL_CONVENTIONS,
    bootstrap,
    bootstrap_interval,
    bootstrap_nearest_real,
    extrapolated_frechet,
    frechet,
    inception_score,
    nearest_real,
    nearest_real_ratio,
    polynomial_mmd,
    polynomial_mmd_of_blocks,
)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@st.composite
def pairs(draw, least=2, most=24):
    """Two sets of features [N D] and [M D]: other counts, dimensions, ranks, scales and dtypes."""
    n, m, d, rank = (draw(st.integers(low, high)) for low, high in ((least, most), (least, most), (1, 12), (1, 12)))
    g = seeded(draw(st.integers(0, 2**31)))
    mix = torch.randn(rank, d, generator=g, dtype=torch.float64) * draw(st.sampled_from([1e-2, 1.0, 30.0]))
    shift = draw(st.sampled_from([0.0, 3.0]))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    return tuple((torch.randn(k, rank, generator=g).double() @ mix + shift).to(dtype) for k in (n, m))


members = settings(max_examples=40, deadline=None)


def frechet_by_scipy(x, y, ddof):
    x, y = x.double().numpy(), y.double().numpy()
    cov_x, cov_y = (np.atleast_2d(np.cov(z, rowvar=False, ddof=ddof)) for z in (x, y))
    # Eigenvalues, not sqrtm: it fails on the singular products that most of these members have.
    root = np.sqrt(np.clip(scipy.linalg.eigvals(cov_x @ cov_y).real, 0, None)).sum()
    return np.square(x.mean(0) - y.mean(0)).sum() + np.trace(cov_x) + np.trace(cov_y) - 2 * root


@members
@given(pairs(), st.booleans())
def test_frechet_is_scipys_symmetric_and_zero_on_itself(pair, unbiased):
    x, y = pair
    scale = sum(z.double().square().sum(dim=1).mean().item() for z in pair) + 1e-30
    value = frechet(x, y, unbiased)
    assert value == pytest.approx(frechet_by_scipy(x, y, ddof=int(unbiased)), rel=1e-5, abs=1e-6 * scale)
    assert value == pytest.approx(frechet(y, x, unbiased), rel=1e-9, abs=1e-12 * scale)
    assert frechet(x, x.flip(0), unbiased) == pytest.approx(0, abs=1e-12 * scale)
    assert frechet(x + 2, y + 2, unbiased) == pytest.approx(value, rel=1e-4, abs=1e-5 * scale)


@pytest.mark.parametrize(("n", "m"), [(300, 200), (30, 200), (16, 16)])
def test_frechet_is_that_of_the_statistics(n, m):
    g = seeded(0)
    x, y = torch.randn(n, 60, generator=g) * 3 + 1, torch.randn(m, 60, generator=g)
    a, b = map(FeatureStatistics.from_features, (x, y))
    of_sums = frechet_distance(a.mean(), a.covariance(), b.mean(), b.covariance()).item()
    assert frechet(x, y) == pytest.approx(of_sums, rel=1e-7)
    trace = sum(z.double().var(dim=0).sum().item() / len(z) for z in (x, y))
    assert 0 < frechet(x, y) - frechet(x, y, unbiased=False) < trace


def mmd_by_loops(x, y, degree, gamma, coef, unbiased):
    x, y = x.double().numpy(), y.double().numpy()
    scale = 1 / x.shape[1] if gamma is None else gamma

    def mean(a, b, same):
        values = [
            (scale * float(p @ q) + coef) ** degree
            for i, p in enumerate(a)
            for j, q in enumerate(b)
            if not (same and unbiased and i == j)
        ]
        return np.mean(values)

    return mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)


@members
@given(pairs(most=9), st.integers(1, 3), st.sampled_from([None, 1.0, 0.1]), st.sampled_from([0.0, 1.0]), st.booleans())
def test_mmd_is_that_of_loops_over_pairs(pair, degree, gamma, coef, unbiased):
    expected = mmd_by_loops(*pair, degree, gamma, coef, unbiased)
    value, std = polynomial_mmd(*pair, degree, gamma, coef, unbiased, factor=7)
    size = max(mmd_by_loops(abs(z), abs(z) * 0, degree, gamma, abs(coef), False) for z in pair)
    assert value == pytest.approx(7 * expected, rel=1e-9, abs=1e-11 * size + 1e-11) and std is None
    if not unbiased:
        assert polynomial_mmd(pair[0], pair[0].flip(0), degree, gamma, coef, False).value == pytest.approx(
            0, abs=1e-12 * size + 1e-12
        )


def test_mmd_gives_what_jedi_prints_for_its_example():
    """The results in the comments of videojedi/mmd_polynomial.py, from scikit-learn: with gamma 1, and with 1/3."""
    a = torch.arange(1.0, 10).reshape(3, 3)
    b = torch.tensor([[7.0, 6, 5], [4, 3, 2], [1, 1, 8], [0, 2, 5]])
    assert polynomial_mmd(a, b, degree=2, gamma=1, coef=0, unbiased=False).value == pytest.approx(2436.5, abs=0.05)
    assert polynomial_mmd(a, b, degree=2, coef=0, unbiased=False).value == pytest.approx(270.7, abs=0.05)
    assert KERNEL_CONVENTIONS["jedi"](a, b).value == pytest.approx(27070, abs=5)


def test_mmd_does_not_depend_on_the_rows_taken_at_once(monkeypatch):
    x, y = (torch.randn(50, 8, generator=seeded(i)) for i in range(2))
    whole = polynomial_mmd(x, y).value
    monkeypatch.setattr("pvdm_lightning.metrics.feature_distances._ROWS", 7)
    assert polynomial_mmd(x, y).value == pytest.approx(whole, rel=1e-12)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`")
def test_mmd_over_subsets_is_torchmetrics_kid():
    class Flatten(nn.Module):
        num_features = 16

        def forward(self, images):
            return images.flatten(1)

    g = seeded(5)
    x, y = (torch.randint(0, 9, (count, 16), generator=g, dtype=torch.uint8) for count in (120, 90))
    kid = KernelInceptionDistance(Flatten(), subsets=6, subset_size=40).set_dtype(torch.float64)
    kid.update(x.double(), real=True)
    kid.update(y.double(), real=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        mean, std = kid.compute()
    ours = polynomial_mmd(x.double(), y.double(), subsets=6, subset_size=40, generator=seeded(3))
    assert ours == (pytest.approx(mean.item(), rel=1e-9), pytest.approx(std.item(), rel=1e-9))


def test_blocks_are_those_of_tfgan():
    g = seeded(1)
    x, y = torch.randn(23, 5, generator=g), torch.randn(17, 5, generator=g) + 0.3
    # ceil(23 / 6) = 4 blocks: of 5, 6, 6, 6 real rows and of 4, 4, 4, 5 generated ones.
    blocks = zip(x.split([5, 6, 6, 6]), y.split([4, 4, 4, 5]))
    estimates = [mmd_by_loops(a, b, 3, None, 1.0, True) for a, b in blocks]
    value, error = polynomial_mmd_of_blocks(x, y, block_size=6)
    assert value == pytest.approx(np.mean(estimates), rel=1e-9)
    assert error == pytest.approx(np.std(estimates, ddof=1) / 2, rel=1e-9)
    whole = polynomial_mmd_of_blocks(x, y, block_size=23)
    assert whole == (pytest.approx(polynomial_mmd(x, y).value, rel=1e-12), None)
    with pytest.raises(ValueError, match="9 rows|need"):
        polynomial_mmd_of_blocks(x, y[:3], block_size=6)


@pytest.mark.parametrize("name", KERNEL_CONVENTIONS)
def test_conventions_have_their_own_kernels_and_factors(name):
    degree, gamma, coef, unbiased, factor, spread = {
        "kvd": (3, 1 / 12, 1, True, 1, False),
        "kvd_fvd_paper": (3, 1, 1, True, 1, False),
        "kid_torchmetrics": (3, 1 / 12, 1, True, 1, True),
        "kid_stylegan": (3, 1 / 12, 1, True, 1000, True),
        "kid_tfgan": (3, 1 / 12, 1, True, 1, False),
        "jedi": (2, 1 / 12, 0, False, 100, False),
    }[name]
    x, y = (torch.randn(count, 12, generator=seeded(count)) + count / 40 for count in (30, 20))
    if spread:  # 100 subsets of all rows that both sides have
        y = torch.cat([y, y[:10] + 1])
    value, std = KERNEL_CONVENTIONS[name](x, y, seeded(0))
    assert value == pytest.approx(factor * mmd_by_loops(x, y, degree, gamma, coef, unbiased), rel=1e-9)
    assert (std is not None) == spread and (std or 0) == pytest.approx(0, abs=1e-9 * abs(value))


@given(st.integers(0, 2**31), st.floats(0.5, 2))
@settings(max_examples=5, deadline=None)
def test_extrapolation_removes_what_the_count_adds(seed, scale):
    g = seeded(seed)
    x, y = torch.randn(600, 40, generator=g), torch.randn(400, 40, generator=g) * scale
    true = 40 * (1 - scale) ** 2
    found = extrapolated_frechet(x, y, g)
    assert abs(found.value - true) < abs(found.values[-1] - true)
    assert len(found.sizes) == 15 and found.sizes[0] == 100 and found.sizes[-1] == 400
    assert found.values[-1] == pytest.approx(frechet(x, y), rel=1e-9)
    slope, intercept = np.polyfit(1 / np.array(found.sizes), found.values, 1)
    assert found.value == pytest.approx(intercept, rel=1e-6, abs=1e-9)
    assert found.r_squared == pytest.approx(np.corrcoef(1 / np.array(found.sizes), found.values)[0, 1] ** 2, rel=1e-6)


def test_extrapolation_of_the_generated_side_alone_keeps_what_the_real_count_adds():
    g = seeded(0)
    x, y = torch.randn(200, 40, generator=g), torch.randn(2000, 40, generator=g)
    one_side = extrapolated_frechet(x, y, seeded(1), subsample_real=False)
    reference = frechet(x, torch.randn(200_000, 40, generator=g))
    assert one_side.value == pytest.approx(reference, rel=0.1)
    assert abs(extrapolated_frechet(x, y, seeded(1)).value) < reference / 2


def test_the_bootstrap_tells_the_spread_of_repeated_draws():
    def mean_distance(x, y):
        return (x.mean() - y.mean()).abs().item()

    x, y = torch.randn(200, 1, generator=seeded(1)), torch.randn(100, 1, generator=seeded(2)) + 5
    values = bootstrap(mean_distance, x, y, 400, seeded(3))
    assert values.dtype == torch.float64 and values.shape == (400,)
    assert values.std().item() == pytest.approx((1 / 200 + 1 / 100) ** 0.5, rel=0.25)
    assert torch.equal(values, bootstrap(mean_distance, x, y, 400, seeded(3)))


def test_a_bootstrap_interval_is_around_the_figure_although_duplicates_raise_the_values():
    x, y = torch.randn(60, 20, generator=seeded(1)), torch.randn(60, 20, generator=seeded(2))
    value, values = frechet(x, y), bootstrap(frechet, x, y, 60, seeded(3))
    assert values.min() > value
    low, high = bootstrap_interval(value, values)
    assert low < value < high
    assert high - low == pytest.approx(np.subtract(*np.quantile(values, [0.975, 0.025])), rel=1e-9)
    narrow = bootstrap_interval(value, values, level=0.5)
    assert low < narrow[0] < value < narrow[1] < high


@members
@given(pairs(least=1))
def test_nearest_real_is_the_smallest_of_all_distances(pair):
    x, y = pair
    found = nearest_real(x, y)
    apart = np.linalg.norm(y.double().numpy()[:, None] - x.double().numpy()[None], axis=2)
    np.testing.assert_allclose(found.distances, apart.min(axis=1), rtol=1e-9)
    chosen = np.take_along_axis(apart, found.indices.numpy()[:, None], axis=1)[:, 0]
    np.testing.assert_allclose(chosen, apart.min(axis=1), rtol=1e-9)


def test_copies_are_found_far_from_the_origin():
    x = torch.randn(40, 8, generator=seeded(0)) + 1e4
    found = nearest_real(x, x[[7, 3]] + torch.tensor([[0.0], [0.5]]))
    assert found.indices.tolist() == [7, 3] and found.distances[0] == 0
    assert found.distances[1].item() == pytest.approx(0.5 * 8**0.5, rel=1e-3)


def test_the_nearest_real_ratio_tells_copies_from_new_videos(monkeypatch):
    x, new = (torch.randn(count, 6, generator=seeded(count)) for count in (90, 70))
    apart = np.linalg.norm(x.numpy()[:, None] - x.numpy()[None], axis=2) + np.diag([np.inf] * 90)
    nearest = np.linalg.norm(new.numpy()[:, None] - x.numpy()[None], axis=2).min(axis=1)
    expected = np.sort(nearest)[34] / np.sort(apart.min(axis=1))[44]  # the lower of the two in the middle
    assert nearest_real_ratio(x, new) == pytest.approx(expected, rel=1e-5) == pytest.approx(1, abs=0.2)
    monkeypatch.setattr("pvdm_lightning.metrics.feature_distances._ROWS", 40)
    assert nearest_real_ratio(x, new) == pytest.approx(expected, rel=1e-5)
    assert nearest_real_ratio(x, x[:20] + 1e-4) < 0.01 and nearest_real_ratio(x, new + 5) > 3


def test_resamples_of_the_nearest_real_ratio_keep_the_set_that_is_searched():
    x, new = (torch.randn(count, 6, generator=seeded(count)) for count in (90, 70))
    again = bootstrap_nearest_real(x, new, 200, seeded(0))
    assert again.shape == (200,) and again.std() > 0
    assert again.mean().item() == pytest.approx(nearest_real_ratio(x, new), rel=0.1)  # no twin pulls it away
    torch.testing.assert_close(again, bootstrap_nearest_real(x, new, 200, seeded(0)), rtol=0, atol=0)


def score_by_numpy(p):
    return np.exp((p * (np.log(p) - np.log(p.mean(axis=0)))).sum(axis=1).mean())


@pytest.mark.parametrize(("splits", "loops"), [(1, 1), (10, 1), (1, 10), (3, 4)])
def test_the_inception_score_is_of_contiguous_parts_of_one_shuffle(splits, loops):
    log_p = torch.randn(61, 7, generator=seeded(0), dtype=torch.float64).log_softmax(dim=1)
    p = log_p.exp().numpy()[torch.randperm(61, generator=seeded(8)).numpy()]
    parts = splits * loops
    scores = np.array([score_by_numpy(p[i * 61 // parts : (i + 1) * 61 // parts]) for i in range(parts)])
    over = scores.reshape(loops, splits).mean(axis=1) if loops > 1 else scores
    score = inception_score(log_p, splits, loops, seeded(8))
    assert score.mean.item() == pytest.approx(scores.mean(), rel=1e-9)
    assert score.std.item() == pytest.approx(over.std(), rel=1e-6, abs=1e-12)


def test_what_cannot_be_computed_is_said():
    x = torch.randn(30, 4)
    for call, said in (
        (lambda: frechet(x[:1], x), "2 rows or more, not float32 \\[1, 4\\]"),
        (lambda: frechet(x, x[:, :3]), "features of 4 and of 3 values cannot be compared"),
        (lambda: polynomial_mmd(x, x.long()), "generated features are float"),
        (lambda: polynomial_mmd(x, x, subsets=0), "polynomial_mmd.subsets 0: is less than 1"),
        (lambda: extrapolated_frechet(x, x[:7], seeded(0)), "8 rows or more"),
        (lambda: inception_score(x, splits=4, loops=8), "of 32 parts needs a video in each; there are 30 in all"),
        (lambda: nearest_real_ratio(x[:1], x), "needs 2 real ones"),
        (lambda: nearest_real_ratio(torch.cat([x, x]), x), "most real videos have a copy"),
        (lambda: bootstrap(frechet, x, x, 0, seeded(0)), "bootstrap.num 0: is less than 1"),
    ):
        with pytest.raises(ValueError, match=said):
            call()
