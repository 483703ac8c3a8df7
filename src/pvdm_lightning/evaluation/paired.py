"""PSNR, SSIM and LPIPS of generated videos against the real ones of the same names, by each convention in use."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped]

from pvdm_lightning.data.clips.broken import BrokenVideos
from pvdm_lightning.data.clips.clip_dataset import Key, Sample
from pvdm_lightning.data.clips.clip_loader import ClipLoader
from pvdm_lightning.data.clips.sampler import EpochSampler
from pvdm_lightning.data.index.build_index import num_cores
from pvdm_lightning.errors import InvalidArgumentError, check_at_least
from pvdm_lightning.evaluation.feature_networks import FoundNetworks, SkippedMetric
from pvdm_lightning.evaluation.protocol import network_record, versions
from pvdm_lightning.evaluation.report import MeasuredMetric, Report
from pvdm_lightning.evaluation.video_folder import NO_OPTIONS, InputOptions, VideoFolder, open_both, some
from pvdm_lightning.memory import check_memory
from pvdm_lightning.metrics.frozen_network import FrozenNetwork
from pvdm_lightning.metrics.reconstruction import SSIM_WINDOW, psnr_of_error, squared_error_per_frame, ssim_per_frame

logger = logging.getLogger(__name__)

_TRAJECTORY = re.compile(r"(.*[^_/])[_/](\d+)")
"""Stem of one of several videos generated for one real video, such as x_0 or x/0."""


CROP = "centre crop to the aspect of the resolution, then antialiased bilinear resize, in uint8"
_OPTIONS = {"frames": "Evaluation.frames", "real_stride": "RealClips.stride"}
"""Arguments of pairs that are options of the evaluation."""


@dataclass(frozen=True)
class PairedProtocol:
    """How pairs of videos are compared.

    Attributes:
        frames: How many frames of each, from the first; None for all, which must be equally many.
        context_frames: The first frames of a prediction, which were given: they are left out.
        trajectories: What counts of several videos generated for one real video: the best one by each metric, the mean
            or the last one. None if there is one.
        real_stride: Source frames from one frame of a real video to the next.
        resolution: (height, width); None for the videos' own.
        num_workers: Processes that read videos; None for as many as there are cores, at most 8.
    """

    frames: int | None = None
    context_frames: int = 0
    trajectories: Literal["best", "mean", "last"] | None = None
    real_stride: int = 1
    resolution: tuple[int, int] | None = None
    num_workers: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("frames", 1), ("context_frames", 0), ("real_stride", 1), ("num_workers", 0)):
            check_at_least(_OPTIONS.get(name, f"measure_pairs.{name}"), getattr(self, name), least)


@dataclass(frozen=True)
class Pair:
    """A real video and what was generated for it.

    Attributes:
        name: Stem of the real video.
        real: Its number.
        generated: Numbers of the generated videos, in the order of their trajectories.
        frames: How many frames are compared, those of the context among them.
        resolution: (height, width) at which they are.
    """

    name: str
    real: int
    generated: Sequence[int]
    frames: int = 0
    resolution: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class _Measure:
    """A value of each frame, or of each video.

    Attributes:
        name: As people read it.
        key: As programs read it.
        meaning: Its convention.
        highest_is_best: Whether it is to be large.
        network: That measures, if one does.
    """

    name: str
    key: str
    meaning: str
    highest_is_best: bool
    network: FrozenNetwork | None = None


_PSNR_FRAME = _Measure("PSNR (frames)", "psnr_frame", "dB, per frame, then the mean over frames and videos", True)
_PSNR_VIDEO = _Measure("PSNR (videos)", "psnr_video", "dB, per video over all its pixels, then the mean", True)
_PSNR_POOLED = _Measure("PSNR (pooled)", "psnr_pooled", "dB of the mean squared error over all videos", True)
_SSIM = _Measure("SSIM", "ssim", f"Gaussian of {SSIM_WINDOW} pixels, valid area; per frame, then the mean", True)


def measure_pairs(
    real: str,
    generated: str,
    protocol: PairedProtocol,
    networks: FoundNetworks,
    device: torch.device,
    inputs: InputOptions = NO_OPTIONS,
) -> Report:
    """Compare generated videos with the real ones of the same names.

    Names are paths below the folders without suffixes. The generated videos x_0, x_1 and so on (or x/0, x/1) are
    trajectories of the real video x.

    Args:
        real: Folder or list of the real videos.
        generated: Folder or list of the generated ones.
        protocol: How.
        networks: Those of LPIPS; the metrics without one are skipped.
        device: Where they run.
        inputs: What holds of the two sides.

    Raises:
        InvalidArgumentError: No name is on both sides, there are several trajectories and the protocol does not say
            what counts, or pairs differ in size or length.
    """
    folders, notes = open_both(real, generated, "measure_pairs", inputs)
    of_folders = len(notes)
    pairs, unmatched = match(folders["real"], folders["generated"])
    for side, names in unmatched.items():
        if names:
            notes.append(f"{side}: {len(names)} videos have no partner and do not count: {some(names)}.")
    _check_trajectories(pairs, folders["generated"], protocol)
    pairs = _with_sizes(pairs, folders["real"], folders["generated"], protocol)
    pairs, too_short = _with_lengths(pairs, folders["real"], folders["generated"], protocol)
    if too_short:
        notes.append(
            f"{len(too_short)} pairs have fewer than {protocol.frames} frames and do not count: {some(too_short)}."
        )
    num = len(pairs[0].generated)
    counted = f"{len(pairs):,} pairs are compared" + (f", {num} trajectories of each" if num > 1 else "")
    for line in (*notes[of_folders:], counted):
        logger.info("%s", line)
    dataset = _PairDataset(pairs, folders["real"], folders["generated"], protocol)
    needed = max(
        (1 + len(pair.generated)) * 3 * pair.frames * pair.resolution[0] * pair.resolution[1] for pair in pairs
    )
    check_memory("Evaluation.frames", protocol.frames, 2 * needed, "the longest pair")
    lpips = [
        _Measure(name, key, "per frame, then the mean over frames and videos", False, network)
        for name, key, network in (
            ("LPIPS VGG", "lpips_vgg", networks.lpips),
            ("LPIPS Alex", "lpips_alex", networks.lpips_alex),
        )
        if network is not None
    ]
    skipped = list(networks.skipped)
    small = [pair.name for pair in pairs if min(pair.resolution) < SSIM_WINDOW]
    if small:
        skipped.append(SkippedMetric("SSIM", f"{some(small)}: smaller than its window of {SSIM_WINDOW} pixels."))
    scores = _Scores(protocol.trajectories or "mean", protocol.context_frames)
    failures = BrokenVideos(known=0, total=len(pairs), max_fraction=1.0)
    for sample in _samples(dataset, protocol, failures):
        pair = pairs[int(sample["index"])]
        ours, theirs = sample["generated"].to(device), sample["real"].to(device).expand_as(sample["generated"])
        errors = squared_error_per_frame(ours, theirs)
        scores.begin(pair, [folders["generated"].stems[index] for index in pair.generated])
        scores.add(_PSNR_FRAME, psnr_of_error(errors))
        scores.add(_PSNR_VIDEO, psnr_of_error(errors.mean(dim=1, keepdim=True)), has_frames=False)
        scores.add_error(errors, pixels=ours[0, :, 0].numel())
        if not small:
            scores.add(_SSIM, ssim_per_frame(ours, theirs))
        for measure in lpips:
            scores.add(measure, _distances(measure.network, ours, theirs))  # type: ignore[arg-type]
    if failures.reasons:
        notes.append(f"{len(failures.reasons)} pairs broke while they were read: {some(failures.reasons)}.")
    if not scores.videos:
        problem = "none of its pairs can be read"
        raise InvalidArgumentError(
            "measure_pairs.generated", generated, problem, "Find out why with `pvdm check-data`."
        )
    return Report(
        title=f"Videos of {generated} compared with those of the same names in {real}",
        protocol={
            "paired": True,
            "real": str(real),
            "generated": str(generated),
            "inputs": {side: folder.record() for side, folder in folders.items()},
            "pairs": len(pairs),
            "without_partner": {side: _counted(names) for side, names in unmatched.items()},
            "too_short": _counted(too_short),
            "frames": protocol.frames,
            "context_frames": protocol.context_frames,
            "real_stride": protocol.real_stride,
            "real_fps": inputs.real_fps,
            "num_trajectories": num,
            "trajectories": protocol.trajectories,
            "resolution": list(protocol.resolution) if protocol.resolution else None,
            "crop": CROP if protocol.resolution else None,
            "networks": [network_record(measure.network) for measure in lpips if measure.network],
            "versions": versions(),
        },
        metrics=scores.metrics(num),
        skipped=skipped,
        notes=notes,
        details={"videos": scores.videos, "per_frame": scores.curves()},
    )


def _counted(names: Sequence[str]) -> dict[str, Any]:
    return {"count": len(names), "examples": [*names[:3]]}


def match(real: VideoFolder, generated: VideoFolder) -> tuple[list[Pair], dict[str, list[str]]]:
    """The pairs of two folders, sorted by name, and the names on either side that have no partner.

    Raises:
        InvalidArgumentError: There is no pair.
    """
    names = {real.stems[index]: int(index) for index in real.readable}
    found: dict[str, list[tuple[int, int]]] = {}
    alone = []
    for index in generated.readable.tolist():
        stem = generated.stems[index]
        trajectory = _TRAJECTORY.fullmatch(stem)
        if stem in names:
            found.setdefault(stem, []).append((-1, index))
        elif trajectory and trajectory[1] in names:
            found.setdefault(trajectory[1], []).append((int(trajectory[2]), index))
        else:
            alone.append(stem)
    if not found:
        problem = (
            f"no video of it has the name of one of {real.argument} {real.root}: they are called "
            f"{some(alone)}, and those {some(names)}"
        )
        remedy = "Give them the names of the real videos, or x_0, x_1 and so on for several of one real video x."
        raise InvalidArgumentError(generated.argument, generated.root, problem, remedy)
    pairs = [Pair(name, names[name], [index for _, index in sorted(found[name])]) for name in sorted(found)]
    return pairs, {"real": sorted(set(names) - set(found)), "generated": sorted(alone)}


def _check_trajectories(pairs: Sequence[Pair], generated: VideoFolder, protocol: PairedProtocol) -> None:
    """Raise `InvalidArgumentError` if real videos have several and nobody says what counts, or not equally many."""
    least, most = (find(pairs, key=lambda pair: len(pair.generated)) for find in (min, max))
    where = f"{generated.argument} {generated.root}"
    if len(least.generated) != len(most.generated):
        problem = (
            f"{where} has {len(least.generated)} videos for {least.name} and {len(most.generated)} for {most.name}, "
            "and the best or the mean of more is another figure"
        )
        raise InvalidArgumentError(
            "measure_pairs.trajectories", protocol.trajectories, problem, "Give as many of each."
        )
    if len(most.generated) > 1 and protocol.trajectories is None:
        names = some(generated.stems[index] for index in most.generated)
        problem = f"{where} has {len(most.generated)} videos for each real one, such as {names} for {most.name}"
        raise InvalidArgumentError("measure_pairs.trajectories", None, problem, "Say what counts: best, mean or last.")


def _with_sizes(
    pairs: Sequence[Pair], real: VideoFolder, generated: VideoFolder, protocol: PairedProtocol
) -> list[Pair]:
    """The pairs with their sizes; raises `InvalidArgumentError` if sizes differ and none is given."""
    sized, unequal = [], []
    for pair in pairs:
        sizes = [real.video_sizes[pair.real], *(generated.video_sizes[index] for index in pair.generated)]
        if protocol.resolution is None and len(set(sizes)) > 1:
            unequal.append((pair.name, sizes[0], next(size for size in sizes if size != sizes[0])))
        sized.append(Pair(pair.name, pair.real, pair.generated, resolution=protocol.resolution or sizes[0]))
    if unequal:
        name, first, second = unequal[0]
        sizes_of_it = f"{first[0]} x {first[1]} and {second[0]} x {second[1]}"
        problem = f"is not given, and the videos of {len(unequal)} pairs differ in size, such as {name}: {sizes_of_it}"
        raise InvalidArgumentError(
            "measure_pairs.resolution", None, problem, "Give the height and width to compare at."
        )
    return sized


def _with_lengths(
    pairs: Sequence[Pair], real: VideoFolder, generated: VideoFolder, protocol: PairedProtocol
) -> tuple[list[Pair], list[str]]:
    """The pairs with the number of frames to compare, and the names of those with fewer than the protocol's.

    Raises:
        InvalidArgumentError: Lengths differ and none is given, all are shorter, or nothing is left after the context.
    """
    found, too_short, unequal = [], [], []
    for pair in pairs:
        of_real = -(-int(real.source.lengths[pair.real]) // protocol.real_stride)
        lengths = [of_real, *(int(generated.source.lengths[index]) for index in pair.generated)]
        shortest = min(lengths)
        if protocol.frames is None and len(set(lengths)) > 1:
            unequal.append(
                (pair.name, lengths[0], next(length for length in lengths if length != lengths[0]), shortest)
            )
        if protocol.frames is not None and shortest < protocol.frames:
            too_short.append(pair.name)
        else:
            length = protocol.frames or shortest
            found.append(Pair(pair.name, pair.real, pair.generated, length, pair.resolution))
    if unequal:
        name, first, second, _ = unequal[0]
        common = min(shortest for *_, shortest in unequal)
        problem = (
            f"is not given, and the videos of {len(unequal)} pairs differ in length, such as {name}: the real one has "
            f"{first} frames, the generated one {second}"
        )
        remedy = f"Give how many to compare from the first, such as {common}."
        raise InvalidArgumentError("Evaluation.frames", None, problem, remedy)
    if not found:
        problem = f"all pairs have fewer, such as {some(too_short)}"
        raise InvalidArgumentError("Evaluation.frames", protocol.frames, problem, "Give fewer.")
    shortest_pair = min(found, key=lambda pair: pair.frames)
    if protocol.context_frames >= shortest_pair.frames:
        problem = f"leaves no frame of {shortest_pair.name}, of which {shortest_pair.frames} are compared"
        raise InvalidArgumentError(
            "measure_pairs.context_frames", protocol.context_frames, problem, "Give as many as were given to the model."
        )
    return found, too_short


class _PairDataset(torch.utils.data.Dataset[Sample]):
    """Pairs as samples: ``real`` uint8 [3 T H W], ``generated`` uint8 [K 3 T H W], without frames of the context."""

    seed = 0

    def __init__(
        self, pairs: Sequence[Pair], real: VideoFolder, generated: VideoFolder, protocol: PairedProtocol
    ) -> None:
        self.pairs, self.real, self.generated = pairs, real.source, generated.source
        self.context, self.stride = protocol.context_frames, protocol.real_stride
        self.videos = np.arange(len(pairs))

    def __len__(self) -> int:
        return len(self.pairs)

    def name(self, position: int) -> str:
        """What messages call a pair."""
        return self.pairs[position].name

    def __getitem__(self, key: Key) -> Sample:
        pair = self.pairs[key[1]]
        frames = range(self.context, pair.frames)
        real = self.real.read(pair.real, [frame * self.stride for frame in frames], pair.resolution)
        generated = [self.generated.read(index, list(frames), pair.resolution) for index in pair.generated]
        return {"real": real, "generated": torch.stack(generated), "index": torch.tensor(key[1])}


def _samples(dataset: _PairDataset, protocol: PairedProtocol, failures: BrokenVideos) -> Any:
    """The samples in order, one by one, as pairs may differ in size; those that cannot be read are left out."""
    workers = min(8, num_cores()) if protocol.num_workers is None else protocol.num_workers
    sampler = EpochSampler(len(dataset), 1)
    loader = ClipLoader(dataset, sampler, failures, workers_argument="measure_pairs.num_workers", num_workers=workers)
    for batch in tqdm(loader, "comparing", unit="pair"):
        yield {name: tensor[0] for name, tensor in batch.items()}
    loader.close()


def _distances(network: FrozenNetwork, ours: Tensor, theirs: Tensor) -> Tensor:
    """Of each frame of uint8 videos [K 3 T H W] -> [K T]."""
    return torch.stack(
        [
            network(*(video.transpose(0, 1)[:, :, None] for video in pair))  # frames as videos of one frame
            for pair in zip(ours, theirs)
        ]
    ).double()


class _Scores:
    """Gathers values of pairs: what counts of their trajectories, means, and the course over the frames.

    Args:
        trajectories: What counts of several.
        first_frame: Number of the first frame that is compared.
    """

    def __init__(self, trajectories: Literal["best", "mean", "last"], first_frame: int) -> None:
        self.trajectories, self.first_frame = trajectories, first_frame
        self.videos: list[dict[str, Any]] = []
        self._measures: dict[str, _Measure] = {}
        self._curves: dict[str, list[Tensor]] = {}
        self._squares = self._pixels = 0.0

    def begin(self, pair: Pair, generated: Sequence[str]) -> None:
        """Go on with another pair."""
        self.videos.append({"name": pair.name, "generated": [*generated], "frames": pair.frames})

    def add(self, measure: _Measure, values: Tensor, has_frames: bool = True) -> None:
        """Values [K T] of the K trajectories; T is 1 where they are no frames'."""
        self._measures[measure.key] = measure
        chosen = self._choose(values, values.mean(dim=1), torch.argmax if measure.highest_is_best else torch.argmin)
        self.videos[-1][measure.key] = float(chosen.mean())
        if has_frames:
            self._curves.setdefault(measure.key, []).append(chosen.cpu())

    def add_error(self, errors: Tensor, pixels: int) -> None:
        """Squared errors [K T] of frames, of as many values each."""
        self._measures[_PSNR_POOLED.key] = _PSNR_POOLED
        chosen = self._choose(errors, errors.mean(dim=1), torch.argmin)
        self._squares += float(chosen.sum()) * pixels
        self._pixels += len(chosen) * pixels

    def _choose(self, values: Tensor, scores: Tensor, best: Callable[[Tensor], Tensor]) -> Tensor:
        if self.trajectories == "mean":
            return values.mean(dim=0)
        return values[-1] if self.trajectories == "last" else values[best(scores)]

    def metrics(self, num_trajectories: int) -> list[MeasuredMetric]:
        """Means over the videos, and the PSNR of the error over all of them."""
        pooled = float(psnr_of_error(torch.tensor(self._squares / self._pixels, dtype=torch.float64)))
        which = f"; {self.trajectories} of {num_trajectories}" if num_trajectories > 1 else ""
        return [
            MeasuredMetric(
                measure.name,
                key,
                pooled if key == _PSNR_POOLED.key else float(np.mean([video[key] for video in self.videos])),
                f"{measure.meaning}{which}; {'higher' if measure.highest_is_best else 'lower'} is better",
                real=len(self.videos),
                generated=num_trajectories * len(self.videos),
                network=network_record(measure.network) if measure.network else None,
            )
            for key, measure in self._measures.items()
        ]

    def curves(self) -> dict[str, Any]:
        """Means over the videos for each number of a frame, from the first that is compared, and how many have it."""
        longest = max(len(curve) for curve in self._curves[_PSNR_FRAME.key])
        counts = [sum(len(curve) > place for curve in self._curves[_PSNR_FRAME.key]) for place in range(longest)]
        means = {
            key: [float(torch.stack([c[place] for c in curves if len(c) > place]).mean()) for place in range(longest)]
            for key, curves in self._curves.items()
        }
        return {"first_frame": self.first_frame, "videos": counts, **means}
