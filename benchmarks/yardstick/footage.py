"""Measures of clips of any data set: nothing has to be known of what they show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy.stats import wasserstein_distance
from torch import Tensor
from torch.nn import functional as F

from benchmarks.yardstick.features import features_of
from benchmarks.yardstick.summary import Interval, interval, mean
from benchmarks.yardstick.table import Table
from pvdm_lightning import VideoPipeline
from pvdm_lightning.data.clips.clip_dataset import ClipDataset, spread_over
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.data.datamodules.clip_datamodule import ClipDataModule
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.metrics import FRAME_DIFFERENCES, FrozenNetwork, motion_ratio
from pvdm_lightning.metrics.feature_distances import (
    bootstrap,
    bootstrap_interval,
    frechet,
    nearest_real,
    polynomial_mmd,
)
from pvdm_lightning.pipeline.public_classes import DATA_MODULES, find_class

RESAMPLES = 100
MOST_TRAINED_ON = 4096
"""Training clips among which the nearest one is looked for."""


class Footage:
    """Clips of the data set that a pipeline was trained on.

    Args:
        pipeline: The pipeline.
        checkpoint: What messages call it.
        root: Folder of the set; None is where it was in training.

    Attributes:
        class_names: Names of the classes by label.

    Raises:
        InvalidArgumentError: It is not known what it was trained on, or that is not there.
    """

    def __init__(self, pipeline: VideoPipeline, checkpoint: str, root: str | None = None) -> None:
        data = pipeline.about.get("data") or {}
        if data.get("class_path") not in DATA_MODULES:
            problem = "does not say which of the project's data sets it was trained on"
            raise InvalidArgumentError("checkpoint", checkpoint, problem, "Name one that does.")
        options: dict[str, Any] = {**data.get("init_args", {}), "num_workers": 0}
        if root is not None:
            options["root"] = root
        self.data: ClipDataModule = find_class(data["class_path"])(**options)
        self.data.default_to(pipeline.clip_shape, 1)
        self.data.setup()
        self.class_names = self.data.class_names

    def clips(
        self, split: str, count: int, frames: int | None = None, label: int | None = None, draw: int = 0
    ) -> tuple[Tensor, np.ndarray]:
        """Clips uint8 [N 3 T H W] at random places of videos spread over a split, and their labels, int64 [N].

        Args:
            split: "train" or "val".
            count: Number of clips; several of each video if there are fewer videos.
            frames: Frames of a clip; None as in training.
            label: Class of all; None for any.
            draw: Another one has clips at other places.

        Raises:
            InvalidArgumentError: No video has that many frames, or is of that class.
        """
        samples = list(self._samples(split, count, frames, label, draw))
        return torch.stack([clip for clip, _ in samples]), np.array([label for _, label in samples])

    def longest(self, split: str) -> int:
        """Frames of the longest clip that a split has."""
        return int(self.data.clips(split).source.lengths.max() - 1) // self.data.stride + 1

    def trained_on(self) -> Tensor:
        """Thumbnails [N D] of training clips, two of each video, at most `MOST_TRAINED_ON`."""
        count = min(MOST_TRAINED_ON, 2 * len(self.data.clips("train")))
        return torch.cat([thumbnails(clip[None]) for clip, _ in self._samples("train", count)])

    def _samples(
        self, split: str, count: int, frames: int | None = None, label: int | None = None, draw: int = 0
    ) -> Iterator[tuple[Tensor, int]]:
        own = self.data.clips(split)
        windows = Windows(frames or own.windows.frames, self.data.stride)
        dataset = ClipDataset(own.source, windows, own.resolution, random_start=True, seed=self.data.seed)
        places = np.arange(len(dataset))
        if label is not None:
            places = places[dataset.source.labels[dataset.videos] == label]
        if not len(places):
            what = f"{split} video" + ("" if label is None else f" of class {self.class_names[label]}")
            problem = f"has no {what} of {dataset.windows.clip_span} frames"
            raise InvalidArgumentError("data", type(self.data).__name__, problem, "Add some.")
        for turn in range(-(-count // len(places))):
            for place in places[spread_over(len(places), count - turn * len(places))]:
                sample = dataset[turn, int(place), draw]
                yield sample["clip"], int(sample["label"])


class Classifier:
    """Logistic regression on standardised features.

    Args:
        features: Features of clips to train on, [N F].
        labels: Their classes, int64 [N].
        num_classes: Number of classes.
    """

    def __init__(self, features: Tensor, labels: np.ndarray, num_classes: int) -> None:
        self.mean, self.std = features.mean(dim=0), features.std(dim=0).clamp_min(1e-6)
        x, y = (features - self.mean) / self.std, torch.from_numpy(labels)
        self.weight = torch.zeros(num_classes, x.shape[1] + 1, dtype=x.dtype, requires_grad=True)
        optimizer = torch.optim.LBFGS([self.weight], max_iter=200, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimizer.zero_grad()
            value = F.cross_entropy(self._logits(x), y) + 1e-3 * self.weight.square().sum()
            value.backward()
            return value

        optimizer.step(loss)

    def _logits(self, standardised: Tensor) -> Tensor:
        return F.linear(standardised, self.weight[:, :-1], self.weight[:, -1])

    def __call__(self, features: Tensor) -> np.ndarray:
        """The most likely class of each row, int64 [N]."""
        with torch.no_grad():
            return self._logits((features - self.mean) / self.std).argmax(dim=1).numpy()


def thumbnails(clips: Tensor) -> Tensor:
    """Clips uint8 [N 3 T H W] averaged to 4 frames of 16 x 16, float32 [N D], grey levels."""
    return F.adaptive_avg_pool3d(clips.float(), (4, 16, 16)).flatten(1)


class FootageTable(Table):
    """Measures sets of clips beside those of a data set, and prints a row for each.

    Args:
        footage: The data set.
        network: What computes features.
        count: Clips of the reference, which are training clips.
        held_out: Other real clips, uint8 [N 3 T H W], which motion and nearest training clips are compared with.
    """

    def __init__(self, footage: Footage, network: FrozenNetwork, count: int, held_out: Tensor) -> None:
        super().__init__()
        self.network, self.names = network, footage.class_names
        clips, labels = footage.clips("train", count)
        self.reference = features_of(network, clips)
        self.classifier = None
        known = labels >= 0
        if len(set(labels[known])) > 1:
            self.classifier = Classifier(self.reference[known], labels[known], len(self.names))
        self.trained_on = footage.trained_on()
        self.motion, self.nearest = FRAME_DIFFERENCES(held_out), mean(self._nearest(held_out))
        self.right: dict[str, dict[str, Interval]] = {name: {} for name in (*self.names, "all")}

    def judge(self, name: str, clips: Tensor, labels: np.ndarray | None = None) -> None:
        """Print the row of a set of clips.

        Args:
            name: Name of the row.
            clips: uint8 [N 3 T H W].
            labels: The class that each is meant to show, int64 [N]; -1 for none.
        """
        features, moved = features_of(self.network, clips), FRAME_DIFFERENCES(clips)
        real_motion = self.motion[:, 0].tolist()
        row = {
            "Frechet": self._distance(frechet, features),
            "kernel": self._distance(lambda real, other: 1000 * polynomial_mmd(real, other).value, features),
            "motion": interval([*moved], lambda some: motion_ratio(self.motion, torch.stack([*some]))),
            "motions": interval(
                moved[:, 0].tolist(), lambda some: wasserstein_distance(some, real_motion) / mean(real_motion)
            ),
            "nearest": interval(self._nearest(clips), lambda some: mean(some) / self.nearest),
        }
        if labels is not None and self.classifier is not None:
            known = labels >= 0
            right = np.array(self.classifier(features[known]) == labels[known], dtype=float)
            for label, class_name in enumerate(self.names):
                self.right[class_name][name] = interval(right[labels[known] == label].tolist(), mean)
            row["class"] = self.right["all"][name] = interval(right.tolist(), mean)
        self.add(name, {**row, "class": row.get("class", (np.nan,) * 3)})

    def _distance(self, distance: Any, features: Tensor) -> Interval:
        value = distance(self.reference, features)
        generator = torch.Generator().manual_seed(0)
        again = bootstrap(distance, self.reference, features, RESAMPLES, generator)
        return (value, *bootstrap_interval(value, again, level=0.9))

    def _nearest(self, clips: Tensor) -> list[float]:
        return nearest_real(self.trained_on, thumbnails(clips)).distances.tolist()
