import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pipeline.known_frames import KINDS, FrameMask, draw_masks, fill_unknown, parse_masks
from pvdm_lightning.random import make_generator

masks = st.integers(1, 9).flatmap(
    lambda frames: st.lists(st.lists(st.booleans(), min_size=frames, max_size=frames), min_size=1, max_size=3)
)


def clip_of(batch, frames, dtype=torch.uint8):
    """[B 3 S 2 2] in which each frame of each sample has another value, none of them mid-grey."""
    values = 1 + torch.arange(batch * frames).reshape(batch, 1, frames, 1, 1) + torch.arange(3).reshape(3, 1, 1, 1) * 40
    return values.expand(batch, 3, frames, 2, 2).to(dtype)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
@given(mask=masks)
@settings(max_examples=40, deadline=None)
def test_unknown_frames_are_the_nearest_known_one(dtype, mask):
    clip = clip_of(len(mask), len(mask[0]), dtype)
    before = clip.clone()
    filled = fill_unknown(clip, torch.tensor(mask))
    assert torch.equal(clip, before) and filled.dtype == dtype and filled.shape == clip.shape
    for sample, known in enumerate(mask):
        places = [place for place, is_known in enumerate(known) if is_known]
        for frame in range(len(known)):
            if places:
                expected = clip[sample, :, min(places, key=lambda place: (abs(place - frame), place))]
            else:
                expected = torch.full_like(clip[sample, :, frame], 128 if dtype == torch.uint8 else 0)
            assert torch.equal(filled[sample, :, frame], expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", "000000"),
        ("first:2", "110000"),
        ("first:6", "111111"),
        ("last:1", "000001"),
        ("ends:2", "110011"),
        ("ends:4", "111111"),
        ("every:1", "111111"),
        ("every:4", "100010"),
        ("frame:0", "100000"),
        (" frame:5 ", "000001"),
        ("all", "111111"),
    ],
)
def test_known_frames_from_text(text, expected):
    known = FrameMask.parse(text, "Options.known")
    assert "".join(str(int(frame)) for frame in known.mask(6)) == expected
    assert FrameMask.parse(str(known), "Options.known") == known


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["firts:2"], "firts:2: is not a kind of known frames. Give first:K, last:K, ends:K, every:K, frame:K, none"),
        (["first"], "first: has no number. Give a whole number, such as first:1."),
        (["last:-1"], "last:-1: has no number. Give a whole number, such as last:1."),
        (["every:0"], "every:0: has the number 0. Give 1 or more; none is no frame."),
        (["all:3"], "all:3: all takes no number. Give all."),
        (["first:7"], "first:7: is beyond the 6 frames of a clip. Give first:6 at most."),
        (["frame:6"], "frame:6: is beyond the 6 frames of a clip. Give frame:5 at most."),
        (["last:2", "first:1", "frame:0"], "frame:0: are the same frames as first:1. Leave one of them out."),
        ([None], "None: is not a kind of known frames."),
    ],
)
def test_what_are_no_known_frames_is_said_in_one_line(texts, message):
    with pytest.raises(InvalidArgumentError) as caught:
        parse_masks(texts, 6, "Options.known")
    assert str(caught.value).startswith(f"Options.known {message}") and "\n" not in str(caught.value)


def test_several_masks():
    assert parse_masks(["frame:0", "last:2"], 3, "x").tolist() == [[True, False, False], [False, True, True]]
    assert parse_masks([], 3, "x").shape == (0, 3)


def kinds_of(mask):
    """All kinds that a mask may be of, in a clip long enough to tell them apart."""
    frames = len(mask)
    texts = ["none", "all", *(f"{kind}:{k}" for kind in ("first", "last") for k in range(1, frames))]
    texts += [f"ends:{k}" for k in range(1, (frames - 1) // 2 + 1)]
    texts += [f"every:{k}" for k in range(2, frames)] + [f"frame:{k}" for k in range(frames)]
    return {text for text in texts if torch.equal(FrameMask.parse(text, "x").mask(frames), mask)}


def test_every_kind_and_number_occurs_and_nothing_else():
    seen = [kinds_of(mask) for mask in draw_masks(4000, 7, torch.Generator().manual_seed(0)).unique(dim=0)]
    every_mask = torch.cartesian_prod(*[torch.tensor([False, True])] * 7)
    assert all(seen) and set.union(*seen) == set.union(*map(kinds_of, every_mask))


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_uniform(kind):
    drawn = draw_masks(6000, 9, torch.Generator().manual_seed(1), {kind: 2.0})
    different, counts = drawn.unique(dim=0, return_counts=True)
    expected = {"none": 1, "all": 1, "first": 8, "last": 8, "ends": 4, "every": 7, "frame": 9}[kind]
    assert len(different) == expected and all(kinds_of(mask) for mask in different)
    assert (counts * expected / 6000 - 1).abs().max() < 0.2


@pytest.mark.parametrize("frames", [1, 2, 3, 16])
@pytest.mark.parametrize("kind", KINDS)
def test_all_lengths_work(kind, frames):
    drawn = draw_masks(50, frames, torch.Generator().manual_seed(2), {kind: 1.0})
    assert drawn.shape == (50, frames) and drawn.dtype == torch.bool
    assert drawn.any(dim=1).all() == (kind != "none")
    if kind in ("first", "last", "frame") and frames > 1:
        assert not drawn.all(dim=1).any()


def test_probabilities_are_those_of_the_kinds():
    drawn = draw_masks(8000, 16, torch.Generator().manual_seed(3), {"none": 1, "all": 3, "first": 0})
    assert drawn.all(dim=1).float().mean() == pytest.approx(0.75, abs=0.03)
    assert (drawn.all(dim=1) | ~drawn.any(dim=1)).all()


def test_a_mask_does_not_depend_on_its_batch():
    together = draw_masks(6, 16, [make_generator(7, sample) for sample in range(6)])
    alone = [draw_masks(1, 16, [make_generator(7, sample)]) for sample in range(6)]
    assert torch.equal(together, torch.cat(alone)) and len(together.unique(dim=0)) > 2


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        ({"firts": 1.0}, "firts: is not a kind of known frames. The kinds are none, first, last, ends"),
        ({"first": -1.0}, "-1.0: the probability of first is not one. Give 0 or more."),
        ({"first": float("nan")}, "nan: the probability of first is not one. Give 0 or more."),
        ({"first": 0.0}, "{'first': 0.0}: are all 0. Give one above 0."),
    ],
)
def test_mistakes_in_probabilities(probabilities, message):
    with pytest.raises(InvalidArgumentError) as caught:
        draw_masks(1, 4, None, probabilities)
    assert str(caught.value).startswith(f"draw_masks.probabilities {message}")
