"""The two sides of a comparison: processes of their own, in turn, with the allocator as told."""

import multiprocessing
import os
import sys
from argparse import Namespace

import pytest

import warm

PIECES = """
import os
import sys

def pieces(args):
    record = open(args.record, "a")
    def note(name):
        record.write(name + " " + str(os.getpid()) + " " + os.environ.get("MALLOC_TRIM_THRESHOLD_", "-") + "\\n")
        record.flush()
    return {"step": lambda: note(args.side), "matrix product": lambda: None, "die": lambda: os._exit(3)}
"""


@pytest.fixture
def sides(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "some_pieces.py").write_text(PIECES)
    import some_pieces

    from benchmarks import sides

    # Forks of a process that has imported PyTorch: each side is one of its own all the same.
    monkeypatch.setattr(sides, "get_context", lambda method: warm.context())
    made = []

    def make(name, as_it_comes=False):
        args = Namespace(threads=1, side=name, record=tmp_path / "record")
        made.append(sides.Side(some_pieces.pieces, args, as_it_comes))
        return made[-1]

    yield sides, make, lambda: [line.split() for line in (tmp_path / "record").read_text().splitlines()]
    for side in made:
        side.close()
    del sys.modules["some_pieces"]


def test_they_take_turns_after_a_warm_up(sides):
    module, make, recorded = sides
    timings = module.take_turns({"ours": make("a"), "reference": make("b")}, "step", repeats=3)
    assert {name: len(timing.seconds) for name, timing in timings.items()} == {
        "ours": 3,
        "reference": 3,
        module.PRODUCT: 3,
    }
    names, processes, _ = zip(*recorded())
    assert names == ("a", "b") * (module.WARM_UP + 3)
    assert len(set(processes)) == 2 and str(os.getpid()) not in processes


def test_apart_each_turn_is_a_process_with_a_warm_up_of_its_own(sides):
    module, make, recorded = sides
    timings = module.take_turns({"ours": make("a"), "reference": make("b")}, "step", repeats=2, apart=True)
    assert [len(timing.seconds) for timing in timings.values()] == [2, 2, 2]
    names, processes, _ = zip(*recorded())
    turn = module.WARM_UP + 1
    assert names == (*["a"] * turn, *["b"] * turn) * 2
    assert len(set(processes)) == 4


def test_one_side_may_have_the_allocator_as_it_comes(sides, monkeypatch):
    module, make, recorded = sides
    for name, value in module.ALLOCATOR.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(module, "get_context", multiprocessing.get_context)  # a fork has the server's environment
    module.take_turns({"ours": make("a"), "reference": make("b", as_it_comes=True)}, "step", repeats=1)
    told = {name: told for name, _, told in recorded()}
    assert told == {"a": module.ALLOCATOR["MALLOC_TRIM_THRESHOLD_"], "b": "-"}
    assert os.environ["MALLOC_TRIM_THRESHOLD_"] == told["a"]


def test_a_side_that_dies_ends_the_benchmark_in_one_line(sides):
    module, make, _ = sides
    with pytest.raises(SystemExit, match="die: a side ended, code 3"):
        make("a").run("die")
