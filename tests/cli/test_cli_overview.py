"""What `pvdm --help` says, and that it says so at once."""

import subprocess
import sys
from pathlib import Path

import pytest

from pvdm_lightning import __version__, cli
from pvdm_lightning.cli import commands
from pvdm_lightning.cli.commands import COMMANDS, function_of


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_every_command_is_listed(capsys, option):
    cli.main([option])
    said = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert f"  {name} " in said and command.about in said and command.example.startswith(f"pvdm {name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_a_file_with_its_function(name):
    assert function_of(name).__module__ == f"pvdm_lightning.cli.commands.{name.replace('-', '_')}"


def test_every_file_is_a_command():
    files = {path.stem.replace("_", "-") for path in Path(commands.__file__).parent.glob("*.py")} - {"--init--"}
    assert files == COMMANDS.keys()


def test_the_version(capsys):
    cli.main(["--version"])
    assert capsys.readouterr().out == f"pvdm {__version__}\n"


def test_pytorch_is_not_loaded():
    code = "import sys; from pvdm_lightning.__main__ import main; sys.argv[1:] = ['--help']; main()"
    code += "; assert 'torch' not in sys.modules"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")


def test_the_public_names():
    import pvdm_lightning

    assert {"VideoPipeline", "TriplaneUNet", "UCF101", "read_video"} <= set(dir(pvdm_lightning))
    for name in pvdm_lightning.__all__:
        assert getattr(pvdm_lightning, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = pvdm_lightning.Nothing
