"""Distances between two sets of feature vectors, as pure functions.

Features are float tensors [N D], one row per video; everything is computed in float64, on their device. What a distance
is called depends on the network that gave the features: Frechet distance over I3D logits is FVD, over others it is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pvdm_lightning.errors import check_at_least
from pvdm_lightning.metrics.inception_score import InceptionScore, inception_score_of_splits

_ROWS = 1024  # of a kernel matrix at once: 10,000 x 10,000 float64 would take 0.8 GB


def frechet(real: Tensor, generated: Tensor, unbiased: bool = True) -> float:
    """|mean_x - mean_y|^2 + tr(cov_x + cov_y - 2 (cov_x cov_y)^(1/2)).

    Unterthiner et al., arXiv 1812.01717, equation 2. With centred samples X and Y scaled so that cov = X^T X,
    tr (cov_x cov_y)^(1/2) is the nuclear norm of Y X^T, or of the product of their triangular factors: no matrix root,
    full accuracy for rank-deficient covariances.

    Args:
        real: [N D], N >= 2.
        generated: [M D], M >= 2.
        unbiased: Divide covariances by N - 1 (PVDM, DIGAN, TATS, FAR); False divides by N (StyleGAN-V, LARP, cdFVD),
            which changes the trace by 0.05 % at 2,048 videos.

    Raises:
        ValueError: A side has fewer than 2 rows, or the two do not match.
    """
    sides = _checked(real, generated, least=2)
    factors = []
    distance = (sides[0].mean(dim=0) - sides[1].mean(dim=0)).square().sum()
    for side in sides:
        centred = (side - side.mean(dim=0)) / (len(side) - unbiased) ** 0.5
        distance = distance + centred.square().sum()
        factors.append(torch.linalg.qr(centred, mode="r").R if len(centred) > centred.shape[1] else centred)
    distance = distance - 2 * torch.linalg.svdvals(factors[1] @ factors[0].T).sum()
    return max(0.0, distance.item())  # of equal sets, rounding leaves some -1e-11


class KernelDistance(NamedTuple):
    """A squared maximum mean discrepancy, and its spread.

    Attributes:
        value: Unbiased estimates may be negative.
        std: Over subsets the population std; over blocks the standard error of the mean; None if all rows were used at
            once, or in one block.
    """

    value: float
    std: float | None


def polynomial_mmd(
    real: Tensor,
    generated: Tensor,
    degree: int = 3,
    gamma: float | None = None,
    coef: float = 1.0,
    unbiased: bool = True,
    subsets: int | None = None,
    subset_size: int = 1000,
    factor: float = 1.0,
    generator: torch.Generator | None = None,
) -> KernelDistance:
    """Squared maximum mean discrepancy with the kernel k(a, b) = (gamma a.b + coef)^degree.

    Binkowski et al., "Demystifying MMD GANs", arXiv 1801.01401, equation 4: the mean of k over pairs of real rows, plus
    that over pairs of generated rows, minus twice that over mixed pairs.

    Args:
        real: [N D].
        generated: [M D].
        degree: Degree of the kernel.
        gamma: Default: 1 / D.
        coef: Constant of the kernel.
        unbiased: Leave out the pairs of a row with itself; False keeps them (V-statistic).
        subsets: Average over that many pairs of random subsets, drawn without replacement. Default: all rows, once.
        subset_size: Rows of a subset, or all of a smaller side.
        factor: Multiplies value and std.
        generator: Draws the subsets. Default: one with seed 0.

    Raises:
        ValueError: A side has too few rows (2 if unbiased, else 1), or the two do not match.
    """
    x, y = _checked(real, generated, least=2 if unbiased else 1)
    if subsets is None:
        return KernelDistance(factor * _mmd(x, y, degree, gamma, coef, unbiased), None)
    check_at_least("polynomial_mmd.subsets", subsets, 1)
    check_at_least("polynomial_mmd.subset_size", subset_size, 2 if unbiased else 1)
    generator = generator or torch.Generator().manual_seed(0)
    size = min(subset_size, len(x), len(y))
    values = []
    for _ in range(subsets):
        some, others = x[_permutation(x, generator)[:size]], y[_permutation(y, generator)[:size]]
        values.append(_mmd(some, others, degree, gamma, coef, unbiased))
    over = factor * torch.tensor(values, dtype=torch.float64)
    return KernelDistance(over.mean().item(), over.std(correction=0).item())


def polynomial_mmd_of_blocks(
    real: Tensor,
    generated: Tensor,
    degree: int = 3,
    gamma: float | None = None,
    coef: float = 1.0,
    block_size: int = 1024,
) -> KernelDistance:
    """The mean of unbiased estimates over disjoint blocks of rows, and its standard error.

    Zaremba et al., "B-tests", arXiv 1307.1954, as TF-GAN's kernel distance has it
    (classifier_metrics.py, kernel_classifier_distance_and_std_from_activations).

    Args:
        real: [N D], in random order.
        generated: [M D], in random order.
        degree: As in `polynomial_mmd`.
        gamma: As in `polynomial_mmd`.
        coef: As in `polynomial_mmd`.
        block_size: Rows of a block at most; sides of unequal counts are cut into equally many blocks.

    Raises:
        ValueError: A block would have fewer than 2 rows of a side, or the two do not match.
    """
    check_at_least("polynomial_mmd_of_blocks.block_size", block_size, 2)
    sides = _checked(real, generated, least=2)
    count = -(-max(map(len, sides)) // block_size)
    if min(map(len, sides)) < 2 * count:
        raise ValueError(f"{count} blocks need {2 * count} rows of each side, one has {min(map(len, sides))}")
    blocks = zip(*(side.split([(len(side) + i) // count for i in range(count)]) for side in sides))
    values = torch.tensor([_mmd(x, y, degree, gamma, coef, True) for x, y in blocks], dtype=torch.float64)
    error = values.std().item() / count**0.5 if count > 1 else None
    return KernelDistance(values.mean().item(), error)


def _mmd(x: Tensor, y: Tensor, degree: int, gamma: float | None, coef: float, unbiased: bool) -> float:
    scale = 1 / x.shape[1] if gamma is None else gamma
    within = 0.0
    for side in (x, y):
        total, pairs = _kernel_total(side, side, degree, scale, coef), len(side) ** 2
        if unbiased:
            total = total - (scale * side.square().sum(dim=1) + coef).pow(degree).sum().item()
            pairs -= len(side)
        within += total / pairs
    return within - 2 * _kernel_total(x, y, degree, scale, coef) / (len(x) * len(y))


def _kernel_total(x: Tensor, y: Tensor, degree: int, gamma: float, coef: float) -> float:
    return sum((gamma * (rows @ y.T) + coef).pow(degree).sum().item() for rows in x.split(_ROWS))


@dataclass(frozen=True)
class KernelConvention:
    """How a code base computes its kernel distance: arguments of `polynomial_mmd`, or a size of blocks.

    Attributes:
        source: Where it is from.
    """

    source: str
    degree: int = 3
    gamma: float | None = None
    coef: float = 1.0
    unbiased: bool = True
    subsets: int | None = None
    subset_size: int = 1000
    factor: float = 1.0
    block_size: int | None = None

    def __call__(self, real: Tensor, generated: Tensor, generator: torch.Generator | None = None) -> KernelDistance:
        """The distance by this convention; raises as `polynomial_mmd`."""
        if self.block_size is not None:
            return polynomial_mmd_of_blocks(real, generated, self.degree, self.gamma, self.coef, self.block_size)
        return polynomial_mmd(
            real,
            generated,
            self.degree,
            self.gamma,
            self.coef,
            self.unbiased,
            self.subsets,
            self.subset_size,
            self.factor,
            generator,
        )


KERNEL_CONVENTIONS = {
    "kvd": KernelConvention("DIGAN compute_fvd_kvd.py:19-35, TATS tats/fvd/fvd.py:103-115, LVDM: all videos at once"),
    "kvd_fvd_paper": KernelConvention(
        "(a.b + 1)^3 without 1/D, as reported of arXiv 1812.01717; not verified", gamma=1.0
    ),
    "kid_torchmetrics": KernelConvention("torchmetrics image/kid.py, KernelInceptionDistance", subsets=100),
    "kid_stylegan": KernelConvention("StyleGAN-V kernel_inception_distance.py:34-44, x 1000", subsets=100, factor=1000),
    "kid_tfgan": KernelConvention("TF-GAN classifier_metrics.py, kernel distance in blocks", block_size=1024),
    "jedi": KernelConvention(
        "JEDi videojedi/JEDi.py:18, mmd_polynomial.py:6-24, on V-JEPA features of 1,280 values: gamma 1/1280",
        degree=2,
        coef=0.0,
        unbiased=False,
        factor=100,
    ),
}
"""Kernel distances by name. They differ by factors of thousands: a figure without the name says nothing."""


class ExtrapolatedDistance(NamedTuple):
    """A distance extrapolated to infinitely many samples.

    Attributes:
        value: Where the straight line in 1/N meets 1/N = 0; may be negative.
        r_squared: Share of the variance of `values` that the line explains; far below 1, `value` means nothing.
        sizes: N of each point.
        values: The distance at each of them.
    """

    value: float
    r_squared: float
    sizes: list[int]
    values: list[float]


def extrapolated_frechet(
    real: Tensor,
    generated: Tensor,
    generator: torch.Generator,
    unbiased: bool = True,
    num_sizes: int = 15,
    subsample_real: bool = True,
) -> ExtrapolatedDistance:
    """Frechet distance extrapolated to infinitely many videos.

    Chong & Forsyth, "Effectively Unbiased FID", arXiv 1911.07023: the distance at `num_sizes` sizes, each of a fresh
    random subset, and a straight line in 1/N. There the sizes are 5,000 to 50,000, of the generated side alone. Here
    they go from a quarter of the count to all of it, because a tenth of 2,048 videos is less than I3D's 400 values,
    where the distance is no line in 1/N; and both sides are cut to the same share, because both add to the distance.

    Args:
        real: [N D].
        generated: [M D].
        generator: Draws the subsets.
        unbiased: As in `frechet`.
        num_sizes: Points of the line.
        subsample_real: False takes all real rows at each size, as the paper does: what their count adds then stays.

    Raises:
        ValueError: A side has fewer than 8 rows, or the two do not match.
    """
    check_at_least("extrapolated_frechet.num_sizes", num_sizes, 3)
    x, y = _checked(real, generated, least=8)
    sizes = [round(size) for size in torch.linspace(len(y) / 4, len(y), num_sizes, dtype=torch.float64).tolist()]
    values = []
    for size in sizes:
        some = y[_permutation(y, generator)[:size]]
        others = x[_permutation(x, generator)[: round(size * len(x) / len(y))]] if subsample_real else x
        values.append(frechet(others, some, unbiased))
    return ExtrapolatedDistance(*_intercept(sizes, values), sizes, values)


def _intercept(sizes: list[int], values: list[float]) -> tuple[float, float]:
    """Of a least-squares line in 1/N, and its R^2."""
    y, inverse = torch.tensor(values, dtype=torch.float64), 1 / torch.tensor(sizes, dtype=torch.float64)
    x = torch.stack([torch.ones_like(inverse), inverse], dim=1)
    line = torch.linalg.lstsq(x, y[:, None]).solution[:, 0]
    spread, unexplained = (y - y.mean()).square().sum(), (y - x @ line).square().sum()
    return line[0].item(), (1 - unexplained / spread).item() if spread > 0 else 1.0


def bootstrap(
    distance: Callable[[Tensor, Tensor], float],
    real: Tensor,
    generated: Tensor,
    num: int,
    generator: torch.Generator,
) -> Tensor:
    """The distance of `num` resamples of both sides, drawn with replacement: float64 [num].

    Duplicates raise a Frechet distance, so the values tell the spread of a figure, not its centre: see
    `bootstrap_interval`.

    Args:
        distance: A function of features [N D] and [M D].
        real: [N D].
        generated: [M D].
        num: Resamples.
        generator: Draws the resamples.
    """
    check_at_least("bootstrap.num", num, 1)
    sides = _checked(real, generated, least=1)
    values = []
    for _ in range(num):
        draws = [side[torch.randint(len(side), (len(side),), generator=generator).to(side.device)] for side in sides]
        values.append(distance(*draws))
    return torch.tensor(values, dtype=torch.float64)


def bootstrap_interval(value: float, values: Tensor, level: float = 0.95) -> tuple[float, float]:
    """An interval as wide as the central `level` of bootstrap values, moved so that their mean is `value`.

    Args:
        value: The figure of the samples themselves.
        values: What `bootstrap` gives, [num].
        level: Between 0 and 1.
    """
    tail = (1 - level) / 2
    low, high = torch.quantile(values - values.mean(), torch.tensor([tail, 1 - tail], dtype=values.dtype)).tolist()
    return value + low, value + high


class NearestReal(NamedTuple):
    """The nearest real row of each generated one.

    Attributes:
        distances: Euclidean, float64 [M].
        indices: Positions of the real rows, int64 [M].
    """

    distances: Tensor
    indices: Tensor


def nearest_real_ratio(real: Tensor, generated: Tensor) -> float:
    """Median distance from a generated video to its nearest real one, over that from a real video to its nearest other.

    About 1 for new videos of the distribution, near 0 for copies, above 1 for videos unlike any real one. It compares
    with the real videos at hand alone: copies of training videos show only where those are the real side.

    Args:
        real: [N D], N >= 2.
        generated: [M D].

    Raises:
        ValueError: A side has too few rows, the two do not match, or most real videos have a copy among the others.
    """
    return _ratio_of_medians(*_nearest_distances(real, generated))


def bootstrap_nearest_real(real: Tensor, generated: Tensor, num: int, generator: torch.Generator) -> Tensor:
    """`nearest_real_ratio` for `num` resamples of the videos whose nearest one is looked for: float64 [num].

    Both medians are of resampled videos, and each of these keeps its distance to the nearest of all real ones: in a
    resample of those, two of three would have a copy of themselves, at distance 0. What another real set of the same
    size to search in would change is therefore not in the spread.

    Args:
        real: [N D], N >= 2.
        generated: [M D].
        num: Resamples.
        generator: Draws the resamples.

    Raises:
        ValueError: As `nearest_real_ratio`.
    """
    among, found = _nearest_distances(real, generated)
    return bootstrap(_ratio_of_medians, among[:, None], found[:, None], num, generator)


def _nearest_distances(real: Tensor, generated: Tensor) -> tuple[Tensor, Tensor]:
    """From each real row to its nearest other, float64 [N], and from each generated one to its nearest real, [M]."""
    x, y = _checked(real, generated, least=1)
    if len(x) < 2:
        raise ValueError("the nearest other real video needs 2 real ones")
    apart = [torch.cdist(rows, x, compute_mode="donot_use_mm_for_euclid_dist") for rows in x.split(_ROWS)]
    for place, part in enumerate(apart):
        part.diagonal(place * _ROWS).fill_(torch.inf)
    return torch.cat([part.amin(dim=1) for part in apart]), nearest_real(x, y).distances


def _ratio_of_medians(among: Tensor, found: Tensor) -> float:
    if (of_real := among.median().item()) == 0:
        raise ValueError("most real videos have a copy among the others")
    return found.median().item() / of_real


def nearest_real(real: Tensor, generated: Tensor) -> NearestReal:
    """Which real video each generated one is most like, in Euclidean distance of features; 0 is a copy.

    Args:
        real: [N D].
        generated: [M D].

    Raises:
        ValueError: A side is empty, or the two do not match.
    """
    x, y = _checked(real, generated, least=1)
    # Without products: |a|^2 + |b|^2 - 2 a.b loses half of the digits of a small distance.
    found = [torch.cdist(rows, x, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1) for rows in y.split(_ROWS)]
    return NearestReal(torch.cat([one.values for one in found]), torch.cat([one.indices for one in found]))


def inception_score(
    log_probabilities: Tensor, splits: int = 10, loops: int = 1, generator: torch.Generator | None = None
) -> InceptionScore:
    """Inception Score of videos that are shuffled and cut into contiguous parts.

    StyleGAN-V (video_inception_score.py:23-52) shuffles 2,048 videos once and cuts them into 10 splits; mean and std
    are over splits. TGANv2 (compute_inception_score.py:54-66) takes 10 loops of 2,048 new videos, 1 split each; mean
    and std are over loops, whose videos are disjoint parts here.

    Args:
        log_probabilities: log p(y|x) of N videos, [N K]; -inf is fine.
        splits: Parts of a loop; the score of a loop is the mean of theirs.
        loops: Parts of all videos.
        generator: Shuffles the videos. Default: the order is kept.

    Returns:
        Mean and population std over loops; over splits if there is one loop.

    Raises:
        ValueError: A part would be empty.
    """
    check_at_least("inception_score.splits", splits, 1)
    check_at_least("inception_score.loops", loops, 1)
    count, parts = len(log_probabilities), loops * splits
    if count < parts:
        raise ValueError(f"an Inception Score of {parts} parts needs a video in each; there are {count} in all")
    order = torch.arange(count) if generator is None else torch.randperm(count, generator=generator)
    shuffled = log_probabilities[order.to(log_probabilities.device)]
    bounds = [part * count // parts for part in range(parts + 1)]
    means = torch.stack([_score_of_one(shuffled[first:last]) for first, last in zip(bounds, bounds[1:])]).reshape(
        loops, splits
    )
    over = means.mean(dim=1) if loops > 1 else means[0]
    return InceptionScore(over.mean(), over.std(correction=0))


def _score_of_one(log_probabilities: Tensor) -> Tensor:
    return inception_score_of_splits(
        log_probabilities, torch.zeros(len(log_probabilities), dtype=torch.int64, device=log_probabilities.device), 1
    ).mean


def _permutation(side: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randperm(len(side), generator=generator).to(side.device)


def _checked(real: Tensor, generated: Tensor, least: int) -> tuple[Tensor, Tensor]:
    """Both sides in float64."""
    for name, side in (("real", real), ("generated", generated)):
        if side.ndim != 2 or len(side) < least or not side.is_floating_point():
            found = f"{side.dtype} {list(side.shape)}".removeprefix("torch.")
            raise ValueError(f"{name} features are float [N D] with {least} rows or more, not {found}")
    if real.shape[1] != generated.shape[1]:
        raise ValueError(f"features of {real.shape[1]} and of {generated.shape[1]} values cannot be compared")
    return real.double(), generated.double()
