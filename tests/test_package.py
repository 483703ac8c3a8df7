"""The wheel and the source archive, built and used in a folder of their own."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import pvdm_lightning

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = built.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_has_what_a_user_needs_and_nothing_else(wheel):
    names = set(wheel.namelist())
    for needed in ("configs/ae.yaml", "configs/trainer/wandb.yaml", "py.typed", "showcase/model.safetensors"):
        assert f"pvdm_lightning/{needed}" in names, needed
    assert {name.split("/")[0].split("-")[0] for name in names} == {"pvdm_lightning"}


def test_its_description_has_no_link_that_leads_nowhere(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    text = wheel.read(name).decode()
    assert "Classifier: Typing :: Typed" in text and "Project-URL: Paper" in text
    description = text.partition("\n\n")[2]
    assert "## Install" in description and "](docs/" not in description and "](data/" not in description
    assert "[PVDM](https://arxiv.org/abs/2302.07685)" in description  # links of the web stay


def test_the_source_archive_has_what_the_readme_calls(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for needed in ("Makefile", "mkdocs.yml", "scripts/slurm.sh", "data/README.md", "benchmarks/__main__.py", "LICENSE"):
        assert needed in names, needed
    assert not [name for name in names if name.startswith(("runs/", ".venv", "data/latents"))]


def test_the_wheel_works_where_nothing_else_of_the_project_is(wheel, tmp_path):
    wheel.extractall(tmp_path / "site")
    code = (
        "import sys; sys.path = [p for p in sys.path if not p.endswith('/src')]; sys.path.insert(0, sys.argv.pop(1)); "
        "import pvdm_lightning; assert 'site' in pvdm_lightning.__file__; "
        "from pvdm_lightning.__main__ import main; main()"
    )
    done = []
    for arguments in (["--version"], ["fit", "--config", "demo_ae.yaml", "--print_config"]):
        command = [sys.executable, "-c", code, str(tmp_path / "site"), *arguments]
        done.append(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout)
    assert done[0] == f"pvdm {pvdm_lightning.__version__}\n"
    assert "latent_noise: 0.5" in done[1]
