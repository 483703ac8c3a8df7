import json

from pvdm_lightning.evaluation.feature_networks import SkippedMetric
from pvdm_lightning.evaluation.report import MeasuredMetric, Report

NETWORK = {"name": "random-weights (seed 0)", "file": None, "sha256": None}


def test_the_table_and_the_json_say_the_same(tmp_path):
    metrics = [
        MeasuredMetric(
            "FVD 16", "fvd_16", 343.6123, "lower", real=2048, generated=16, network=NETWORK, distance="frechet"
        ),
        MeasuredMetric("IS", "is", 74.4, "higher", generated=2048, spread=1.25, network=NETWORK),
        MeasuredMetric("loss", "loss", 0.01234567, "lower"),
    ]
    report = Report("A title", {"count": 2048}, metrics, [SkippedMetric("LPIPS", "no file.")], ["a note."])
    assert report.table().splitlines() == [
        "A title",
        "",
        "metric    value   real  generated  network                  meaning",
        "FVD 16   343.61  2,048         16  random-weights (seed 0)  lower",
        "IS        74.40      -      2,048  random-weights (seed 0)  higher; std over splits 1.25",
        "loss    0.01235      -          -  -                        lower",
        "",
        "skipped: LPIPS: no file.",
        "note: a note.",
        "note: FVD of 16 videos: not comparable with FVD of 2,048.",
    ]
    content = json.loads(report.write(tmp_path, "model").read_text())
    assert [metric["value"] for metric in content["metrics"]] == [343.6123, 74.4, 0.01234567]
    assert content["metrics"][1]["std_over_splits"] == 1.25
    assert content["notes"][-1] == "FVD of 16 videos: not comparable with FVD of 2,048."
    assert [*report.scalars()] == ["test/fvd_16/random-weights_seed_0_", "test/is/random-weights_seed_0_", "test/loss"]


def test_other_protocols_go_into_other_files(tmp_path):
    paths = {Report("", {"count": count}).write(tmp_path, "model") for count in (2, 3, 3)}
    assert len(paths) == 2
