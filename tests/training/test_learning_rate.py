import pytest

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.training.learning_rate import check_decay, warmup_and_decay


def test_rises_then_stays_then_falls_to_zero() -> None:
    factors = [warmup_and_decay(step, warmup_steps=4, decay_steps=5, max_steps=20) for step in range(21)]
    assert factors[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert factors[5:16] == [1.0] * 11
    assert factors[16:] == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.0])


def test_a_run_shorter_than_the_fall_starts_at_the_full_rate() -> None:
    assert [warmup_and_decay(step, 0, 100, 4) for step in range(5)] == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])


def test_without_either_it_is_constant_even_in_a_run_without_end() -> None:
    assert {warmup_and_decay(step, 0, 0, -1) for step in (0, 1, 10**6)} == {1.0}


def test_decay_needs_an_end() -> None:
    check_decay(0, -1)
    check_decay(10, 100)
    with pytest.raises(InvalidArgumentError, match=r"WarmupDecay.decay_steps 10: .*Set Trainer.max_steps"):
        check_decay(10, -1)
