from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvdm_lightning.callbacks import TimeBudget, time_budget
from pvdm_lightning.errors import InvalidArgumentError


class Run:
    """A run on a clock of its own.

    Attributes:
        step: Steps done.
        seconds: On the clock.
    """

    def __init__(self, budget, max_steps, monkeypatch, step=0):
        loop = SimpleNamespace(max_steps=max_steps)
        self.loop, self.budget, self.step, self.seconds = loop, budget, step, 0.0
        monkeypatch.setattr(time_budget.time, "monotonic", lambda: self.seconds)
        strategy = SimpleNamespace(broadcast=lambda value: value)

        class Trainer:
            fit_loop = SimpleNamespace(epoch_loop=loop)
            max_steps = property(lambda trainer: loop.max_steps)
            global_step = property(lambda trainer: self.step)

        self.trainer = Trainer()
        self.trainer.strategy = strategy
        budget.on_train_start(self.trainer, None)

    def go(self, cost, until=None):
        """Steps that take `cost(step)` seconds each, to the end of the run."""
        while self.step < (self.loop.max_steps if until is None else until):
            self.seconds += cost(self.step)
            self.step += 1
            self.budget.on_train_batch_end(self.trainer, None, None, None, 0)
        return self


@given(st.floats(0.001, 1), st.integers(40, 5000), st.floats(0.5, 10), st.floats(0, 20))
def test_a_run_ends_in_time_or_with_its_steps(cost, max_steps, minutes, first_step):
    with pytest.MonkeyPatch.context() as monkeypatch:
        run = Run(TimeBudget(minutes), max_steps, monkeypatch)
        run.go(lambda step: cost + (first_step if step == 0 else 0))
        assert run.step <= max_steps
        least = 32 * cost + first_step  # nothing is known before
        if run.step < max_steps:
            assert run.seconds <= max(minutes * 60, least) + cost
            assert run.seconds >= minutes * 60 - 2 * cost - 1e-6
        else:
            assert run.seconds <= max(minutes * 60, least) + 2 * cost


def test_a_processor_that_becomes_slower_takes_fewer_steps(monkeypatch):
    run = Run(TimeBudget(1), 10_000, monkeypatch)
    ends = []

    def cost(step):
        ends.append(run.loop.max_steps - step)
        return 0.05 if step < 200 else 0.1

    run.go(cost)
    assert 60 * 0.95 < run.seconds < 60 * 1.1 and run.step < 1200
    assert max(ends[-100:]) < 200  # the learning rate has fallen before the end


def test_without_minutes_nothing_changes(monkeypatch):
    assert Run(TimeBudget(), 500, monkeypatch).go(lambda step: 100.0).step == 500


def test_a_resumed_run_has_the_end_that_was_estimated(monkeypatch):
    whole = Run(TimeBudget(1), 10_000, monkeypatch).go(lambda step: 0.1)
    cut = Run(TimeBudget(1), 10_000, monkeypatch).go(lambda step: 0.1, until=300)
    state, again = cut.budget.state_dict(), TimeBudget(1)
    again.load_state_dict(state)
    resumed = Run(again, 10_000, monkeypatch, step=300).go(lambda step: 5.0)  # on a slower machine
    assert resumed.step == whole.step
    longer = TimeBudget(1)
    longer.load_state_dict(state)
    assert Run(longer, 20_000, monkeypatch, step=resumed.step).go(lambda step: 0.1).step > resumed.step


@pytest.mark.parametrize("minutes", [0, -1.0])
def test_minutes_that_are_none_are_refused(minutes):
    with pytest.raises(InvalidArgumentError, match=r"TimeBudget\.minutes"):
        TimeBudget(minutes)


def test_a_run_without_end_cannot_be_shortened(monkeypatch):
    with pytest.raises(InvalidArgumentError, match=r"TimeBudget\.minutes 1.*Trainer\.max_steps"):
        Run(TimeBudget(1), -1, monkeypatch)
