import numpy as np
import pytest
import torch
from torch import nn

from pvdm_lightning.metrics import FrozenNetwork, VideoInceptionScore
from pvdm_lightning.metrics.inception_score import inception_score_of_splits

CLASSES = 7


class FirstPixelClassifier(nn.Module):
    """Log probabilities that a video's first pixels hold: each is a logit times 50."""

    def forward(self, videos):
        return (videos[:, 0, 0, 0, :CLASSES].float() / 50).log_softmax(dim=1)


@pytest.fixture
def classifier():
    return FrozenNetwork(FirstPixelClassifier(), "made-up classifier", num_outputs=CLASSES)


@pytest.fixture
def videos():
    return torch.randint(0, 256, (40, 3, 2, 2, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def score_by_numpy(p, num_splits):
    scores = []
    for split in range(num_splits):
        part = p[split::num_splits]
        divergence = (part * (np.log(part) - np.log(part.mean(axis=0, keepdims=True)))).sum(axis=1)
        scores.append(np.exp(divergence.mean()))
    return np.mean(scores), np.std(scores)


@pytest.mark.parametrize("num_splits", [1, 3, 10])
def test_agreement_with_numpy_in_any_batches_and_order(classifier, videos, num_splits):
    p = classifier(videos).double().exp().numpy()
    mean, std = score_by_numpy(p, num_splits)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    for size, numbers in ((40, torch.arange(40)), (3, torch.arange(40)), (7, order)):
        metric = VideoInceptionScore(classifier, num_splits)
        for indices in numbers.split(size):
            metric.update(videos[indices], indices)
        score = metric.compute()
        assert score.mean.item() == pytest.approx(mean, rel=1e-9)
        assert score.std.item() == pytest.approx(std, rel=1e-6, abs=1e-9)


def test_a_uniform_predictor_scores_one():
    uniform = torch.full((30, 101), 1 / 101).log()
    score = inception_score_of_splits(uniform, torch.arange(30) % 3, num_splits=3)
    assert score.mean.item() == pytest.approx(1, rel=1e-6)
    assert score.std.item() == pytest.approx(0, abs=1e-9)


def test_perfect_one_hot_predictions_score_the_class_count():
    one_hot = torch.eye(101).repeat(2, 1).log()
    score = inception_score_of_splits(one_hot, torch.arange(202) // 101, num_splits=2)
    assert score.mean.item() == pytest.approx(101, rel=1e-9)


def test_a_score_leaves_the_random_state_alone(classifier, videos):
    before = torch.get_rng_state()
    metric = VideoInceptionScore(classifier)
    metric.update(videos, torch.arange(40))
    metric.compute()
    assert torch.equal(torch.get_rng_state(), before)


def test_an_empty_split_is_an_error(classifier, videos):
    metric = VideoInceptionScore(classifier, num_splits=10)
    metric.update(videos[:9], torch.arange(9))
    with pytest.raises(ValueError, match="over 10 splits needs a video in each; there are 9"):
        metric.compute()
