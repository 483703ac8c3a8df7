"""Conditions of batches: absent parts, dropped samples, batches joined for guidance."""

import itertools

import pytest
import torch

from pvdm_lightning.models.condition import NO_LABEL, Condition, KnownFrames

BATCH = 3
PARTS = {
    "previous": lambda: torch.rand(BATCH, 4, 6) + 1,
    "known": lambda: KnownFrames(torch.rand(BATCH, 4, 6) + 1, torch.ones(BATCH, 2, dtype=torch.bool)),
    "label": lambda: torch.tensor([0, 1, 7]),
    "context": lambda: torch.rand(BATCH, 5, 2) + 1,
}
SUBSETS = [names for count in range(len(PARTS) + 1) for names in itertools.combinations(PARTS, count)]


def condition(names):
    return Condition(**{name: PARTS[name]() for name in names})


def is_none(part, name):
    tensors = part if name == "known" else [part]
    return all((one == (NO_LABEL if name == "label" else 0)).all() for one in tensors)


def rows(part, name, chosen):
    return KnownFrames(*(one[chosen] for one in part)) if name == "known" else part[chosen]


def equal(part, other, name):
    return all(map(torch.equal, part, other)) if name == "known" else torch.equal(part, other)


@pytest.mark.parametrize("names", SUBSETS)
def test_parts(names):
    given = condition(names)
    assert given.given == names
    assert given.without(*names) == Condition()
    none = given.no_condition()
    assert none.given == names and all(is_none(getattr(none, name), name) for name in names)
    half = given.to(torch.bfloat16)
    assert half.given == names
    assert all(part.dtype == torch.bfloat16 for part in (half.previous, half.context) if part is not None)
    assert half.label is None or half.label.dtype == torch.int64


@pytest.mark.parametrize("names", SUBSETS)
def test_parts_of_samples_are_dropped_apart(names):
    given = condition(names)
    kept = torch.tensor([True, False, True])
    for dropped in names:
        made = given.keep({dropped: kept})
        for name in names:
            part, before = getattr(made, name), getattr(given, name)
            assert equal(rows(part, name, kept), rows(before, name, kept), name)
            assert is_none(rows(part, name, ~kept), name) == (name == dropped)


@pytest.mark.parametrize("first", SUBSETS)
@pytest.mark.parametrize("second", SUBSETS)
def test_batches_are_joined(first, second):
    one, other = condition(first), condition(second)
    both = Condition.cat([one, other])
    assert set(both.given) == set(first) | set(second)
    for name in both.given:
        for half, own in ((slice(0, BATCH), getattr(one, name)), (slice(BATCH, None), getattr(other, name))):
            part = rows(getattr(both, name), name, half)
            assert is_none(part, name) if own is None else equal(part, own, name)
