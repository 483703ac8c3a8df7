"""The arrows of ARCHITECTURE.md: which package imports which."""

import ast
from pathlib import Path

import pytest

import pvdm_lightning

ROOT = Path(pvdm_lightning.__file__).parent
# What each part may import, and does: an arrow that nothing uses is not allowed either.
ALLOWED = {
    "escaping": set(),
    "errors": {"escaping"},
    "memory": {"errors"},
    "config": {"errors"},
    "foreign_config": {"escaping"},
    "foreign_files": set(),
    "atomic_write": set(),
    "output_lock": {"atomic_write", "errors"},
    "printing": {"escaping"},
    "stopping": set(),
    "random": set(),
    "pretrained_files": set(),
    "shipped": set(),
    "pretrained": {"errors", "pretrained_files"},
    "checksum": set(),
    "download": {"atomic_write", "checksum", "escaping", "foreign_files", "output_lock"},
    "cpu": {"models"},
    "gpu": {"models"},
    "models": {"errors", "config"},
    "diffusion": {"errors", "random", "config", "models"},
    "losses": {"config", "errors", "foreign_files", "models", "pretrained", "pretrained_files"},
    "metrics": {"errors", "foreign_files", "models", "pretrained", "pretrained_files", "checksum"},
    "data": {"errors", "memory", "escaping", "foreign_files", "atomic_write", "checksum", "output_lock", "pretrained"},
    "convert": {"foreign_files", "models", "metrics", "pretrained_files"},
    "pipeline": {
        *{"errors", "escaping", "config", "foreign_config", "foreign_files", "atomic_write", "random", "models"},
        *{"memory", "diffusion"},
    },
    "training": {
        *{"errors", "config", "foreign_config", "output_lock", "random", "models", "losses", "diffusion", "metrics"},
        *{"pipeline", "escaping"},
    },
    "evaluation": {
        *{"errors", "memory", "atomic_write", "printing", "pretrained", "data", "metrics", "convert", "pipeline"},
        *{"training", "escaping", "models", "checksum", "foreign_files", "shipped"},
    },
    "callbacks": {"atomic_write", "errors", "escaping", "data", "metrics", "pipeline", "training"},
    "cli": {
        *{"config", "escaping", "foreign_files"},
        *{"errors", "foreign_config", "atomic_write", "output_lock", "printing", "cpu", "data", "convert", "models"},
        *{"pipeline", "gpu", "metrics"},
        *{"training", "evaluation", "callbacks", "pretrained", "pretrained_files", "checksum", "download"},
        *{"stopping", "shipped"},
    },
    "__main__": {"cpu", "cli", "stopping"},
}
WITH_LIGHTNING = {"training", "evaluation", "callbacks", "cli"}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "pvdm_lightning")


def files():
    return [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_follow_the_arrows(path):
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    for name in imported(path):
        if name.startswith("pvdm_lightning."):
            other = name.split(".")[1]
            if other in ("__version__", "PUBLIC"):
                continue
            assert other == part or other in ALLOWED[part], f"{part} imports {other}"
        if name.split(".")[0] == "lightning":
            assert part in WITH_LIGHTNING or path.parent.name == "datamodules", f"{path.name} imports lightning"


@pytest.mark.parametrize("part", ALLOWED)
def test_every_arrow_is_used(part):
    inside = [path for path in files() if path.relative_to(ROOT).parts[0].removesuffix(".py") == part]
    used = {name.split(".")[1] for path in inside for name in imported(path) if name.startswith("pvdm_lightning.")}
    assert ALLOWED[part] <= used


def test_every_part_is_in_the_map():
    assert {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in files()} == ALLOWED.keys()


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_what_few_commands_need_is_not_loaded_with_the_package(path):
    """A machine without video libraries trains from drawn videos and cached latents."""
    tree = ast.parse(path.read_text())
    for node in tree.body:  # not what stands in a function, nor under TYPE_CHECKING
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
            assert {name.split(".")[0] for name in names}.isdisjoint({"av", "decord", "lpips", "torchvision"})


TESTS = Path(__file__).parent
NO_ROOM = {"benchmarks", "end_to_end", "parity"}
"""Folders of tests that are those of no folder of the package."""
OF_THE_REPOSITORY = {"architecture", "configs", "documentation", "extending", "package", "private_api"}


@pytest.mark.parametrize("path", sorted(TESTS.rglob("test_*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_tests_mirror_the_package(path):
    """test_NAME.py or test_NAME_TOPIC.py stands where NAME, a module, a folder or the folder that it is in, stands."""
    folder = path.parent.relative_to(TESTS)
    if folder.parts[:1] and folder.parts[0] in NO_ROOM:
        return
    room = ROOT / folder
    assert room.is_dir(), f"the package has no folder {folder}"
    names = {entry.stem for entry in room.iterdir()} | ({room.name} if folder.parts else OF_THE_REPOSITORY)
    name = path.stem.removeprefix("test_")
    assert any(name == known or name.startswith(f"{known}_") for known in names), f"{folder} has no {name}"


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_tests_are_not_typed(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name != "forward":  # whose types TorchScript reads
            given = [*node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
            typed = node.returns is not None or any(arg is not None and arg.annotation for arg in given)
            assert not typed, f"{node.name}, line {node.lineno}"
