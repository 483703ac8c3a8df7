"""The documentation is built without a warning, and nothing in it names or points to what is absent."""

import argparse
import ast
import importlib
import inspect
import io
import json
import pkgutil
import re
import subprocess
import sys
from contextlib import redirect_stderr
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

import pvdm_lightning
from pvdm_lightning.cli.console.completion import completion_script

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from benchmarks import __main__ as benchmarks  # noqa: E402

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
    assert "First videos without training" in (site / "index.html").read_text()
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


# Names that documents may use though no code has them: what users, other programs and the web call things.
FOREIGN = {
    *{"my_package", "MyData", "_scaled_dot_product_flash_attention_for_cpu"},
    *{"MKL_CBWR", "DeviceMesh", "_TrainingEpochLoop", "SummaryWriter", "_4"},
}
WRITTEN = {"gpu/", ".wheels/", "evaluation/", "checkpoints/", "config.yaml", "gpu.md"}
"""Files and folders that commands write or users provide."""


def _code_names():
    """Every identifier of the code, its strings and configurations; comments and docstrings do not count."""
    names = set()
    for path in (*ROOT.glob("src/**/*.py"), *ROOT.glob("benchmarks/**/*.py"), *ROOT.glob("tests/**/*.py")):
        tree = ast.parse(path.read_text())
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        strings = path.parts[len(ROOT.parts)] != "tests"  # a test may name what must not exist
        prose = {id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, documented) and _docstring(node)}
        for node in ast.walk(tree):
            for field in ("id", "attr", "arg", "name", "asname", "module"):
                if isinstance(getattr(node, field, None), str):
                    names.update(re.findall(r"\w+", getattr(node, field)))
            if strings and isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
                names.update(re.findall(r"\w+", node.value))
    for path in (*ROOT.glob("configs/**/*.yaml"), ROOT / "Makefile", ROOT / "pyproject.toml"):
        names.update(re.findall(r"\w+", path.read_text()))
    return names


def _docstring(node):
    return ast.get_docstring(node) is not None


@pytest.fixture(scope="module")
def code():
    """What documents may name: identifiers, files, options, commands."""
    script = completion_script("bash")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    files = [name for name in tracked if (ROOT / name).is_file()] or [
        str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file() and ".venv" not in path.parts
    ]
    parsers = {}
    for name in benchmarks.NAMES:
        parsers[name] = argparse.ArgumentParser()
        importlib.import_module(f"benchmarks.{name}").add_options(parsers[name])
    return SimpleNamespace(
        names=_code_names() | FOREIGN | {path.stem for path in (ROOT / "configs/evaluation").iterdir()},
        files={"/" + name for name in files},
        folders={f"/{parent}/" for name in files for parent in Path(name).parents},
        options={*re.findall(r"--[\w.]+", script), "--help", "--option.argument"},
        commands=set(re.search(r'pvdm\) words="([^"]*)"', script)[1].split()),
        targets=set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)),
        benchmarks=parsers,
        extras=set(re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)),
    )


def problems(span, code):
    """What a span of code in a document names though it is not there."""
    words = span.split()
    if words[0] == "pvdm" and len(words) > 1 and words[1] not in code.commands:
        yield f"no command of pvdm: {words[1]}"
    if words[0] == "make" and words[1] not in code.targets:
        yield f"no target of make: {words[1]}"
    if "-m benchmarks" in span:
        yield from _benchmark_problems(words[words.index("benchmarks") + 1 :], code)
        return
    own = {option for parser in code.benchmarks.values() for option in parser._option_string_actions}
    for word in words:
        if word.startswith("--"):
            word = re.split(r"\+?=", word)[0]
        if word.startswith("--") and word not in code.options | own | {"--torch-backend", "--logdir"}:
            if not any(option.startswith(word.removesuffix("*")) for option in code.options if word.endswith(".*")):
                yield f"no option: {word}"
        elif re.fullmatch(r"[\w./-]+(\.(py|yaml|md|sh|ipynb)|/)", word) and word not in WRITTEN:
            if not any(name.endswith("/" + word) for name in code.files | code.folders):
                yield f"no file or folder: {word}"
        elif re.fullmatch(r"\.\[\w+\]", word.strip('"')) and word.strip('."[]') not in code.extras:
            yield f"no extra: {word}"
        elif not re.search(r"^--|\.(pth?|rar|zip|txt|mpg|ckpt|json|png|html|npz|npy)$", word):
            # Of a class or an argument, as opposed to a word: it has an underscore or a capital inside.
            for name in re.findall(r"[A-Za-z_]\w*", word if "/" not in word else ""):
                if re.search(r"_|[a-z0-9][A-Z]", name) and name not in code.names and "." + name not in word:
                    yield f"no such name in the code: {name}"
            yield from _attribute_problems(word)


