"""Every section of `gpu` produces its rows on a CPU, and no section takes the others down with it."""

import json
import pickle
import sys
import time
from dataclasses import replace

import pytest
import torch
from PIL import Image

import warm

# A row of each table that a section has to fill, by the first column of the table.
TABLES = {
    "card": ["what", "rate"],
    "parity": ["case", "sequences along time"],
    "stage_two": ["step", "profile", "busiest", "optimizer, PVDM-L", "Newton-Schulz, PVDM-L"],
    "sampling": ["step of DPM-Solver++, PVDM-L", "autoencoder, bf16, batch", "PVDM-L"],
    "stage_one": ["step", "profile", "busiest"],
    "original": ["step"],
    "largest": ["training step, bf16-mixed"],
    "compiled": ["step", "profile", "busiest"],
    "gallery": ["stage", "curve", "what"],
}
ATTENTION = {"attention as PyTorch chooses", "attention by FlashAttention"}
JUDGES = "channels-last discriminators"
KINDS_OF_CHECKPOINTING = {"stage one, checkpointing": True, "stage one, selective checkpointing": "selective"}


def test_the_table_names_every_section_and_all_fit_into_the_time():
    from benchmarks.gpu import SECTIONS

    assert [section.name for section in SECTIONS] == list(TABLES)
    assert sum(part.seconds for section in SECTIONS for part in section.parts) <= 480
    names = [f"{section.name}, {part.name}" for section in SECTIONS for part in section.parts]
    assert len(set(names)) == len(names)
    assert len(pickle.loads(pickle.dumps(SECTIONS))) == len(SECTIONS)  # parts go to processes of their own


@pytest.fixture
def proof(tmp_path):
    """What a part is given, at toy sizes on a CPU."""
    from benchmarks.sections.section import Proof

    return Proof("cpu", True, tmp_path, time.monotonic() + 3600, [].append)


@pytest.fixture
def section(proof):
    """`section(name)`: the rows of a section at toy sizes, in this process."""
    from benchmarks.gpu import SECTIONS

    def run(name, parts=None):
        rows, kept = [], {}
        chosen = next(section for section in SECTIONS if section.name == name)
        tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        for part in chosen.parts[:parts]:
            before = len(rows)
            part.run(replace(proof, send=rows.append, kept=kept))
            assert len(rows) > before or name == "parity", part.name
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32
        assert {next(iter(row)) for row in rows} == set(TABLES[name])
        return rows

    return run


@pytest.mark.parametrize(
    ("name", "parts", "variants"),
    [
        ("stage_two", None, {"as shipped", "--gpu_kernels false", "Muon", "cudnn.benchmark", *ATTENTION}),
        # The rest are larger batches.
        ("stage_one", 7, {"as shipped", "--gpu_kernels false", "attention as PyTorch chooses", JUDGES}),
    ],
)
def test_training_steps_are_measured_with_each_switch(section, name, parts, variants):
    rows = section(name, parts)
    assert {row["variant"] for row in rows if "step" in row} == variants


def test_largest_batches(section):
    assert [row["ran"] for row in section("largest", parts=3)] == [True, True, True]


def test_sampling_measures_each_way(section):
    from benchmarks.sections.sampling import SAMPLING

    rows = section("sampling")
    assert len({part.name for part in SAMPLING}) == len(SAMPLING)
    steps = [row for row in rows if "ms a step" in row]
    graphs = {row["step of DPM-Solver++, PVDM-L"]: row["CUDA graph"] for row in steps}
    off = {"without CUDA graphs": False, "none of these": False}
    on = ("as shipped", "weights cast in each call", "--gpu_kernels false", "weights in bf16", *ATTENTION)
    assert graphs == {**dict.fromkeys(on, True), **off}
    assert [row["aim"] for row in steps] == [10.0, None] * len(graphs)
    assert [row["aim"] for row in rows if "PVDM-L" in row] == [2.0, 2.0, None, None]


def test_beside_the_original(section, reference):
    assert [row["step"] for row in section("original")] == [
        *("PVDM-L, training step", "PVDM-L, denoising step", "PVDM-L, guidance of weight 0"),
        *("PVDM-L, guidance of weight 0", "stage one, training step, checkpointing", "stage one, training step"),
        "PVDM-L, iteration, first clip",
    ]


def test_compiled_steps(section):
    # The compiler takes a minute: tests/training/test_training_compiled.py runs it.
    with torch.compiler.set_stance("force_eager"):
        rows = section("compiled")
    assert [row["variant"] for row in rows if "variant" in row] == ["--gpu_kernels false, compiled"]


