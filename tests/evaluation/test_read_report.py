import json

import pytest

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.figures import DISTANCES, row_name
from pvdm_lightning.evaluation.read_report import ReadMetric, ReadReport, settings

ROW = {"name": "FVD 16", "key": "fvd_16", "value": 1.0, "network": None, "real_videos": 2, "generated_videos": 2}


def test_settings_are_named_by_their_path():
    assert settings({"a": {"b": [1, {"c": 2}], "d": {}}, "e": None}) == {"a.b.0": 1, "a.b.1.c": 2, "a.d": {}, "e": None}


@pytest.mark.parametrize("prefix", ["", "R-"])
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("frames", ["16", "16 of 128"])
def test_rows_of_one_selection_are_known_by_their_names(tmp_path, prefix, distance, frames):
    row = ReadMetric({**ROW, "name": row_name(distance, "i3d-original", frames, prefix)}, tmp_path)
    assert row.selection() == frames


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"[" * 10**5,
        *(
            json.dumps({"protocol": {}, "metrics": [], **changed}).encode()
            for changed in (
                {"protocol": []},
                {"metrics": 3},
                {"metrics": [3]},
                {"metrics": [{}]},
                *(
                    {"metrics": [ROW | one]}
                    for one in (
                        {"value": None},
                        {"value": float("nan")},
                        {"interval": [1]},
                        {"interval": [1, "x"]},
                        {"repeats": ["x"]},
                        {"network": {"file": "a"}},
                        {"features": {"real": [{}]}},
                    )
                ),
            )
        ),
    ],
)
def test_files_that_are_no_reports(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(
        InvalidArgumentError, match=r"^--reports .*: is no report of an evaluation \(.*\)\. Give a JSON"
    ):
        ReadReport.read(tmp_path / "a.json", "--reports")
