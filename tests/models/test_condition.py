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
    "action": lambda: torch.tensor([[3, 1], [0, 2], [1, 1]]),
}
SUBSETS = [names for count in range(len(PARTS) + 1) for names in itertools.combinations(PARTS, count)]


def condition(names):
    extra = {name: PARTS[name]() for name in names if name == "action"}
    return Condition(**{name: PARTS[name]() for name in names if name not in extra}, extra=extra)


def part_of(given, name):
    return given.extra[name] if name == "action" else getattr(given, name)


def is_none(part, name):
    tensors = part if name == "known" else [part]
    return all((one == (NO_LABEL if name in ("label", "action") else 0)).all() for one in tensors)


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
    assert none.given == names and all(is_none(part_of(none, name), name) for name in names)
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
            part, before = part_of(made, name), part_of(given, name)
            assert equal(rows(part, name, kept), rows(before, name, kept), name)
            assert is_none(rows(part, name, ~kept), name) == (name == dropped)


@pytest.mark.parametrize("first", SUBSETS)
def test_batches_are_joined(first):
    for second in SUBSETS:
        one, other = condition(first), condition(second)
        both = Condition.cat([one, other])
        assert set(both.given) == set(first) | set(second)
        for name in both.given:
            for half, own, there in ((slice(0, BATCH), one, first), (slice(BATCH, None), other, second)):
                part = rows(part_of(both, name), name, half)
                assert equal(part, part_of(own, name), name) if name in there else is_none(part, name)
