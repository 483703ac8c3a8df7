import os

import pytest

from pvdm_lightning import cli
from pvdm_lightning.cli.compilation import prepare_compilation
from pvdm_lightning.errors import InvalidArgumentError


@pytest.fixture
def compilers(monkeypatch, tmp_path):
    """`compilers(*names)`: those that a search finds; none is named by the environment, which is restored later."""
    for name in ("CC", "CXX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")  # so that monkeypatch removes what is set later
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    monkeypatch.setenv("PVDM_CACHE", str(tmp_path))

    def put(*names):
        for name in names:
            (tmp_path / name).write_text("")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return put


def test_compiled_code_is_kept_in_the_projects_cache(compilers, tmp_path):
    compilers("g++")
    prepare_compilation("cpu")
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "compiled")


def test_a_cache_that_the_user_chose_stays(compilers, monkeypatch):
    compilers("clang")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/elsewhere")
    prepare_compilation("cuda")
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "/elsewhere"


@pytest.mark.parametrize(
    ("device", "there", "given", "missing"),
    [("cpu", "gcc", {}, r"g\+\+"), ("cuda", "g++", {}, "gcc"), ("cpu", "g++", {"CXX": "icpx -O2"}, "icpx")],
)
def test_a_missing_compiler_is_one_line(compilers, monkeypatch, device, there, given, missing):
    compilers(there)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(
        InvalidArgumentError, match=rf"^--compile true: needs the compiler {missing}, which .* false\.$"
    ):
        prepare_compilation(device)
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ


def test_the_command_says_it_and_leaves_no_run(compilers, monkeypatch, tmp_path, capsys):
    compilers()
    monkeypatch.chdir(tmp_path)
    options = ["--data.num_videos", "2", "--trainer.accelerator", "cpu", "--compile", "true"]
    with pytest.raises(SystemExit) as ended:
        cli.main(["fit", "--config", "demo_ae.yaml", *options])
    assert ended.value.code == 2
    assert "--compile true: needs the compiler" in capsys.readouterr().err
    assert not list(tmp_path.glob("runs/*/*"))
