"""Reports with features beside them, without videos or networks."""

import pytest
import torch

from pvdm_lightning.evaluation import figures
from pvdm_lightning.evaluation.features import ClipFeatures, ClipId
from pvdm_lightning.evaluation.figures import Figures
from pvdm_lightning.evaluation.lengths import Selection
from pvdm_lightning.evaluation.report import FeatureFile, Report

NETWORK = {"name": "i3d-original", "file": "i3d.pt", "sha256": "0" * 64}


def _features(seed, count, shift=0.0, width=4, start=0, fps=0.0):
    values = shift + torch.randn(count, width, generator=torch.Generator().manual_seed(seed + 100 * start))
    clips = [ClipId(f"{number}.mp4", f"sha256:{seed}-{number}", start, 1, 16, fps) for number in range(count)]
    return ClipFeatures(values, clips, {"network": NETWORK, "measured_frames": 16, "frame_step": 1, "length": 16})


@pytest.fixture
def features():
    """`features(seed, count, ...)`: random ones, of clips of videos of that seed."""
    return _features


@pytest.fixture
def write_report(tmp_path):
    """`write_report(name, real=(seed, count), generated=(seed, count, shift), ...)`: path of the JSON file."""

    def write(
        name, real=(0, 80), generated=(1, 80, 1.0), distances=("frechet",), bootstrap=20, keep=True, fps=0.0, **settings
    ):
        """Settings of a side are those of its clips, others are of the protocol."""
        sides = {"real": _features(*real, fps=fps), "generated": _features(*generated)}
        folder = tmp_path / name
        files = {}
        for side, those in sides.items():
            those.record["clips"] = {"count": len(those), "stride": 1, **settings.pop(f"{side}_clips", {})}
            path = folder / "features" / f"{side}.safetensors"
            those.save(path)
            files[side] = [FeatureFile(path.relative_to(folder).as_posix(), those.list_hash)]
        rows, _ = figures.distances(
            *([those] for those in sides.values()),
            Selection(16, 16),
            NETWORK,
            Figures(distances, bootstrap),
            torch.device("cpu"),
        )
        if not keep:
            for side in sides:
                (folder / files[side][0].file).unlink()
        protocol = {"generated": name, "versions": {"torch": name}, **settings}
        return Report("", protocol, [row.with_features(files) for row in rows]).write(folder, "report")

    return write
