"""Every section of `gpu` produces its rows on a CPU, and no section takes the others down with it."""

import json
import sys
import time

import pytest
import torch
from PIL import Image

import warm

# A row of each table that a section has to fill, by the first column of the table.
TABLES = {
    "card": ["what", "rate"],
    "parity": ["case", "sequences along time"],
    "stage_two": ["step", "profile", "busiest"],
    "stage_one": ["step", "profile", "busiest"],
    "sampling": ["autoencoder, bf16, batch", "PVDM-L, bf16"],
    "original": ["step"],
    "largest": ["training step, bf16-mixed"],
    "gallery": ["stage", "curve", "what"],
    "compiled": ["step", "profile", "busiest"],
}


def test_the_table_names_every_section():
    from benchmarks.gpu import COMPILED, SECTIONS

    assert [section.name for section in (*SECTIONS, COMPILED)] == list(TABLES)


@pytest.fixture
def section(tmp_path):
    """`section(name)`: the rows of a section at toy sizes, in this process."""
    from benchmarks.gpu import COMPILED, SECTIONS
    from benchmarks.sections.section import Proof

    def run(name):
        rows = []
        chosen = next(section for section in (*SECTIONS, COMPILED) if section.name == name)
        tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        chosen.run(Proof("cpu", True, tmp_path, time.monotonic() + 3600, rows.append))
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32
        assert {next(iter(row)) for row in rows} == set(TABLES[name])
        return rows

    return run


@pytest.mark.parametrize("name", ["stage_two", "stage_one", "sampling", "largest"])
def test_a_section_fills_its_tables(section, name):
    assert section(name)


def test_beside_the_original(section, reference):
    assert [row["step"] for row in section("original")] == [
        *("PVDM-L, training step", "PVDM-L, guidance of weight 0", "PVDM-L, guidance of weight 0"),
        *("PVDM-L, iteration, first clip", "stage one, training step", "stage one, training step, checkpointing"),
    ]


def test_compiled_steps(section):
    # The compiler takes a minute: tests/training/test_training_compiled.py runs it.
    with torch.compiler.set_stance("force_eager"):
        assert {row["mode"] for row in section("compiled") if "mode" in row} == {"compiled"}


def test_the_gallery_trains_and_draws(section, tmp_path):
    section("gallery")
    made = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert made == {"samples.png", "samples.mp4", "long.mp4", "reconstructions.png"}
    for name in ("samples.png", "reconstructions.png"):
        with Image.open(tmp_path / name) as picture:
            assert len(picture.convert("RGB").getcolors(2**24)) > 2, name


def test_the_command_writes_a_report(bench, tmp_path):
    # Time limits are not what is tested here: those of so many minutes no machine exceeds.
    out = tmp_path / "out"
    printed = bench("gpu", "--device", "cpu", "--tiny", "--minutes", 60, "--out", out, "--only", "parity", "card")
    report = json.loads((out / "gpu.json").read_text())["sections"]
    assert {name: section["state"] for name, section in report.items()} == {"card": "done", "parity": "done"}
    for name, section in report.items():
        assert {next(iter(row)) for row in section["rows"]} == set(TABLES[name]), name
    parity = [row for row in report["parity"]["rows"] if "case" in row]
    assert [row["within 0.0001"] for row in parity] == [True] * len(parity) and len(parity) >= 8
    assert [line for line in printed.splitlines() if line.startswith("## ")] == ["## The card", "## Parity and limits"]
    assert (out / "gpu.md").read_text().strip() in printed


@pytest.fixture
def run_parts(monkeypatch, tmp_path):
    """`run_parts(seconds, minutes)`: each part a section; what became of them."""
    from benchmarks.sections import runner, section

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "")  # the runner sets it
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
    del sys.modules["parts"]


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


def test_a_section_that_fails_dies_or_hangs_ends_alone(run_parts):
    known = run_parts({"raises": 400, "dies": 400, "hangs": 48, "good": 400}, minutes=0.2)
    assert known["raises"] == ([{"begun": 1}], "failed: RuntimeError: out of luck")
    assert known["dies"] == ([], "failed: its process ended without a word, code -9")
    assert known["hangs"] == ([{"begun": 1}], "ran out of time")
    assert known["good"][1] == "done"
    assert list(known) == ["raises", "dies", "hangs", "good"]


def test_the_last_section_gets_what_is_left_and_none_runs_after_the_end(run_parts):
    known = run_parts({"good": 8}, minutes=1)
    assert 50 < known["good"][0][0]["seconds"] <= 60
    known = run_parts({"hangs": 800, "good": 8}, minutes=0.05)
    assert known == {"hangs": ([{"begun": 1}], "ran out of time"), "good": ([], "not run: no time was left")}


def test_tables_have_one_heading_for_each_set_of_columns(tmp_path):
    from benchmarks.sections.report import Report
    from benchmarks.sections.section import Section

    report = Report(tmp_path, "about", {"device": "cpu"})
    rows = [{"a": 1, "b": 0.00012345}, {"a": None, "b": float("nan")}, {"c": True}]
    report.update(Section("one", "First", 1, print), rows, "ran out of time", 3.0)
    tables = (tmp_path / "gpu.md").read_text().partition("## First\n\n")[2].split("\n\n")
    assert tables[0] == "| a | b |\n|---|---|\n| 1 | 1.2e-04 |\n| - | nan |"
    assert tables[1] == "| c |\n|---|\n| yes |"
    assert tables[2] == "_ran out of time, 3 s_\n"
    assert json.loads((tmp_path / "gpu.json").read_text())["sections"]["one"]["rows"][1] == {"a": None, "b": None}
