"""benchmarks/gpu.py: every section produces its rows on a CPU, and no section takes the others down with it."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

import warm

FOLDER = Path(__file__).parents[2] / "benchmarks"
# A row of each table that a section has to fill, by the first column of the table.
TABLES = {
    "card": ["what", "rate"],
    "parity": ["case", "sequences along time"],
    "stage_two": ["step", "profile", "busiest", "model"],
    "stage_one": ["step", "profile", "busiest"],
    "sampling": ["autoencoder, bf16, batch", "PVDM-L, bf16"],
    "original": ["step"],
    "largest": ["training step, bf16-mixed"],
    "gallery": ["stage", "command", "what"],
    "compiled": ["step", "profile", "busiest"],
}
FILES = {"gpu.json", "gpu.md", "samples.png", "samples.mp4", "long.mp4", "reconstructions.png", "losses.png"}


def gpu(*arguments, **environment):
    command = [sys.executable, FOLDER / "gpu.py", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_every_section_runs_on_a_cpu(tmp_path):
    # Time limits are not what is tested here: those of so many minutes no machine exceeds. Nor is the compiler, which
    # takes a minute: tests/training/test_compile.py does that.
    arguments = ["--device", "cpu", "--tiny", "--minutes", 60, "--out", tmp_path / "out", "--only", *TABLES]
    run = gpu(*arguments, TORCH_COMPILE_DISABLE="1")
    assert run.returncode == 0, run.stderr
    report = json.loads((tmp_path / "out" / "gpu.json").read_text())
    assert {name: section["state"] for name, section in report["sections"].items()} == dict.fromkeys(TABLES, "done"), (
        run.stderr
    )
    for name, firsts in TABLES.items():
        rows = report["sections"][name]["rows"]
        assert {next(iter(row)) for row in rows} == set(firsts), name
    parity = [row for row in report["sections"]["parity"]["rows"] if "case" in row]
    assert [row["within 0.0001"] for row in parity] == [True] * len(parity)
    assert len(parity) >= 8
    made = {path.name: path.stat().st_size for path in (tmp_path / "out").iterdir()}
    assert made.keys() == FILES
    assert max(made.values()) < 16 * 2**20
    for name in ("samples.png", "reconstructions.png", "losses.png"):
        with Image.open(tmp_path / "out" / name) as picture:
            assert len(picture.convert("RGB").getcolors(2**24)) > 2, name
    headings = [line for line in run.stdout.splitlines() if line.startswith("## ")]
    assert len(headings) == len(TABLES)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--minutes", "0"], "--minutes 0.0: is no time. Give minutes, such as 8."),
        (["--device", "cpu", "--only", "cards"], "--only cards: names no such section. Give some of card, parity,"),
        (["--device", "cpu", "--out", __file__], "is a file. Name a folder."),
        ([], "--device cuda: PyTorch finds no GPU. Give --device cpu --tiny to try the command."),
    ],
)
def test_a_mistake_is_one_line(tmp_path, arguments, said):
    run = gpu(*arguments, CUDA_VISIBLE_DEVICES="")
    assert run.returncode != 0
    assert said in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr


@pytest.fixture
def proof(monkeypatch, tmp_path):
    """The package of the sections, and `run(parts, seconds)`: each part a section; what became of them."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))  # the runner sets it
    before = set(sys.modules)
    from proof import runner, section

    monkeypatch.setattr(runner, "get_context", lambda method: warm.context())
    monkeypatch.setattr(runner, "_GRACE", 0.5)
    (tmp_path / "parts.py").write_text(PARTS)
    import parts

    def run(limits, minutes):
        known = {}

        def report(section, rows, state, seconds):
            known[section.name] = (list(rows), state)

        sections = [section.Section(name, name, seconds, getattr(parts, name)) for name, seconds in limits.items()]
        runner.run_sections(sections, "cpu", True, tmp_path, minutes, report)
        return known

    yield run
    for name in set(sys.modules) - before:
        if name == "parts" or name.split(".")[0] == "proof":
            del sys.modules[name]


PARTS = """
import os
import signal
import time


def good(proof):
    proof.row(seconds=proof.left())


def raises(proof):
    proof.row(begun=1)
    raise RuntimeError("out of\\nluck")


def dies(proof):
    os.kill(os.getpid(), signal.SIGKILL)


def hangs(proof):
    proof.row(begun=1)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(1)
"""


def test_a_section_that_fails_dies_or_hangs_ends_alone(proof):
    known = proof({"raises": 400, "dies": 400, "hangs": 48, "good": 400}, minutes=0.2)
    assert known["raises"] == ([{"begun": 1}], "failed: RuntimeError: out of luck")
    assert known["dies"] == ([], "failed: its process ended without a word, code -9")
    assert known["hangs"] == ([{"begun": 1}], "ran out of time")
    assert known["good"][1] == "done"
    assert list(known) == ["raises", "dies", "hangs", "good"]


def test_the_last_section_gets_what_is_left_and_none_runs_after_the_end(proof):
    known = proof({"good": 8}, minutes=1)
    assert 50 < known["good"][0][0]["seconds"] <= 60
    known = proof({"hangs": 800, "good": 8}, minutes=0.05)
    assert known == {"hangs": ([{"begun": 1}], "ran out of time"), "good": ([], "not run: no time was left")}


def test_what_was_counted_ahead_is_what_counting_gives(proof, monkeypatch, tmp_path):
    from proof import counted, stage_two
    from proof.section import Proof

    of_a_gpu = Proof("cpu", False, tmp_path, 0.0, print)
    recorded = [stage_two.predicted(of_a_gpu, 1, 128), stage_two.tflop(of_a_gpu, 128)]
    monkeypatch.setattr(counted, "FILE", tmp_path / "counted.json")
    assert recorded == pytest.approx([stage_two.predicted(of_a_gpu, 1, 128), stage_two.tflop(of_a_gpu, 128)], rel=1e-3)


def test_missing_packages_are_taken_from_wheels(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(FOLDER)
    from gpu import unpack_missing

    for name in ("torch-9.9-py3-none-any.whl", "not_installed_here-1.0-py3-none-any.whl"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(f"{name.split('-')[0]}/__init__.py", "VALUE = 7")
    folder = tmp_path / "unpacked"
    assert unpack_missing(tmp_path, folder) == ["not_installed_here-1.0-py3-none-any.whl"]
    monkeypatch.syspath_prepend(folder)
    import not_installed_here

    assert not_installed_here.VALUE == 7
    monkeypatch.delitem(sys.modules, "not_installed_here")
    monkeypatch.delitem(sys.modules, "gpu")


def test_tables_have_one_heading_for_each_set_of_columns(monkeypatch, tmp_path, proof):
    from proof.report import Report
    from proof.section import Section

    report = Report(tmp_path, "about", {"device": "cpu"})
    rows = [{"a": 1, "b": 0.00012345}, {"a": None, "b": float("nan")}, {"c": True}]
    report.update(Section("one", "First", 1, print), rows, "ran out of time", 3.0)
    tables = (tmp_path / "gpu.md").read_text().partition("## First\n\n")[2].split("\n\n")
    assert tables[0] == "| a | b |\n|---|---|\n| 1 | 1.2e-04 |\n| - | nan |"
    assert tables[1] == "| c |\n|---|\n| yes |"
    assert tables[2] == "_ran out of time, 3 s_\n"
    assert json.loads((tmp_path / "gpu.json").read_text())["sections"]["one"]["rows"][1] == {"a": None, "b": None}
