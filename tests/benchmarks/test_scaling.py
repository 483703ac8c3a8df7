"""What the scaling benchmark counts obeys theory."""

import pytest


def test_counted_attention_is_that_of_the_tokens():
    from benchmarks.scaling import PATCH, Cost
    from pvdm_lightning.models.triplane import TriplaneShape

    costs = {}
    for frames in (4, 8):
        shape = TriplaneShape.of_clip(frames, 32, 32, PATCH)
        costs[shape] = cost = Cost.count(shape, {"base_channels": 32, "channel_multipliers": (1,)})
        # One level: two blocks down, the middle, three up; two products of 2 L^2 C operations each.
        assert cost.across == pytest.approx(6 * 4 * shape.num_tokens**2 * 32 / 1e9)
        squares = sum(length**2 for length in shape.lengths)
        assert cost.inside == pytest.approx(6 * 4 * squares * 32 / 1e9)
        assert cost.training > cost.sampling > 0
    few, many = costs
    # But for the timestep's layers, which the size of a clip does not change.
    ratio = costs[many].convolution / costs[few].convolution
    assert ratio == pytest.approx(many.num_tokens / few.num_tokens, rel=0.01)


def test_quick_prints_both_series(bench):
    rows = [line for line in bench("scaling", "--quick").splitlines() if line[:1] in ("4", "8")]
    assert [row[:18].strip() for row in rows] == ["4 x 32 x 32", "8 x 32 x 32", "4 x 32 x 32", "4 x 64 x 64"]
    assert all(row.split()[-3:] == ["1.00", "1.00", "1.00"] for row in rows)  # grows as theory says
