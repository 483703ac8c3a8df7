"""The Inception Score of videos.

Salimans et al., "Improved Techniques for Training GANs", arXiv 1606.03498, section 4; on videos with C3D, Saito et
al., "Train Sparsely, Generate Densely", arXiv 1811.09245.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from pvdm_lightning.errors import check_at_least, check_numbers, check_videos
from pvdm_lightning.metrics.frozen_network import FrozenNetwork


class InceptionScore(NamedTuple):
    """Mean and standard deviation (of the population) over the splits, float64 scalars."""

    mean: Tensor
    std: Tensor


class _SplitSums(NamedTuple):
    probabilities: Tensor
    negative_entropy: Tensor
    num_videos: Tensor


def inception_score_of_splits(log_probabilities: Tensor, splits: Tensor, num_splits: int) -> InceptionScore:
    """Mean and std over splits of exp(E_x KL(p(y|x) || p(y))).

    Args:
        log_probabilities: log p(y|x) of N videos, [N K]; -inf is fine.
        splits: Which split each video belongs to, int64 [N] in 0..num_splits-1.
        num_splits: Each needs a video at least.

    Raises:
        ValueError: A split is empty.
    """
    return _score(*_split_sums(log_probabilities, splits, num_splits))


def _split_sums(log_probabilities: Tensor, splits: Tensor, num_splits: int) -> _SplitSums:
    p = log_probabilities.double().exp()
    # torch.special.entr is -p log p, with 0 at p = 0.
    negative_entropy = -torch.special.entr(p).sum(dim=1)
    zeros = p.new_zeros(num_splits)
    return _SplitSums(
        p.new_zeros(num_splits, p.shape[1]).index_add(0, splits, p),
        zeros.index_add(0, splits, negative_entropy),
        zeros.index_add(0, splits, torch.ones_like(negative_entropy)),
    )


def _score(probabilities: Tensor, negative_entropy: Tensor, num_videos: Tensor) -> InceptionScore:
    """From sums: E KL(p(y|x) || p(y)) = E sum p(y|x) log p(y|x) - sum p(y) log p(y), as p(y) = E p(y|x)."""
    if (num_videos < 1).any():
        total = int(num_videos.sum())
        raise ValueError(
            f"an Inception Score over {len(num_videos)} splits needs a video in each; there are {total} in all"
        )
    marginal = probabilities / num_videos[:, None]
    divergence = negative_entropy / num_videos + torch.special.entr(marginal).sum(dim=1)
    scores = divergence.exp()
    return InceptionScore(scores.mean(), scores.std(correction=0))


class VideoInceptionScore(Metric):
    """Inception Score of the videos it has seen, with fixed memory and the same result on any number of processes.

    Splits are by the videos' numbers: video i is in split i modulo `num_splits`. The literature shuffles and cuts;
    for videos drawn independently that is the same in distribution, and here it does not depend on any random state,
    batch size or process count.

    Args:
        classifier: Maps videos to log p(y|x), [B K].
        num_splits: 10 in StyleGAN-V's protocol (2,048 videos); other papers use 1.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    probabilities: Tensor
    negative_entropy: Tensor
    count: Tensor

    def __init__(self, classifier: FrozenNetwork, num_splits: int = 10, **kwargs: Any) -> None:
        check_numbers("VideoInceptionScore", locals())
        super().__init__(**kwargs)
        check_at_least("VideoInceptionScore.num_splits", num_splits, 1)
        self.classifier, self.num_splits = classifier, num_splits
        for name, shape in (
            ("probabilities", (num_splits, classifier.num_outputs)),
            ("negative_entropy", (num_splits,)),
            ("count", (num_splits,)),
        ):
            self.add_state(name, torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, videos: Tensor, indices: Tensor) -> None:
        """Add videos.

        Args:
            videos: uint8 [B 3 T H W] in 0..255.
            indices: The videos' numbers within the whole set, over all processes; int64 [B].
        """
        check_videos("videos", videos, "[B 3 T H W]")
        splits = indices.to(videos.device) % self.num_splits
        added = _split_sums(self.classifier(videos), splits, self.num_splits)
        self.probabilities += added.probabilities
        self.negative_entropy += added.negative_entropy
        self.count += added.num_videos

    def compute(self) -> InceptionScore:
        """Mean and std over the splits.

        Raises:
            ValueError: A split is empty.
        """
        return _score(self.probabilities, self.negative_entropy, self.count)

    def set_dtype(self, dst_type: str | torch.dtype) -> "VideoInceptionScore":
        """Keep float64."""
        return self