def _benchmark_problems(words, code):
    if words == ["NAME"]:
        return
    if not words or words[0] not in code.benchmarks:
        yield f"no benchmark: {words[:1]}"
    elif "--help" not in words:
        try:
            with redirect_stderr(io.StringIO()):
                code.benchmarks[words[0]].parse_args(
                    words[1:] or ["CHECKPOINT"] * (words[0] in ("quality", "samplers"))
                )
        except SystemExit:
            yield f"no such options: {' '.join(words)}"


def _attribute_problems(word):
    """`Class.attribute` of the public API, and `pvdm_lightning.module.function`."""
    found = re.match(r"(\w+)\.(\w+(?:\.\w+)*)", word)
    if found is None:
        return
    first, rest = found.groups()
    if first == "pvdm_lightning":
        try:
            pkgutil.resolve_name(found[0])
        except (ImportError, AttributeError) as error:
            yield f"{word}: {error}"
    elif first in CLASSES:
        cls = pkgutil.resolve_name(CLASSES[first])
        if not hasattr(cls, rest) and rest not in inspect.signature(cls).parameters:
            yield f"{first} has no {rest}"


def _classes():
    """Name of a class of the package -> where it is."""
    found = {}
    for path in ROOT.glob("src/pvdm_lightning/**/*.py"):
        module = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = f"{module}:{node.name}"
    return found


CLASSES = _classes()


def spans(page):
    """Inline code of a page, and the commands of benchmarks in its blocks."""
    text = page.read_text()
    for block in re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL):
        lines = [line.split("  #")[0] for line in block.splitlines()]
        yield from (line for line in lines if re.match(r"(\w+=\S+ )?python -m benchmarks ", line))
    for span in re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)):
        yield " ".join(span.split())


@pytest.mark.parametrize("page", [p for p in PAGES if p.name != "CHANGELOG.md"], ids=lambda p: str(p.relative_to(ROOT)))
def test_what_a_page_names_is_there(code, page):
    found = [problem for span in spans(page) for problem in problems(span, code)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("span", "problem"),
    [
        ("products/route.py", "no file or folder: products/route.py"),
        ("denoiser/", "no file or folder: denoiser/"),
        ("trainer/ddpp.yaml", "no file or folder: trainer/ddpp.yaml"),
        ("TriplaneNet", "no such name in the code: TriplaneNet"),
        ("axis_pools: true", "no such name in the code: axis_pools"),
        ("TriplaneUNet.axis_pools", "TriplaneUNet has no axis_pools"),
        ("pvdm_lightning.convert.load_i4d", "pvdm_lightning.convert.load_i4d"),
        ("--data.batch 4", "no option: --data.batch"),
        ("pvdm train", "no command of pvdm: train"),
        ("make demos", "no target of make: demos"),
        ('pip install -e ".[benchmarks]"', 'no extra: ".[benchmarks]"'),
        ("python -m benchmarks decoding", "no benchmark: ['decoding']"),
        ("python -m benchmarks speed --cpu-time", "no such options: speed --cpu-time"),
    ],
)
def test_what_is_gone_is_found(code, span, problem):
    assert any(found.startswith(problem) for found in problems(span, code))


def test_the_map_of_the_architecture_is_that_of_the_folders():
    """Each line that begins with a file or a folder, under the folder that it is indented below."""
    block = re.search(r"^```\n(.*?)^```", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE | re.DOTALL)[1]
    above = {}
    for line in block.splitlines():
        name, depth = line.split()[0], len(line) - len(line.lstrip())
        if depth > 8 or not name.endswith(("/", ".py")):
            continue
        path = above.get(max((d for d in above if d < depth), default=-1), ROOT) / name
        assert path.exists(), line
        above = {d: folder for d, folder in above.items() if d < depth} | {depth: path}


@pytest.mark.parametrize("path", sorted((ROOT / "src").rglob("*.py")), ids=lambda path: path.name)
def test_arguments_are_described_by_what_they_are(path):
    """Not "seed: Of the draws"."""
    assert not re.findall(r"^\s+[\w*]+: Of .*", path.read_text(), re.MULTILINE)
