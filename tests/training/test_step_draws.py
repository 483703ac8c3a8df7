"""The numbers of a step: the same for a sample whatever its batch, and all of them in one buffer on the way."""

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pvdm_lightning.random import sample_generators
from pvdm_lightning.training.step_draws import ALIGNMENT, StepDraws, copy_together

SIZE = (4, 20)


def draw(indices, has_previous, probability=0.5, label=None):
    given, probabilities = {"previous": torch.tensor(has_previous)}, {"previous": probability}
    if label is not None:
        given, probabilities = {**given, "label": torch.tensor(label)}, {**probabilities, "label": 0.5}
    return StepDraws.draw(sample_generators(3, 7, torch.tensor(indices)), given, probabilities, 1000, SIZE)


def test_the_numbers_of_a_sample_follow_from_seed_step_batch_and_index(monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "5")
    indices, has_previous = list(range(40)), [index % 4 != 0 for index in range(40)]
    draws = draw(indices, has_previous)
    for row, index in enumerate(indices):
        seed = np.random.SeedSequence((5, 7, 3, index)).generate_state(1, dtype=np.uint64)[0] >> np.uint64(1)
        generator = torch.Generator().manual_seed(int(seed))
        kept = bool(torch.rand((), generator=generator) < 0.5) and has_previous[row]
        swap = bool(torch.rand((), generator=generator) < 0.5) and has_previous[row] and not kept
        assert (draws.kept["previous"][row], draws.swap[row]) == (kept, swap)
        assert (row in draws.rows["previous"]) == kept
        assert draws.t[row] == torch.randint(1000, (1,), generator=generator)
        assert torch.equal(draws.noise[row], torch.randn(SIZE, generator=generator))
    assert 0 < len(draws.rows["previous"]) < 30 and 0 < draws.swap.sum() < 30


def test_a_further_part_leaves_the_other_numbers_as_they_are():
    plain, labelled = (draw([4, 9, 2], [True, True, False], label=label) for label in (None, [True, False, True]))
    for one, other in zip(plain[:3], labelled[:3]):
        assert torch.equal(one, other)
    assert torch.equal(plain.kept["previous"], labelled.kept["previous"])
    assert labelled.kept.keys() == {"previous", "label"} and not labelled.kept["label"][1]


class Copies(TorchDispatchMode):
    """Counts the tensors that change their device."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and result.device != args[0].device:
            self.count += 1
        return result


def test_all_numbers_reach_a_device_in_one_copy():
    draws = draw([1, 2, 3], [True, True, False], label=[True, True, True])
    with Copies() as copies:
        moved = draws.to(torch.device("meta"))
    assert copies.count == 1
    for before, after in [*zip(draws[:3], moved[:3]), *((draws.kept[name], moved.kept[name]) for name in draws.kept)]:
        assert after.device.type == "meta" and (after.dtype, after.shape) == (before.dtype, before.shape)
    starts = [one.storage_offset() * one.element_size() for one in (*moved[:3], *moved.kept.values())]
    assert starts == sorted(set(starts)) and all(start % ALIGNMENT == 0 for start in starts)
    assert moved.rows == draws.rows


def test_a_buffer_holds_what_was_put_into_it(monkeypatch):
    tensors = {"odd": torch.tensor([True, False, True]), "none": torch.zeros(0, 5), "numbers": torch.randn(2, 3)}
    buffers = []
    move = torch.Tensor.to

    def keep(buffer, *args, **kwargs):  # a device whose memory can be looked at
        buffers.append(buffer)
        return move(buffer, "cpu").clone()

    monkeypatch.setattr(torch.Tensor, "to", keep)
    moved = copy_together(tensors, torch.device("meta"))
    assert len(buffers) == 1 and buffers[0].nbytes < 4 * ALIGNMENT
    assert moved.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(moved[name], tensor) and moved[name].dtype == tensor.dtype


def test_on_a_cpu_nothing_is_copied():
    draws = draw([1, 2], [True, True])
    moved = draws.to(torch.device("cpu"))
    assert all(one is other for one, other in zip(draws[:3], moved[:3]))
    assert moved.kept["previous"] is draws.kept["previous"]


def test_a_sample_that_keeps_a_part_of_its_own_denoises_its_clip():
    """An action per frame is that of the clip, and not of the one before; a context is that of both."""
    given = {"previous": torch.ones(40, dtype=torch.bool), "action": torch.ones(40, dtype=torch.bool)}
    generators = [torch.Generator().manual_seed(number) for number in range(80)]
    probabilities = {"previous": 0.0, "action": 0.5, "context": 0.5}
    draws = StepDraws.draw(generators[:40], given, probabilities, 1000, SIZE)
    assert draws.kept["action"].any() and draws.swap.any() and not (draws.swap & draws.kept["action"]).any()
    both = {"previous": given["previous"], "context": given["action"]}
    draws = StepDraws.draw(generators[40:], both, probabilities, 1000, SIZE)
    assert (draws.swap & draws.kept["context"]).any()
