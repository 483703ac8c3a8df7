"""Metrics of any model's videos, in a folder, against a folder of real ones, computed as for our own models."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped]

from pvdm_lightning.data.clips.broken import BrokenVideos
from pvdm_lightning.data.clips.clip_dataset import ClipDataset
from pvdm_lightning.data.clips.clip_loader import ClipLoader
from pvdm_lightning.data.clips.sampler import ReferenceSampler
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.data.index.build_index import num_cores
from pvdm_lightning.data.index.shared_videos import shared_videos
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.distances import AT_ONCE, VideoDistances
from pvdm_lightning.evaluation.feature_networks import FoundNetworks
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


def measure_folders(
    real: str, generated: str, protocol: FolderProtocol, networks: FoundNetworks, device: torch.device
) -> Report:
    """FVD and Inception Score of a folder of videos.

    Args:
        real: Folder of real videos.
        generated: Folder of generated ones; their first frames are measured.
        protocol: How.
        networks: By which networks.
        device: Where those run.

    Raises:
        InvalidArgumentError: A folder is missing or empty, or its videos are too few or too short.
    """
    folders = {
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
    distances = VideoDistances(lengths, networks, protocol.inception_splits, device, Processes())
    distances.add_real(
        lambda length: (clip for clip, _ in _batches(clips["real", length], protocol, "real", failures["real"])),
        lambda length: records[f"real_{length}"],
    )
    for length in lengths.used:
        for clip, numbers in _batches(clips["generated", length], protocol, "generated", failures["generated"]):
            distances.add_generated(clip, numbers, length)
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


def _batches(
    dataset: ClipDataset, protocol: FolderProtocol, side: str, failures: BrokenVideos
) -> Iterator[tuple[Tensor, Tensor]]:
    """Clips uint8 [B 3 T H W], and the numbers of their videos among those that were chosen, int64 [B]."""
    count = protocol.num_videos or len(dataset)
    sampler = ReferenceSampler(count, len(dataset), AT_ONCE, rank=0, world_size=1, seed=protocol.seed)
    chosen = torch.from_numpy(np.sort(dataset.videos[sampler.keys()[1]]))
    workers = min(8, num_cores()) if protocol.num_workers is None else protocol.num_workers
    loader = ClipLoader(dataset, sampler, failures, workers_argument="measure_folders.num_workers", num_workers=workers)
    for batch in tqdm(loader, f"{side}, {dataset.windows.frames} frames", unit="batch"):
        yield batch["clip"], torch.searchsorted(chosen, batch["index"])
    loader.close()
