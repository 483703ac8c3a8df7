import json
from pathlib import Path

import pytest

import warm

SCRIPT = Path(__file__).with_name("measure_in_processes.py")


def test_two_processes_agree_with_one(tmp_path):
    running, printed = {}, []
    for rank, world_size in ((0, 1), (0, 2), (1, 2)):
        out = tmp_path / f"{rank}_of_{world_size}.json"
        printed.append(out.with_suffix(".txt"))
        running[out] = warm.start(SCRIPT, [rank, world_size, tmp_path / f"{world_size}", out], tmp_path, printed[-1])
    warm.finish(running.values(), printed, timeout=120)
    alone, *together = (json.loads(out.read_text()) for out in running)
    assert alone["generated videos"] == 41
    assert alone["fvd without updates on a process"] == pytest.approx(alone["fvd"], rel=1e-6)
    assert alone["fvd with known real statistics"] == pytest.approx(alone["fvd"], rel=1e-6)
    for results in together:
        assert results == pytest.approx(alone, rel=1e-6)
