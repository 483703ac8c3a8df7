"""Options of protocols lie below those of configurations and of the command line."""

import pytest
import yaml

from pvdm_lightning.cli.parser import build_parser, parse
from pvdm_lightning.cli.request import resolve
from pvdm_lightning.errors import InvalidArgumentError

FOLDERS = ["--real", "a", "--generated", "b"]


def options(*words):
    """Of `pvdm evaluate`."""
    request, parser = resolve(["evaluate", *FOLDERS, *words]), build_parser("evaluate")
    parser.set_defaults(request.defaults)
    return parser.instantiate(parse(parser, request.words))


def test_a_protocol_lies_below_configurations_and_options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = options("--evaluation.protocol", "latte")
    evaluation = found["evaluation"]
    assert (evaluation.real.stride, evaluation.generated.codec) == (3, "mp4_jpeg75")
    assert (evaluation.preparation.filter, evaluation.networks) == ("lanczos", ["i3d-stylegan-v", "c3d-ucf101"])
    assert found["resolution"] == 256
    content = {"evaluation": {"protocol": "lvdm", "real": {"stride": 2, "num": 7}}, "resolution": 64}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(content))
    found = options("--config", "own.yaml", "--evaluation.real.num", "9")
    evaluation = found["evaluation"]
    assert (evaluation.real.stride, evaluation.real.num, found["resolution"]) == (2, 9, 64)
    assert (evaluation.repeats, evaluation.repeat_over, evaluation.frames) == (10, "real", [16])
    assert found["metrics"].i3d_resize == "stretch"


def test_options_that_a_command_does_not_have_are_left_out():
    evaluate = resolve(["evaluate", *FOLDERS, "--evaluation.protocol=pvdm"]).defaults
    test = resolve(["test", "--evaluation.protocol", "pvdm"]).defaults
    assert "evaluation.split" not in evaluate and evaluate["resolution"] == 256
    assert test["evaluation.split"] == "train" and "resolution" not in test


def test_an_unknown_protocol_is_one_line():
    with pytest.raises(InvalidArgumentError, match="pvdmm: is no protocol. Did you mean pvdm"):
        resolve(["evaluate", *FOLDERS, "--evaluation.protocol", "pvdmm"])
