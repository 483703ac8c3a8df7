"""The examples of docs/extending run as they stand, and CONTRIBUTING.md lists every file that a part touches."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from pvdm_lightning.diffusion import SAMPLERS

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "extending"
PRINTED = {
    "action_condition": r"\('previous', 'action'\) torch.Size\(\[2, 3, 4, 16, 16\]\)",
    "callback": "True",
    "clip_context": r"\(1, 4, 256\) torch.Size\(\[1, 3, 4, 16, 16\]\)",
    "data_set": r"torch.Size\(\[3, 3, 4, 16, 16\]\)",
    "denoiser": r"TokenTransformer torch.Size\(\[1, 3, 4, 16, 16\]\)",
    "loss_term": "True",
    "metric": r"\d+\.\d grey levels",
    "sampler": r"torch.Size\(\[1, 3, 16, 64, 64\]\)",
}
ROWS = re.findall(r"^\| ([a-z ]+) \| `(\w+)` \| (.*) \|$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)


def test_each_example_is_known():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == PRINTED.keys()
    page = (ROOT / "docs" / "extending.md").read_text()
    for path in EXAMPLES.iterdir():
        assert f"(extending/{path.name})" in page


@pytest.mark.parametrize("name", sorted(PRINTED))
def test_an_example_runs(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    monkeypatch.setattr(sys, "argv", [name])
    path = EXAMPLES / f"{name}.py"
    assert len(path.read_text().splitlines()) < (100 if name == "action_condition" else 60)
    try:
        runpy.run_path(str(path), run_name="__main__")
    finally:
        SAMPLERS.pop("euler", None)
    assert re.search(PRINTED[name], capsys.readouterr().out)


def naming(part):
    """The files of the package and of its configurations in which a name stands, comments and docstrings included."""
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "configs").rglob("*.yaml")]
    return {str(path.relative_to(ROOT)) for path in files if re.search(rf"\b{part}\b", path.read_text())}


@pytest.mark.parametrize(("kind", "part", "listed"), ROWS, ids=[row[0] for row in ROWS])
def test_the_list_of_files_is_whole(kind, part, listed):
    named = set(re.findall(r"`([\w./]+)`", listed))
    # Whole runs choose among the parts, and protocols say which data sets they are of.
    complete = {path for path in naming(part) if path.count("/") == 1 or path.startswith("configs/evaluation/")}
    assert naming(part) - complete == named


def test_every_kind_is_in_the_list():
    assert [kind for kind, _, _ in ROWS] == ["denoiser", "sampler", "data set", "loss term", "metric", "callback"]
