"""The one entry: it lists the benchmarks, reports mistakes in one line, and needs no installation."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = (
    "speed",
    "memory",
    "scaling",
    "samplers",
    "quality",
    "recipes",
    "showcase",
    "footage",
    "soak",
    "operators",
    "gpu",
)
WHEEL = "not_installed_here-1.0-py3-none-any.whl"
START = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); "
    "runpy.run_module('benchmarks', run_name='__main__', alter_sys=True)"
)


def test_the_overview_has_a_line_for_each_benchmark():
    from benchmarks.__main__ import overview

    lines = overview().splitlines()
    assert [line.split()[0] for line in lines] == list(NAMES)
    assert all(len(line.split()) > 4 and line.endswith(".") for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_each_explains_its_options(bench, capsys, name):
    with pytest.raises(SystemExit) as ended:
        bench(name, "--help")
    assert ended.value.code == 0
    assert f"python -m benchmarks {name}" in capsys.readouterr().out.partition("\n\n")[2]  # an example


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["speeds"], "invalid choice: 'speeds'"),
        (["speed", "--repeats", "0"], "--repeats 0: is less than 1. Give 1 or more."),
        (
            ["scaling", "--base-channels", "100"],
            "--base-channels 100: is not a multiple of 32. Give 128 (S)",
        ),
        (["scaling", "--sides", "64", "100"], "--sides 100: is not a multiple of the patch, 8, of at least 32."),
        (["scaling", "--frames", "1"], "--frames 1: is too short for a clip. Give 2 or more."),
        (["gpu", "--minutes", "0"], "--minutes 0.0: is no time. Give minutes, such as 8."),
        (
            ["gpu", "--device", "cpu", "--only", "cards"],
            "--only cards: names no such section. Give some of card,",
        ),
        (["gpu", "--device", "cpu", "--out", __file__], "is a file. Name a folder."),
        (["gpu"], "--device cuda: PyTorch finds no GPU. Give --device cpu --tiny to try the command."),
    ],
)
def test_a_mistake_is_one_line(bench, monkeypatch, capsys, given, said):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        bench(*given)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_without_an_installation_packages_come_from_wheels(tmp_path):
    """An isolated interpreter finds neither the package nor what .wheels has."""
    from benchmarks.__main__ import unpack_missing

    for name in ("torch-9.9-py3-none-any.whl", WHEEL):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(f"{name.split('-')[0]}/__init__.py", "VALUE = 7")
    folder = tmp_path / "unpacked"
    assert unpack_missing(tmp_path, folder) == [WHEEL]
    (tmp_path / "benchmarks").mkdir()
    for name in ("__init__", "__main__", *NAMES):
        (tmp_path / f"benchmarks/{name}.py").write_text((ROOT / f"benchmarks/{name}.py").read_text())
    (tmp_path / "benchmarks/speed.py").write_text(
        '"""Nothing."""\nimport not_installed_here\nadd_options = lambda options: None\n'
        "run = lambda args: print(not_installed_here.VALUE)\n"
    )
    (tmp_path / ".wheels").mkdir()
    (tmp_path / WHEEL).rename(tmp_path / ".wheels" / WHEEL)
    source = tmp_path / "src/pvdm_lightning/cpu"
    source.mkdir(parents=True)
    for name in ("errors.py", "cpu/memory.py"):
        (tmp_path / "src/pvdm_lightning" / name).write_text((ROOT / "src/pvdm_lightning" / name).read_text())
    command = [sys.executable, "-c", START]
    run = subprocess.run([*command, tmp_path, "speed"], capture_output=True, text=True, cwd="/")
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [f"not installed here, taken from .wheels: {WHEEL}", "7"]
