import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("measure_in_processes.py")


def test_two_processes_agree_with_one(tmp_path):
    running = {}
    for rank, world_size in ((0, 1), (0, 2), (1, 2)):
        out = tmp_path / f"{rank}_of_{world_size}.json"
        command = [sys.executable, str(SCRIPT), str(rank), str(world_size), str(tmp_path / f"{world_size}"), str(out)]
        running[out] = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for process in running.values():
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    alone, *together = (json.loads(out.read_text()) for out in running)
    assert alone["generated videos"] == 41
    assert alone["fvd without updates on a process"] == pytest.approx(alone["fvd"], rel=1e-6)
    assert alone["fvd with known real statistics"] == pytest.approx(alone["fvd"], rel=1e-6)
    for results in together:
        assert results == pytest.approx(alone, rel=1e-6)
