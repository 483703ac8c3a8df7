"""Metrics of any model's videos, in a folder, against a folder of real ones, computed as for our own models."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped]

from pvdm_lightning.data.clips.broken import BrokenVideos
from pvdm_lightning.data.clips.clip_dataset import ClipDataset
from pvdm_lightning.data.clips.clip_loader import ClipLoader
from pvdm_lightning.data.clips.listed_clips import ListedClips
from pvdm_lightning.data.clips.sampler import EpochSampler, ReferenceSampler
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.data.index.build_index import num_cores
from pvdm_lightning.data.index.shared_videos import shared_videos
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.distances import AT_ONCE, Side, VideoDistances
from pvdm_lightning.evaluation.feature_networks import FoundNetworks
from pvdm_lightning.evaluation.features import ClipId, file_clips
from pvdm_lightning.evaluation.figures import Figures
from pvdm_lightning.evaluation.lengths import choose_lengths
from pvdm_lightning.evaluation.processes import Processes
from pvdm_lightning.evaluation.protocol import clips_record, network_record, versions
from pvdm_lightning.evaluation.report import Report
from pvdm_lightning.evaluation.video_folder import FirstFrames, VideoFolder, some
from pvdm_lightning.memory import check_memory

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FolderProtocol:
    """How two folders are measured.

    Attributes:
        frames: Lengths of videos, sorted, each once.
        frame_step: Step between the frames of the subsampled FVD.
        resolution: (height, width); None for the generated videos' own.
        num_videos: Videos a side; None for all.
        real_start: Where a real clip starts in its video.
        real_stride: Source frames from one frame of a real clip to the next.
        inception_splits: 0 leaves the Inception Score out.
        seed: Seed of the choice of videos and of random starts.
        num_workers: Processes that read videos; None for as many as there are cores, at most 8.
        distances: Names of distances.
        bootstrap: Resamples behind an interval.
    """

    frames: Sequence[int]
    frame_step: int
    resolution: tuple[int, int] | None
    num_videos: int | None
    real_start: Literal["random", "first"]
    real_stride: int
    inception_splits: int
    seed: int
    num_workers: int | None
    distances: Sequence[str] = ("frechet",)
    bootstrap: int = 50


ALONE = Processes()
SIDES: tuple[Side, Side] = ("real", "generated")


def measure_folders(
    real: str,
    generated: str,
    protocol: FolderProtocol,
    networks: FoundNetworks,
    device: torch.device,
    folder: Path,
    processes: Processes = ALONE,
) -> Report:
    """FVD and Inception Score of a folder of videos.

    Args:
        real: Folder of real videos.
        generated: Folder of generated ones; their first frames are measured.
        protocol: How.
        networks: By which networks.
        device: Where those run.
        folder: Of the evaluation, where features are kept.
        processes: That share the videos.

    Raises:
        InvalidArgumentError: A folder is missing or empty, or its videos are too few or too short.
    """
    folders: dict[Side, VideoFolder] = {
        "real": VideoFolder.open(real, "measure_folders.real", other=generated),
        "generated": VideoFolder.open(generated, "measure_folders.generated", other=real),
    }
    resolution = protocol.resolution or _own_size(folders["generated"])
    wants_score = bool(networks.c3d) and protocol.inception_splits > 0
    lengths = choose_lengths(protocol.frames, protocol.frame_step, wants_score, networks.video)
    needed = 3 * AT_ONCE * max(protocol.frames) * resolution[0] * resolution[1]
    check_memory("measure_folders.resolution", f"{resolution[0]} x {resolution[1]}", needed, f"{AT_ONCE} clips of it")
    clips = {
        (side, length): _clips(folder, length, resolution, protocol, first=is_first, stride=stride)
        for (side, folder), is_first, stride in zip(
            folders.items(), (protocol.real_start == "first", True), (protocol.real_stride, 1)
        )
        for length in protocol.frames
    }
    records = {f"{side}_{length}": _record(dataset, protocol) for (side, length), dataset in clips.items()}
    failures = {
        side: BrokenVideos(known=0, total=len(folder.source.lengths), max_fraction=1.0)
        for side, folder in folders.items()
    }
    wanted = Figures(protocol.distances, protocol.bootstrap, protocol.inception_splits)
    distances = VideoDistances(lengths, networks, wanted, folder, device, processes)
    for length in lengths.used:
        for side in SIDES:
            listed = _listed(clips[side, length], protocol)
            if distances.begin(side, length, records[f"{side}_{length}"]):
                for clip, numbers in _batches(listed, protocol, side, failures[side], processes):
                    distances.add(side, length, clip, numbers)
                distances.end(side, length, lambda: _clip_ids(listed))  # noqa: B023
    metrics, skipped = distances.metrics()
    notes = [note for folder in folders.values() for note in folder.notes]
    notes += _shared(folders["real"], folders["generated"])
    for side, broken in failures.items():
        if broken.reasons:
            notes.append(f"{side}: {len(broken.reasons)} videos broke while they were read: {some(broken.reasons)}.")
    if not lengths.used:
        notes.append("no video was read, as nothing could measure it.")
    for (side, length), dataset in clips.items():
        short = folders[side].too_short(dataset.windows.clip_span)
        if short:
            notes.append(f"{side}: {len(short)} videos have fewer than {length} frames, such as {short[0]}.")
    return Report(
        title=f"Videos of {generated} against those of {real}",
        protocol={
            "real": str(real),
            "generated": str(generated),
            "clips": records,
            "frame_step": protocol.frame_step,
            "inception_splits": protocol.inception_splits if wants_score else None,
            "networks": [network_record(network) for network in (*networks.video, *networks.c3d)],
            "versions": versions(),
        },
        metrics=metrics,
        skipped=[*networks.skipped, *lengths.skipped, *skipped],
        notes=notes,
    )


def _shared(real: VideoFolder, generated: VideoFolder) -> list[str]:
    """A note if videos are on both sides, under whatever names."""
    there = real.paths()
    both = shared_videos(generated.paths(), there)
    if not both:
        return []
    note = f"{len(both)} videos are among both the real and the generated ones, such as {there[both[0].second].name}."
    logger.warning("%s The distance is smaller for it.", note.removesuffix("."))
    return [note]


def _own_size(folder: VideoFolder) -> tuple[int, int]:
    if len(folder.sizes) > 1:
        sizes = " and ".join(f"{height} x {width}" for height, width in (folder.sizes[0], folder.sizes[-1]))
        problem = f"is not given, and the videos of {folder.argument} {folder.root} differ in size ({sizes})"
        raise InvalidArgumentError(
            "measure_folders.resolution", None, problem, "Give the height and width to measure at."
        )
    return folder.sizes[0]


def _clips(
    folder: VideoFolder, length: int, resolution: tuple[int, int], protocol: FolderProtocol, first: bool, stride: int
) -> ClipDataset:
    windows = Windows(length, stride)
    source = FirstFrames(folder.source, windows.clip_span) if first else folder.source
    dataset = ClipDataset(source, windows, resolution, random_start=True, seed=protocol.seed)
    where, wanted = f"{folder.argument} {folder.root}", protocol.num_videos
    if len(dataset) < 2:
        longest = int(folder.source.lengths.max(initial=0))
        problem = (
            f"{where} has {len(dataset)} videos of {windows.clip_span} frames, and a covariance needs 2 or more "
            f"(the longest video has {longest})"
        )
        raise InvalidArgumentError(
            "measure_folders.frames", list(protocol.frames), problem, f"Leave {length} out or give more videos."
        )
    if wanted is not None and wanted > len(dataset):
        problem = f"{where} has only {len(dataset):,} videos of {windows.clip_span} frames that can be read"
        raise InvalidArgumentError(
            "measure_folders.num_videos", wanted, problem, "Give at most those, or leave it out for all."
        )
    return dataset


def _record(dataset: ClipDataset, protocol: FolderProtocol) -> dict[str, Any]:
    first = {"start": "first frames"} if isinstance(dataset.source, FirstFrames) else {}
    return {
        **clips_record(dataset),
        **first,
        "count": protocol.num_videos or len(dataset),
        "choice_seed": protocol.seed,
    }


def _listed(dataset: ClipDataset, protocol: FolderProtocol) -> ListedClips:
    """The clips that are measured, in the order of their videos."""
    count = protocol.num_videos or len(dataset)
    sampler = ReferenceSampler(count, len(dataset), 1, rank=0, world_size=1, seed=protocol.seed)
    return ListedClips(dataset, sorted(dataset.draw(int(position))[:2] for position in sampler.keys()[1]))


def _clip_ids(listed: ListedClips) -> list[ClipId]:
    windows = listed.clips.windows
    names = [(listed.clips.source.name(index), start) for index, start in listed.listed]
    return file_clips(names, windows.stride, windows.frames)


def _batches(
    listed: ListedClips, protocol: FolderProtocol, side: str, failures: BrokenVideos, processes: Processes
) -> Iterator[tuple[Tensor, Tensor]]:
    """Clips uint8 [B 3 T H W] of this process, and their numbers, int64 [B]."""
    sampler = EpochSampler(len(listed), AT_ONCE, rank=processes.rank, world_size=processes.world_size)
    workers = min(8, num_cores()) if protocol.num_workers is None else protocol.num_workers
    loader = ClipLoader(listed, sampler, failures, workers_argument="measure_folders.num_workers", num_workers=workers)
    name = f"{side}, {listed.clips.windows.frames} frames"
    for batch in tqdm(loader, name, unit="batch", disable=not processes.is_first):
        yield batch["clip"], batch["number"]
    loader.close()
