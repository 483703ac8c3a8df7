"""The documentation is built without a warning, and nothing in it points to a file that is absent."""

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml

import pvdm_lightning

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "data/README.md"])
NOTEBOOKS = sorted(ROOT.glob("docs/notebooks/*.ipynb"))


def build(config, folder):
    """`mkdocs build --strict`. Not with --quiet, which hides warnings from --strict as well."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "--site-dir", str(folder)]
    return subprocess.run(command, cwd=config.parent, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_a_warning_fails_the_build(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("::: wrong.divide\n")
    (tmp_path / "wrong.py").write_text(
        'def divide(x: float) -> float:\n    """Halve.\n\n    Args:\n        y: No argument of it.\n    """\n'
    )
    options = yaml.safe_load(re.sub("(?s).*(?=plugins:)|markdown_extensions:.*", "", (ROOT / "mkdocs.yml").read_text()))
    (docstrings,) = (plugin for plugin in options["plugins"] if "mkdocstrings" in plugin)
    docstrings["mkdocstrings"]["handlers"]["python"]["paths"] = ["."]
    config = {"site_name": "wrong", "plugins": [docstrings]}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(config))
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0 and "'y' does not appear in the function signature" in done.stderr


def test_the_site_has_the_files_of_the_repository(site):
    assert "Use it from Python" in (site / "index.html").read_text()
    for page in ("data", "training", "faults", "architecture", "contributing", "notebooks/sample_and_continue"):
        assert (site / page / "index.html").is_file(), page
    assert (site / "showcase.webp").is_file() and (site / "scripts/slurm.sh").is_file()


def test_every_public_name_is_listed_and_explained(site):
    page = (site / "api/pvdm_lightning/index.html").read_text()
    for name in set(pvdm_lightning.__all__) - {"__version__"}:
        (target,) = re.findall(rf'<a href="([^"]*)"><code>{name}</code></a>', page)
        path, _, anchor = target.rpartition("#")
        assert f'id="{anchor}"' in (site / "api/pvdm_lightning" / path / "index.html").read_text(), name


@pytest.mark.parametrize("package", ["diffusion", "losses", "data", "metrics", "pipeline", "training", "callbacks"])
def test_api_pages_show_what_a_package_exports(site, package):
    page = (site / f"api/{package}/index.html").read_text()
    shown = re.findall(rf'<h2 id="pvdm_lightning\.{package}\.([^"]*)"', page)
    assert sorted(shown) == sorted(import_module(f"pvdm_lightning.{package}").__all__)


def test_notebook_pages_show_pictures_in_place_of_objects(site):
    pages = [page.read_text() for page in site.glob("notebooks/*/index.html")]
    assert len(pages) == len(NOTEBOOKS) and sum(page.count("data:image/gif;base64,") for page in pages) == 1
    for page in pages:
        assert not re.search(r"&lt;[\w.]+ (object|at 0x|image mode)", page)


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
