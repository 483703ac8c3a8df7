"""Networks over videos: features on the disk, the same from any batches and processes."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from pvdm_lightning.evaluation.distances import VideoDistances
from pvdm_lightning.evaluation.feature_networks import FoundNetworks
from pvdm_lightning.evaluation.features import ClipFeatures, generated_clips
from pvdm_lightning.evaluation.figures import Figures
from pvdm_lightning.evaluation.lengths import choose_lengths
from pvdm_lightning.evaluation.processes import Processes
from pvdm_lightning.metrics import FrechetVideoDistance, FrozenNetwork

COUNT = 7


class Colours(nn.Module):
    """Mean colours of the frames, weighted: features that see order."""

    def __init__(self, classes=0):
        super().__init__()
        self.classes = classes

    def forward(self, videos):
        means = videos.float().mean(dim=(3, 4)) / 25
        weighted = torch.cat([means.mean(dim=2), means[:, :, -1] - means[:, :, 0]], dim=1)
        return weighted[:, : self.classes].log_softmax(dim=1) if self.classes else weighted


NETWORKS = FoundNetworks([FrozenNetwork(Colours(), "i3d-original", 6)], [FrozenNetwork(Colours(4), "classes", 4)])


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PVDM_CACHE", str(tmp_path / "cache"))


def videos(seed, frames=18):
    return torch.randint(
        0, 256, (COUNT, 3, frames, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def measured(folder, ranks=1, batch=3, seeds=(0, 1), draws=1, **options):
    """Distances of two random sides; processes are threads here."""
    barrier, said = threading.Barrier(ranks), []

    def broadcast(rank, value):
        if rank == 0:
            said.append(value)
        barrier.wait()
        value = said[-1]
        barrier.wait()
        return value

    def work(rank):
        lengths = choose_lengths([16, 18], 2, inception_score=True, networks=NETWORKS.video)
        wanted = Figures(**{"bootstrap": 0, "inception_splits": 2, **options})
        processes = Processes(rank, ranks, lambda value: broadcast(rank, value), barrier.wait)
        distances = VideoDistances(lengths, NETWORKS, wanted, folder, torch.device("cpu"), processes)
        for side, seed, repeats in zip(("real", "generated"), seeds, (draws, 1)):
            for length, draw in itertools.product(lengths.used, range(repeats)):
                those = videos(seed + 10 * draw)
                if distances.begin(side, length, {"count": COUNT, "seed": seed + 10 * draw, "frames": length}):
                    for numbers in torch.arange(rank, COUNT, ranks).split(batch):
                        distances.add(side, length, those[numbers], numbers)
                    clips = generated_clips(range(COUNT), str(seed), length)
                    distances.end(side, length, lambda: clips)  # noqa: B023
        return distances.metrics()

    with ThreadPoolExecutor(ranks) as pool:
        first, *_ = pool.map(work, range(ranks))
    return first


def test_the_figure_is_that_of_the_metric(tmp_path):
    metrics, skipped = measured(tmp_path)
    assert [metric.name for metric in metrics] == ["FVD 16", "FVD 18", "FVD 9 of 18", "IS"] and not skipped
    for metric, (frames, step) in zip(metrics, ((16, 1), (18, 1), (9, 2))):
        known = FrechetVideoDistance(NETWORKS.video[0], frames, step)
        known.update(videos(0), real=True)
        known.update(videos(1), real=False)
        assert metric.value == pytest.approx(known.compute().item(), rel=1e-9)
        assert (metric.real, metric.generated) == (COUNT, COUNT)
    for files in metrics[2].features.values():
        features = ClipFeatures.load(tmp_path / files[0].file)
        assert features.clips[5][2:] == (0, 2, 9, 0) and features.list_hash == files[0].clips_hash
        assert features.record["network"]["name"] == "i3d-original"
    assert not list(tmp_path.glob("*partial*"))


def test_batches_and_processes_change_nothing(tmp_path):
    one, _ = measured(tmp_path / "one", batch=7)
    three, _ = measured(tmp_path / "three", ranks=3, batch=2, seeds=(0, 1))
    names = sorted(path.name for path in (tmp_path / "one/features").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "three/features").iterdir())
    assert [metric.value for metric in three] == [metric.value for metric in one]
    for name in names:
        a, b = (ClipFeatures.load(tmp_path / folder / "features" / name) for folder in ("one", "three"))
        assert torch.equal(a.values, b.values) and a.clips == b.clips


def test_real_features_are_measured_once(tmp_path, monkeypatch):
    first, _ = measured(tmp_path / "one")
    add = VideoDistances.add

    def generated_only(self, side, *rest):
        assert side == "generated"
        add(self, side, *rest)

    monkeypatch.setattr(VideoDistances, "add", generated_only)
    again, _ = measured(tmp_path / "again")
    assert [metric.content() for metric in again] == [metric.content() for metric in first]


def test_repeated_draws_give_mean_and_spread(tmp_path):
    (both, *_), _ = measured(tmp_path / "both", draws=3)
    alone = [measured(tmp_path / str(draw), seeds=(10 * draw, 1))[0][0].value for draw in range(3)]
    assert both.repeats == pytest.approx(alone, rel=1e-9)
    assert both.value == pytest.approx(sum(alone) / 3, rel=1e-9)
    assert len(both.features["real"]) == 3 and len(both.features["generated"]) == 1
