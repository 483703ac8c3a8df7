"""The documentation is built without a warning, and nothing in it points to a file that is absent."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "data/README.md"])
NOTEBOOKS = sorted(ROOT.glob("docs/notebooks/*.ipynb"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder), "--quiet"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_the_site_has_the_files_of_the_repository_and_the_api(site):
    assert "Use it from Python" in (site / "index.html").read_text()
    for page in ("data", "training", "faults", "architecture", "contributing", "notebooks/sample_and_continue"):
        assert (site / page / "index.html").is_file(), page
    assert "num_inference_steps" in (site / "api/pipeline/index.html").read_text()
    assert "TriplaneUNet" in (site / "api/models/index.html").read_text()
    assert (site / "showcase.webp").is_file() and (site / "scripts/slurm.sh").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not target.startswith(("http:", "https:")):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_were_run_as_they_stand(path):
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert outputs and all(output["output_type"] != "error" for output in outputs)
    text = "".join("".join(output.get("text", [])) for output in outputs)
    assert "pvdm: error" not in text and "Traceback" not in text
    assert "/work/" not in text and "/root/" not in text and "/tmp/" not in text  # of the machine that ran it


def test_citation_names_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert f'version = "{citation["version"]}"' in (ROOT / "pyproject.toml").read_text()
    assert citation["preferred-citation"]["year"] == 2023
