"""A closed or full stdout does no harm."""

import subprocess
import sys

import pytest

PROGRAM = """
from pathlib import Path
from pvdm_lightning.printing import print_result
print_result('x' * 100_000)
print_result('more')
Path('done').touch()
"""


@pytest.mark.parametrize("command", ["{} | head -c 1", "{} > /dev/full", "{} >&-"])
def test_a_stdout_that_takes_nothing(tmp_path, command):
    (tmp_path / "program.py").write_text(PROGRAM)
    line = command.format(f"{sys.executable} program.py")
    done = subprocess.run(["bash", "-o", "pipefail", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "done").exists() and "Traceback" not in done.stderr


def test_a_locale_without_the_letters():
    program = "from pvdm_lightning.printing import print_result\nprint_result('caf\\xe9')"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, env={"PYTHONIOENCODING": "ascii"}, check=True
    )
    assert done.stdout == rb"caf\xe9"
