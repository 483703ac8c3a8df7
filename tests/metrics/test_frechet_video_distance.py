import numpy as np
import pytest
import scipy.linalg
import torch

from pvdm_lightning.metrics import FeatureStatistics, FrechetVideoDistance, frechet_distance


def distance_of(x, y):
    x, y = FeatureStatistics.from_features(x), FeatureStatistics.from_features(y)
    return frechet_distance(x.mean(), x.covariance(), y.mean(), y.covariance()).item()


def distance_by_scipy(x, y):
    x, y = x.double().numpy(), y.double().numpy()
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = np.real(np.trace(scipy.linalg.sqrtm(cov_x @ cov_y)))
    return np.square(x.mean(0) - y.mean(0)).sum() + np.trace(cov_x) + np.trace(cov_y) - 2 * root


def distance_from_samples(x, y):
    """Without any covariance: tr (cov_x cov_y)^(1/2) is the nuclear norm of the product of the centred samples."""
    x, y = x.double(), y.double()
    centred = [(z - z.mean(0)) / (len(z) - 1) ** 0.5 for z in (x, y)]
    cross = torch.linalg.svdvals(centred[0] @ centred[1].T).sum()
    return ((x.mean(0) - y.mean(0)).square().sum() + sum(z.square().sum() for z in centred) - 2 * cross).item()


@pytest.mark.parametrize(
    ("n", "m", "smallest_scale"),
    [(300, 200, 1.0), (300, 200, 1e-6), (16, 200, 1.0), (16, 16, 1.0), (2, 300, 1.0), (300, 300, 1e-12)],
    ids=["full rank", "ill-conditioned", "one side deficient", "both deficient", "rank one", "nearly deficient"],
)
def test_agreement_with_outside_references(n, m, smallest_scale):
    g = torch.Generator().manual_seed(0)
    scales = torch.logspace(0, np.log10(smallest_scale), 60, dtype=torch.float64)
    x = torch.randn(n, 60, generator=g, dtype=torch.float64) @ torch.randn(60, 60, generator=g, dtype=torch.float64)
    x, y = x / 8 * scales + 2, torch.randn(m, 60, generator=g, dtype=torch.float64) * scales + 1.5
    assert distance_of(x, y) == pytest.approx(distance_from_samples(x, y), rel=1e-6)
    assert distance_of(x, y) == pytest.approx(distance_by_scipy(x, y), rel=1e-5)


def test_closed_form_of_gaussians_with_commuting_covariances():
    a, b = torch.tensor([4.0, 9.0, 0.0]), torch.tensor([1.0, 0.0, 16.0])
    distance = frechet_distance(torch.zeros(3), a.diag(), torch.tensor([1.0, 2.0, 2.0]), b.diag())
    assert distance.item() == pytest.approx(9 + (2 - 1) ** 2 + 9 + 16)


@pytest.mark.parametrize("count", [2, 16, 500])
def test_a_set_is_at_distance_zero_from_itself(count):
    x = torch.randn(count, 80, generator=torch.Generator().manual_seed(0)) * 5 + 3
    assert distance_of(x, x) == pytest.approx(0, abs=1e-8)
    assert distance_of(x, x.flip(0)) == pytest.approx(0, abs=1e-5)


