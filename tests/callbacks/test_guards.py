"""Gradients that are not finite: seen at once, or by the optimizer itself and a step later by the host."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pvdm_lightning.callbacks import FiniteTraining, guards
from pvdm_lightning.callbacks.guards import NonFiniteError


class Run:
    """Steps of one linear layer under the guard; gradients are given by hand."""

    def __init__(self, action="skip"):
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 2)
        self.optimizer = torch.optim.AdamW(self.layer.parameters(), lr=0.1, fused=True)
        self.guard = FiniteTraining(action, max_skipped=2)
        self.module = SimpleNamespace(log=lambda *_, **__: None)
        self.trainer = SimpleNamespace(
            precision_plugin=None, optimizers=[self.optimizer], is_global_zero=True, global_step=0,
            checkpoint_callbacks=[], callbacks=[],
        )  # fmt: skip
        self.guard.on_train_start(self.trainer, self.module)

    def step(self, value):
        for weight in self.layer.parameters():
            weight.grad = torch.full_like(weight, value)
        self.guard.on_train_batch_start(self.trainer, self.module, {"index": torch.tensor([7])}, 0)
        self.guard.on_before_optimizer_step(self.trainer, self.module, self.optimizer)
        self.optimizer.step()
        self.trainer.global_step += 1

    def weights(self):
        return copy.deepcopy([weight.detach() for weight in self.layer.parameters()])


@pytest.fixture(params=[False, True], ids=["at_once", "a_step_later"])
def later(request, monkeypatch):
    """As on a GPU: the optimizer reads a flag, and the host the norm of the step before."""
    monkeypatch.setattr(guards, "skips_by_itself", lambda optimizer: request.param)
    return request.param


def test_a_skipped_step_changes_nothing(later, caplog):
    run, without = Run(), Run()
    for value in (0.5, float("nan"), -0.25, float("inf"), 1.0):
        run.step(value)
        if abs(value) < 2:
            without.step(value)
    run.guard.on_train_end(run.trainer, run.module)
    assert all(torch.equal(a, b) for a, b in zip(run.weights(), without.weights()))
    assert [f"step {step} is skipped" in caplog.text for step in range(5)] == [False, True, False, True, False]


def test_a_run_stops_with_finite_weights_and_names_the_step(later):
    run = Run("stop")
    run.step(0.5)
    before = run.weights()
    with pytest.raises(NonFiniteError, match="the gradient of step 1 is nan"):
        run.step(float("nan"))
        run.step(1.0)
    assert all(torch.equal(a, b) for a, b in zip(run.weights(), before))


def test_the_last_step_is_looked_at_too(later):
    run = Run("stop")
    with pytest.raises(NonFiniteError, match="the gradient of step 0 is nan"):
        run.step(float("nan"))
        run.guard.on_train_end(run.trainer, run.module)


def test_steps_are_not_skipped_for_ever(later):
    run = Run()
    with pytest.raises(NonFiniteError, match="the gradient of step 2 is nan after 2 skipped steps"):
        for _ in range(4):
            run.step(float("nan"))


def test_other_optimizers_and_a_cpu_are_looked_at_at_once():
    weight = nn.Parameter(torch.ones(2))
    assert not guards.skips_by_itself(torch.optim.AdamW([weight], fused=True))
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        on_gpu = nn.Parameter(torch.ones(2, device="cuda"))
        assert guards.skips_by_itself(torch.optim.AdamW([on_gpu], fused=True))
        assert not guards.skips_by_itself(torch.optim.AdamW([on_gpu], fused=False))
        assert not guards.skips_by_itself(torch.optim.SGD([on_gpu]))
