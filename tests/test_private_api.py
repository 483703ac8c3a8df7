"""What is used of other packages beyond their public API is what the table in ARCHITECTURE.md says, file by file."""

import ast
import importlib
import inspect
import re
import textwrap
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

import pvdm_lightning

ROOT = Path(pvdm_lightning.__file__).parent
DOCUMENT = Path(__file__).parents[1] / "ARCHITECTURE.md"
PUBLIC = {"_asdict", "_exit", "_replace"}  # of os, and of named tuples: documented, in spite of their names


def is_private(name):
    return name.startswith("_") and not name.endswith("__") and name != "_"


def trees():
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in sorted(ROOT.rglob("*.py"))}


def defined(tree):
    """Names that a file gives to functions, classes, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr


def used(tree):
    """Attributes that a file reads or sets, names that it imports, and the parts of modules that it imports from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
            yield from (node.module or "").split(".")


def inherited():
    """(name, file) of private names that a class shares with a base class from another package."""
    for file, tree in trees().items():
        module = importlib.import_module(".".join(["pvdm_lightning", *Path(file).with_suffix("").parts]))
        for node in ast.walk(tree):
            cls = getattr(module, node.name, None) if isinstance(node, ast.ClassDef) else None
            if not inspect.isclass(cls) or cls.__module__ != module.__name__:
                continue
            mine = {name for name in [*defined(node), *used(node)] if is_private(name)}
            for base in cls.__mro__[1:]:
                package = base.__module__.split(".")[0]
                if package in ("lightning", "torch", "jsonargparse", "torchmetrics"):
                    yield from ((name, file) for name in mine & _defined_by(base))


@cache
def _defined_by(cls):
    try:
        source = textwrap.dedent(inspect.getsource(cls))
    except OSError:  # a class of C++, such as the base of autograd's functions
        source = ""
    return set(defined(ast.parse(source)))


@pytest.fixture(scope="module")
def found():
    """Private name of another package -> files that use it."""
    files, sources = defaultdict(set), trees()
    for name, file in inherited():
        files[name].add(file)
    own = {name for tree in sources.values() for name in defined(tree)} - files.keys()
    for file, tree in sources.items():
        for name in filter(is_private, used(tree)):
            if name not in own | PUBLIC:
                files[name].add(file)
    return dict(files)


@pytest.fixture(scope="module")
def table():
    """Private name -> files of the table's row."""
    rows = {}
    section = DOCUMENT.read_text().partition("## Private API")[2].partition("\n## ")[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and "`" in cells[1]:
            parts = [part for code in re.findall(r"`([^`]+)`", cells[1]) for part in code.split(".")]
            for name in filter(is_private, parts):
                rows.setdefault(name, set()).update(file.strip() for file in cells[2].split(","))
    return rows


def test_the_table_is_what_the_code_uses(found, table):
    assert found == table


def test_another_packages_private_name_is_seen():
    tree = ast.parse("from lightning._x import y\ntrainer._hidden.value = 1\n")
    assert {name for name in used(tree) if is_private(name)} == {"_x", "_hidden"}