def test_statistics_are_those_of_numpy():
    x = torch.randn(50, 7, generator=torch.Generator().manual_seed(0)) + 10
    statistics = FeatureStatistics.from_features(x)
    np.testing.assert_allclose(statistics.mean(), x.double().numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(statistics.covariance(), np.cov(x.double().numpy(), rowvar=False), rtol=1e-9)


def measure(network, real, generated, **options):
    metric = FrechetVideoDistance(network, **options)
    metric.update(real, real=True)
    metric.update(generated, real=False)
    return metric.compute().item()


def test_the_metric_is_the_distance_of_all_features_in_any_batches(network, moving_patterns):
    real, generated = moving_patterns(60, seed=0), moving_patterns(40, seed=1)
    expected = distance_by_scipy(network(real), network(generated))
    for size in (7, 60):
        metric = FrechetVideoDistance(network)
        for videos, is_real in ((real, True), (generated, False)):
            for batch in videos.split(size):
                metric.update(batch, real=is_real)
        assert metric.compute().item() == pytest.approx(expected, rel=1e-6)
        assert (metric.real_statistics().count, metric.generated_statistics().count) == (60, 40)


def test_equal_videos_give_zero(network, moving_patterns):
    videos = moving_patterns(40, seed=0)
    assert measure(network, videos, videos) == pytest.approx(0, abs=1e-6)


def blurred(videos, width):
    flat = videos.float().flatten(1, 2)
    kernel = torch.ones(flat.shape[1], 1, width, width) / width**2
    padded = torch.nn.functional.pad(flat, [width // 2] * 4, mode="replicate")
    return torch.nn.functional.conv2d(padded, kernel, groups=flat.shape[1]).view(videos.shape).to(torch.uint8)


def noisy(videos, amount):
    noise = torch.randn(videos.shape, generator=torch.Generator().manual_seed(3)) * amount
    return (videos + noise).clamp(0, 255).to(torch.uint8)


def shuffled(videos, share):
    """Frames of the first `share` of the videos in a random order."""
    order = torch.randperm(videos.shape[2], generator=torch.Generator().manual_seed(4))
    some = round(len(videos) * share)
    return torch.cat([videos[:some, :, order], videos[some:]])


@pytest.mark.parametrize(
    ("spoil", "amounts"), [(noisy, (10, 20, 40)), (blurred, (3, 5, 9)), (shuffled, (0.25, 0.5, 1.0))]
)
def test_the_distance_grows_with_what_spoils_the_videos(network, moving_patterns, spoil, amounts):
    real, others = moving_patterns(100, seed=0), moving_patterns(100, seed=1)
    distances = [measure(network, real, spoil(real, amount)) for amount in amounts]
    assert 1e-3 < distances[0] < distances[1] < distances[2]
    assert measure(network, real, spoil(others, amounts[-1])) > 1.5 * measure(network, real, others)


def test_two_halves_of_a_set_come_closer_as_it_grows(network, moving_patterns):
    videos = moving_patterns(400, seed=5)
    distances = [measure(network, videos[:n], videos[200 : 200 + n]) for n in (12, 50, 200)]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.2 * distances[0]
    assert distances[-1] < 0.2 * measure(network, videos[:200], noisy(videos[200:], 40))


def test_frames_are_cut_and_subsampled_as_the_protocol_says(network):
    g = torch.Generator().manual_seed(0)
    real, generated = (torch.randint(0, 256, (6, 3, 40, 12, 12), dtype=torch.uint8, generator=g) for _ in range(2))
    assert measure(network, real, generated) == measure(network, real[:, :, :16], generated[:, :, :16])
    every_second = measure(network, real, generated, frame_step=2)
    assert every_second == measure(network, real[:, :, :32:2], generated[:, :, :32:2])
    with pytest.raises(ValueError, match="FVD of 16 frames needs 46 of a video, which has 40"):
        measure(network, real, generated, frame_step=3)


def test_the_real_side_can_be_kept(network, moving_patterns):
    real, generated = moving_patterns(20, seed=0), moving_patterns(20, seed=1)
    first = FrechetVideoDistance(network)
    first.update(real, real=True)
    second = FrechetVideoDistance(network)
    second.use_real_statistics(first.real_statistics())
    for _ in range(2):
        second.reset()
        second.update(generated, real=False)
        assert second.compute().item() == measure(network, real, generated)
    with pytest.raises(ValueError, match="count twice"):
        second.update(real, real=True)


def test_too_few_videos_are_an_error(network, moving_patterns):
    metric = FrechetVideoDistance(network)
    metric.update(moving_patterns(5, seed=0), real=True)
    metric.update(moving_patterns(1, seed=0), real=False)
    with pytest.raises(ValueError, match="at least 2 generated videos, and has 1"):
        metric.compute()