@pytest.mark.parametrize(("name", "kind"), KINDS_OF_CHECKPOINTING.items())
def test_each_kind_of_gradient_checkpointing(name, kind, proof):
    from benchmarks.sections.training import Case, peaks, tflop

    case = Case(name, 8)
    assert case.module(proof).autoencoder.config["gradient_checkpointing"] == kind
    assert tflop(case) == tflop(Case("stage one", 8)) and peaks(case).one < peaks(Case("stage one", 8)).one


def test_the_profiled_step_trains_and_copies_once(proof, monkeypatch):
    from benchmarks.sections import training

    module = training.LARGE.module(proof)
    step = training.LARGE.bare_step(proof, module)
    before = [weight.clone() for weight in module.denoiser.parameters()]
    drawn = []
    move = training.StepDraws.to
    monkeypatch.setattr(training.StepDraws, "to", lambda draws, device: drawn.append(draws) or move(draws, device))
    for _ in range(2):
        step()
    assert len(drawn) == 2 and not torch.equal(drawn[0].noise, drawn[1].noise)
    assert any(not torch.equal(old, new) for old, new in zip(before, module.denoiser.parameters(), strict=True))


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
    """`run_parts({section: {part: seconds}}, minutes)`: rows and state of each section."""
    from benchmarks.sections import runner
    from benchmarks.sections.section import Part, Section

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "")  # the runner sets it
    monkeypatch.setattr(runner, "get_context", lambda method: warm.context())
    monkeypatch.setattr(runner, "_GRACE", 0.5)
    (tmp_path / "parts.py").write_text(PARTS)
    first = warm.context().Process(target=int)  # the imports are not what is timed
    first.start()
    first.join()
    import parts

    def run(sections, minutes):
        known = {}

        def report(section, rows, state, seconds):
            known[section.name] = (list(rows), state)

        chosen = [
            Section(name, name, [Part(part, seconds, getattr(parts, part)) for part, seconds in limits.items()])
            for name, limits in sections.items()
        ]
        runner.run_sections(chosen, "cpu", True, tmp_path, minutes, report)
        return known

    yield run
    del sys.modules["parts"]


PARTS = """
import os
import signal
import time


def builds(proof):
    proof.row(built=proof.once("this", os.getpid))


def good(proof):
    proof.row(kept=proof.once("this", lambda: None) == os.getpid(), left=proof.left())


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


def test_a_part_that_fails_dies_or_hangs_ends_alone(run_parts):
    parts = {"raises": 120, "dies": 40, "builds": 20, "hangs": 20, "good": 10}
    rows, state = run_parts({"one": parts}, minutes=0.2)["one"]
    assert [row for row in rows if not row.keys() & {"built", "kept"}] == [
        {"begun": 1},
        {"not measured": "raises", "why": "RuntimeError: out of luck"},
        {"not measured": "dies", "why": "its process ended without a word, code -9"},
        {"begun": 1},
        {"not measured": "hangs", "why": "ran out of time"},
    ]
    assert rows[-1]["kept"] is False and state == "3 of 5 parts not measured"


def test_parts_share_what_they_build_and_the_time_that_others_leave(run_parts):
    known = run_parts({"one": {"builds": 100, "good": 80}, "two": {"good": 8}}, minutes=1)
    (built, kept), state = known["one"]
    assert built["built"] and kept["kept"] and state == "done"
    assert 15 < kept["left"] <= 22.5  # its share, and what the first has left
    assert 50 < known["two"][0][0]["left"] <= 60  # the last has all that is left


def test_none_runs_after_the_end(run_parts):
    known = run_parts({"one": {"hangs": 800}, "two": {"good": 8}}, minutes=0.05)
    assert known["one"][0][-1] == {"not measured": "hangs", "why": "ran out of time"}
    assert known["two"] == (
        [{"not measured": "good", "why": "no time was left"}],
        "1 of 1 parts not measured",
    )


def test_tables_have_one_heading_for_each_set_of_columns(tmp_path):
    from benchmarks.sections.report import Report
    from benchmarks.sections.section import Section

    report = Report(tmp_path, "about", {"device": "cpu"})
    rows = [{"a": 1, "b": 0.00012345}, {"a": None, "b": float("nan")}, {"c": True}]
    report.update(Section("one", "First", []), rows, "ran out of time", 3.0)
    tables = (tmp_path / "gpu.md").read_text().partition("## First\n\n")[2].split("\n\n")
    assert tables[0] == "| a | b |\n|---|---|\n| 1 | 1.2e-04 |\n| - | nan |"
    assert tables[1] == "| c |\n|---|\n| yes |"
    assert tables[2] == "_ran out of time, 3 s_\n"
    assert json.loads((tmp_path / "gpu.json").read_text())["sections"]["one"]["rows"][1] == {"a": None, "b": None}
