"""Measures what the project costs and how good its samples are.

`python -m benchmarks NAME --help` explains one of these and its options:
"""

from __future__ import annotations

import argparse
import ast
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
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
say = sys.stdout.write


def overview() -> str:
    """A line for each benchmark: its name, and what its file says of it first."""
    files = {name: ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8")) for name in NAMES}
    firsts = {name: (ast.get_docstring(file) or "").partition("\n")[0] for name, file in files.items()}
    return "\n".join(f"  {name:16s}{first}" for name, first in firsts.items())


def unpack_missing(wheels: Path, folder: Path) -> list[str]:
    """Unpack the wheels whose package is not installed into a folder that is importable then; their names."""
    unpacked = []
    for wheel in sorted(wheels.glob("*.whl")):
        if find_spec(wheel.name.split("-")[0]) is None:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder)
            unpacked.append(wheel.name)
    return unpacked


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark that is named; a mistake ends in one line.

    Needs no installation: the package is imported from this checkout, and what it lacks from the folder .wheels.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    form = argparse.RawDescriptionHelpFormatter
    names = argparse.ArgumentParser(
        "python -m benchmarks", description=__doc__, epilog=overview(), formatter_class=form
    )
    names.add_argument("name", metavar="NAME", choices=NAMES, help="one of those below")
    name = names.parse_args(given[:1]).name
    with tempfile.TemporaryDirectory() as folder:
        source = str(HERE.parent / "src")
        sys.path[:] = [source, *(path for path in sys.path if path != source)]
        unpacked = unpack_missing(HERE.parent / ".wheels", Path(folder))
        if unpacked:
            sys.path.append(folder)
            say(f"not installed here, taken from .wheels: {', '.join(unpacked)}\n")
        _run(name, given[1:])


def _parser(program: str, description: str | None, epilog: str | None = None) -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(program, description=description, epilog=epilog, formatter_class=form)


def _run(name: str, given: list[str]) -> None:
    from pvdm_lightning.cpu.memory import keep_freed_memory, use_large_pages
    from pvdm_lightning.errors import InvalidArgumentError

    use_large_pages()
    keep_freed_memory()
    benchmark = import_module(f"benchmarks.{name}")
    options = _parser(f"python -m benchmarks {name}", benchmark.__doc__)
    benchmark.add_options(options)
    args = options.parse_args(given)
    try:
        benchmark.run(args)
    except InvalidArgumentError as error:
        options.error(str(error))


if __name__ == "__main__":
    main()
