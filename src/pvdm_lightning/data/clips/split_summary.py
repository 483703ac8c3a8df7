"""A one-line summary of a split."""

import numpy as np

from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.data.videos.source import VideoSource


def summarise_split(split: str, source: VideoSource, windows: Windows) -> str:
    """Summarize a split in one line: videos, clips, and what is skipped and why.

    Args:
        split: Its name.
        source: Its videos.
        windows: What is taken from them.
    """
    lengths = source.lengths[source.lengths > 0]
    clips = sum(
        int(count) * windows.count(int(length)) for length, count in zip(*np.unique(lengths, return_counts=True))
    )
    too_short = int((lengths < windows.clip_span).sum())
    single = int(((lengths >= windows.clip_span) & (lengths < windows.pair_span)).sum()) if windows.clips == 2 else 0
    line = f"{split}: {len(source.lengths)} videos, {clips} clips of {windows.frames} frames"
    for number, what in (
        (too_short, "too short for a clip (skipped)"),
        (single, "too short for a pair (single clips)"),
        (len(source.problems), "broken (skipped)"),
    ):
        line += f", {number} {what}" if number else ""
    return line
