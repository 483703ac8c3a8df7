import pytest

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.training.optimization import WarmupDecay


def test_rises_then_stays_then_falls_to_zero():
    factors = [WarmupDecay(1.0, warmup_steps=4, decay_steps=5).factor(step, 20) for step in range(21)]
    assert factors[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert factors[5:16] == [1.0] * 11
    assert factors[16:] == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.0])


def test_a_run_shorter_than_the_fall_starts_at_the_full_rate():
    assert [WarmupDecay(1.0, 0, 100).factor(step, 4) for step in range(5)] == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])


def test_without_either_it_is_constant_even_in_a_run_without_end():
    assert {WarmupDecay(1.0).factor(step, -1) for step in (0, 1, 10**6)} == {1.0}


def test_decay_needs_an_end():
    WarmupDecay(1.0).check_end(-1)
    WarmupDecay(1.0, decay_steps=10).check_end(100)
    with pytest.raises(InvalidArgumentError, match=r"WarmupDecay.decay_steps 10: .*Set Trainer.max_steps"):
        WarmupDecay(1.0, decay_steps=10).check_end(-1)
