"""Figures from files of features, without videos."""

import pytest
import torch

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.features import ClipFeatures
from pvdm_lightning.evaluation.figures import Figures
from pvdm_lightning.evaluation.kept_features import measure_features
from pvdm_lightning.metrics import frechet, polynomial_mmd

CPU = torch.device("cpu")


@pytest.fixture
def write(tmp_path, features):
    """`write(name, seed, **changes of the record)`: path of a file."""

    def call(name, seed=0, values="features", **changes):
        made = features(seed, 30)
        record = {**made.record, "side": "real", "values": values, **changes}
        numbers = made.values.log_softmax(dim=1) if values == "log-probabilities" else made.values
        path = tmp_path / "kept" / name
        ClipFeatures(numbers, made.clips, record).save(path)
        return str(path)

    return call


def test_distances_of_two_files(tmp_path, write):
    (tmp_path / "out").mkdir()
    paths = [write("a"), write("b", 1, side="generated")]
    report = measure_features(paths, Figures(["frechet", "kvd"], 10), tmp_path / "out", CPU)
    real, generated = (ClipFeatures.load(path).values for path in paths)
    assert [(row.name, row.value) for row in report.metrics] == [
        ("FVD 16", frechet(real, generated)),
        ("KVD 16", polynomial_mmd(real, generated).value),
    ]
    assert report.metrics[0].interval is not None and not report.notes
    assert (tmp_path / "out" / report.metrics[0].features["real"][0].file).samefile(paths[0])
    swapped = measure_features(paths[::-1], Figures(bootstrap=0), tmp_path, CPU)
    assert [note.rpartition(" has ")[2] for note in swapped.notes] == [
        "features of generated videos.",
        "features of real videos.",
    ]


def test_an_inception_score_of_one_file(tmp_path, write):
    report = measure_features([write("a", values="log-probabilities")], Figures(inception_splits=2), tmp_path, CPU)
    assert [row.name for row in report.metrics] == ["IS"] and report.metrics[0].spread > 0


def test_files_that_do_not_belong_together(tmp_path, write):
    network = {"name": "i3d-original", "file": None, "sha256": "1" * 64}
    for others, text in (
        ([], "are files of features. Give two of features, first the real one, or one of log-probabilities."),
        ([write("p", values="log-probabilities")], "are files of features and log-probabilities"),
        (
            [write("n", network=network)],
            "were measured by other networks or of other frames: i3d-original (SHA-256 000",
        ),
        ([write("f", measured_frames=9)], "16 frames | i3d-original (SHA-256 000000000000), 9 frames"),
        ([write("r", network=None)], "does not say what it was measured with (TypeError"),
        ([write("s", frame_step="x")], "does not say what it was measured with (ValueError"),
    ):
        with pytest.raises(InvalidArgumentError) as error:
            measure_features([write("a"), *others], Figures(), tmp_path, CPU)
        assert text in str(error.value) and str(error.value).startswith("measure_features.features ")
