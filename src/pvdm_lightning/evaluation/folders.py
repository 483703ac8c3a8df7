"""Metrics of any model's videos, in a folder, against a folder of real ones, computed as for our own models."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped]

from pvdm_lightning.data.clips.broken import BrokenVideos
from pvdm_lightning.data.clips.clip_loader import ClipLoader
from pvdm_lightning.data.clips.sampler import EpochSampler
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.data.index.build_index import num_cores
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.chosen_networks import choose_networks
from pvdm_lightning.evaluation.distances import AT_ONCE, Side, VideoDistances
from pvdm_lightning.evaluation.feature_networks import FoundNetworks
from pvdm_lightning.evaluation.lengths import choose_lengths
from pvdm_lightning.evaluation.measured_clips import MeasuredClips
from pvdm_lightning.evaluation.named_protocol import NamedProtocol, settings_of
from pvdm_lightning.evaluation.options import Evaluation
from pvdm_lightning.evaluation.processes import Processes
from pvdm_lightning.evaluation.protocol import network_record, versions
from pvdm_lightning.evaluation.report import Report
from pvdm_lightning.evaluation.video_folder import NO_OPTIONS, InputOptions, VideoFolder, open_both, some
from pvdm_lightning.memory import check_memory

logger = logging.getLogger(__name__)

USUAL_FRAMES = 16
"""Of the clips that FVD is taken of where no length is asked for."""


SPLIT_NAMES = {"train": "training videos", "test": "test videos", "all": "training and test videos"}
ALONE = Processes()
SIDES: tuple[Side, Side] = ("real", "generated")


def measure_folders(
    real: str,
    generated: str,
    evaluation: Evaluation,
    networks: FoundNetworks,
    device: torch.device,
    resolution: tuple[int, int] | None = None,
    num_workers: int | None = None,
    processes: Processes = ALONE,
    inputs: InputOptions = NO_OPTIONS,
) -> Report:
    """FVD and Inception Score of a folder of videos.

    Args:
        real: Folder of real videos.
        generated: Folder of generated ones.
        evaluation: What is measured, on which clips.
        networks: By which networks.
        device: Where those run.
        resolution: (height, width); None for the generated videos' own.
        num_workers: Processes that read videos; None for as many as there are cores, at most 8.
        processes: That share the videos; all see the folder of `evaluation`.
        inputs: What holds of the two sides.

    Raises:
        InvalidArgumentError: A folder is missing or empty, its videos are too few or too short, or some are on both
            sides.
    """
    folders, notes = open_both(real, generated, "measure_folders", inputs, processes.is_first)
    resolution = resolution or _own_size(folders["generated"])
    networks = choose_networks(networks, evaluation.networks, evaluation.distances)
    wants_score = bool(networks.c3d) and evaluation.inception_splits > 0
    frames = sorted(set(evaluation.frames or [USUAL_FRAMES]))
    lengths = choose_lengths(frames, evaluation.frame_step, wants_score, networks.video)
    needed = 3 * AT_ONCE * frames[-1] * resolution[0] * resolution[1] * evaluation.preparation.bytes_per_value
    check_memory("measure_folders.resolution", f"{resolution[0]} x {resolution[1]}", needed, f"{AT_ONCE} clips of it")
    clips = {
        (side, length): [_clips(side, folder, length, resolution, one) for one in _draws(side, evaluation)]
        for side, folder in folders.items()
        for length in frames
    }
    for (side, length), draws in clips.items():
        short = folders[side].too_short(draws[0].dataset.clips.needed)
        said = [f"{side}: {len(short)} videos have fewer than {length} frames, such as {short[0]}."] if short else []
        said += dict.fromkeys(note for measured in draws for note in measured.notes())
        notes += said
        if processes.is_first:
            for note in said:
                logger.info("%s", note)
    for (side, _), draws in clips.items():
        if len(draws) > 1 and len({measured.list_hash() for measured in draws}) == 1:
            problem = f"draws the same {side} clips each time: {len(draws[0]):,}, which are all there are"
            remedy = "Ask for fewer clips of that side, or for random ones, or repeat over the other side."
            raise InvalidArgumentError("Evaluation.repeats", evaluation.repeats, problem, remedy)
    records = {measured.key(draw): measured.record() for draws in clips.values() for draw, measured in enumerate(draws)}
    failures = {
        side: BrokenVideos(known=0, total=len(folder.source.lengths), max_fraction=1.0)
        for side, folder in folders.items()
    }
    distances = VideoDistances(lengths, networks, evaluation.figures(), Path(evaluation.dir), device, processes)
    total = sum(len(measured) for (_, length), draws in clips.items() if length in lengths.used for measured in draws)
    bar = tqdm(total=total, unit="clip", disable=not processes.is_first or not total)
    for length in lengths.used:
        for side in SIDES:
            for draw, measured in enumerate(clips[side, length]):
                bar.set_description(f"{side}, {length} frames")
                before = bar.n
                if distances.begin(side, length, records[measured.key(draw)]):
                    for clip, numbers in _batches(measured, failures[side], num_workers, processes):
                        distances.add(side, length, clip, numbers)
                        bar.update(len(numbers) * processes.world_size)  # the others are about as far
                    distances.end(side, length, measured.clip_ids)
                bar.update(before + len(measured) - bar.n)
    bar.close()
    for other in processes.gather({side: broken.reasons for side, broken in failures.items()})[1:]:
        for side, reasons in other.items():
            for name, reason in reasons.items():
                failures[side].add(name, reason)
    metrics, skipped = distances.metrics()
    protocol = NamedProtocol.find(evaluation.protocol)
    stride = evaluation.real.stride or 1
    settings = settings_of(evaluation, frames, resolution, networks, stride, real_fps=inputs.real_fps)
    draws_of_length = [clips["generated", length] for length in frames]
    if evaluation.draws("generation") > 1 and all(_same_clips(of_length) for of_length in draws_of_length):
        # As if they were not drawn again, and so the report must call it.
        settings |= {"repeat_over": "real"} if evaluation.repeat_over == "both" else {"repeats": 1}
        notes.append(
            f"generated: each of the {evaluation.repeats} draws takes the same clips, as there are no others: their "
            "spread says nothing of generation."
        )
    if split := protocol.settings.get("split"):
        notes.append(
            f"{protocol.name} measures against {SPLIT_NAMES[split]}; which those are, the folder {real} decides."
        )
    for side, broken in failures.items():
        if broken.reasons:
            notes.append(f"{side}: {len(broken.reasons)} videos broke while they were read: {some(broken.reasons)}.")
    if not lengths.used:
        notes.append("no video was read, as nothing could measure it.")
    return Report(
        title=f"Videos of {generated} against those of {real}",
        named=protocol.name_of(settings, metrics),
        protocol={
            "real": str(real),
            "generated": str(generated),
            "inputs": {side: folder.record() for side, folder in folders.items()},
            "clips": records,
            "real_fps": inputs.real_fps,
            "frame_step": evaluation.frame_step,
            "repeats": evaluation.repeats_record(),
            "inception_splits": evaluation.inception_splits if wants_score else None,
            "distances": list(evaluation.distances),
            "inception_loops": evaluation.inception_loops if wants_score else None,
            "networks": [network_record(network) for network in (*networks.video, *networks.c3d)],
            "versions": versions(),
        },
        metrics=metrics,
        skipped=[*networks.skipped, *lengths.skipped, *skipped],
        notes=notes,
    )


def _same_clips(draws: list[MeasuredClips]) -> bool:
    return all(set(one.clips()) == set(draws[0].clips()) for one in draws)


def _own_size(folder: VideoFolder) -> tuple[int, int]:
    if len(folder.sizes) > 1:
        sizes = " and ".join(f"{height} x {width}" for height, width in (folder.sizes[0], folder.sizes[-1]))
        problem = f"is not given, and the videos of {folder.argument} {folder.root} differ in size ({sizes})"
        raise InvalidArgumentError(
            "measure_folders.resolution", None, problem, "Give the height and width to measure at."
        )
    return folder.sizes[0]


def _draws(side: Side, evaluation: Evaluation) -> list[Evaluation]:
    """The options of each draw of a side."""
    if side == "real":
        real = evaluation.real
        clips = (replace(real, seed=real.seed + draw) for draw in range(evaluation.draws("real")))
        return [replace(evaluation, real=one) for one in clips]
    generated = evaluation.generated
    draws = (replace(generated, seed=generated.seed + draw) for draw in range(evaluation.draws("generation")))
    return [replace(evaluation, generated=one) for one in draws]


def _clips(
    side: Side, folder: VideoFolder, length: int, resolution: tuple[int, int], evaluation: Evaluation
) -> MeasuredClips:
    """The clips of a side, at least 2."""
    if side == "real":
        windows = Windows(length, evaluation.real.stride or 1)
        measured = MeasuredClips.real(folder.source, windows, resolution, evaluation.real, evaluation.preparation)
    else:
        measured = MeasuredClips.generated(
            folder.source, length, resolution, evaluation.generated, evaluation.preparation
        )
    if len(measured) < 2:
        chosen, longest = measured.dataset.clips, int(folder.source.lengths.max(initial=0))
        problem = (
            f"{folder.argument} {folder.root} has {chosen.num_videos} videos of {chosen.needed} frames, and a "
            f"covariance needs 2 or more (the longest video has {longest})"
        )
        raise InvalidArgumentError(
            "Evaluation.frames",
            evaluation.frames or [USUAL_FRAMES],
            problem,
            f"Leave {length} out or give more videos.",
        )
    return measured


def _batches(
    measured: MeasuredClips, failures: BrokenVideos, num_workers: int | None, processes: Processes
) -> Iterator[tuple[Tensor, Tensor]]:
    """Clips [B 3 T H W] of this process, and their numbers in the list, int64 [B]."""
    workers = max(1, min(8, num_cores()) // processes.world_size) if num_workers is None else num_workers
    loader = ClipLoader(
        measured.dataset,
        EpochSampler(len(measured), AT_ONCE, rank=processes.rank, world_size=processes.world_size),
        failures,
        workers_argument="measure_folders.num_workers",
        num_workers=workers,
    )
    for batch in loader:
        yield batch["clip"], batch["number"]
    loader.close()
