"""The parts of an evaluation, each alone."""

import json

import numpy as np
import pytest
import torch

from pvdm_lightning.data.clips.clip_dataset import ClipDataset
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.data.videos.array_videos import ArrayVideos
from pvdm_lightning.data.videos.source import ConcatVideos
from pvdm_lightning.data.videos.synthetic import SyntheticVideos
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.feature_networks import SkippedMetric
from pvdm_lightning.evaluation.generated_videos import GeneratedVideos
from pvdm_lightning.evaluation.lengths import choose_lengths
from pvdm_lightning.evaluation.processes import Processes
from pvdm_lightning.evaluation.protocol import fingerprint
from pvdm_lightning.evaluation.report import MeasuredMetric, Report
from pvdm_lightning.evaluation.video_folder import FirstFrames
from pvdm_lightning.metrics import FrozenNetwork

NETWORK = FrozenNetwork(torch.nn.Identity(), "random-weights (seed 0)", 4)


def test_lengths_of_the_paper():
    lengths = choose_lengths([128, 16], frame_step=8, inception_score=True)
    assert [selection.name for selection in lengths.selections] == ["FVD 16", "FVD 128", "FVD 16 of 128"]
    assert [selection.key for selection in lengths.selections] == ["fvd_16", "fvd_128", "fvd_16_of_128"]
    assert (lengths.inception, lengths.used, lengths.skipped) == (16, [16, 128], [])


def test_lengths_that_networks_cannot_take_are_left_out_by_name():
    lengths = choose_lengths([4, 12], frame_step=8, inception_score=True)
    assert [selection.name for selection in lengths.selections] == ["FVD 12"]
    assert [name for name, _ in lengths.skipped] == ["FVD 4", "IS"]
    assert lengths.inception is None


def test_the_table_and_the_json_say_the_same(tmp_path):
    metrics = [
        MeasuredMetric("FVD 16", "fvd_16", 343.6123, "lower", real=2048, generated=16, network=NETWORK),
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


def test_generated_videos_come_back_as_they_were(tmp_path):
    videos = GeneratedVideos(tmp_path, {"seed": 0})
    videos.prepare(2, (5, 4, 6))
    video = torch.randint(0, 256, (3, 5, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    videos.write(1, video)
    (videos.folder / ".video_00000.npy.partial-0123456789ab").write_bytes(b"half")
    assert videos.missing(3) == [0, 2]
    assert torch.equal(videos.read(1), video)
    assert GeneratedVideos(tmp_path, {"seed": 1}).missing(2) == [0, 1]
    (videos.folder / "video_00001.npy").write_bytes(b"")
    with pytest.raises(
        InvalidArgumentError, match=r"video_00001\.npy: cannot be read \(.*\)\. Remove the file and start again\."
    ):
        videos.read(1)


def test_a_disk_without_room_is_refused(tmp_path):
    with pytest.raises(
        InvalidArgumentError, match=r"^Evaluation\.dir \S+: 2,048 videos of 128 x 65536 x 65536 need .* GiB are"
    ):
        GeneratedVideos(tmp_path, {}).prepare(2048, (128, 65536, 65536))


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_processes_share_everything_once(world_size):
    shares = [Processes(rank, world_size).share(list(range(8))) for rank in range(world_size)]
    assert sorted(number for share in shares for number in share) == list(range(8))


def test_a_fingerprint_is_the_videos(tmp_path):
    def of(source, frames=4):
        return fingerprint(ClipDataset(source, Windows(frames), (8, 8), random_start=True))

    first = SyntheticVideos(0, 4, 16, seed=0)
    assert of(first) == of(SyntheticVideos(0, 4, 16, seed=0))
    others = [SyntheticVideos(1, 4, 16, 0), SyntheticVideos(0, 5, 16, 0), SyntheticVideos(0, 4, 17, 0)]
    others += [SyntheticVideos(0, 4, 16, seed=1), ConcatVideos([first, first]), FirstFrames(first, 6)]
    assert len({of(first), *map(of, others)}) == 1 + len(others)

    def save(name, pixel):
        np.save(tmp_path / name, np.full((6, 8, 8, 3), pixel, dtype=np.uint8))
        return of(ArrayVideos(tmp_path, ["a.npy", "b.npy"][: 1 if name == "a.npy" else 2]))

    assert len({save("a.npy", 0), save("a.npy", 1), save("b.npy", 0), save("b.npy", 1)}) == 4
