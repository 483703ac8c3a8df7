"""Statistics of real videos, measured once: kept on disk by data set and protocol."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pvdm_lightning.evaluation.lengths import Selection
from pvdm_lightning.evaluation.processes import Processes
from pvdm_lightning.evaluation.protocol import network_record
from pvdm_lightning.metrics import (
    FeatureStatistics,
    FrechetVideoDistance,
    FrozenNetwork,
    load_statistics,
    save_statistics,
    statistics_path,
)
from pvdm_lightning.pretrained import usable_cache_folder

logger = logging.getLogger(__name__)


class RealStatistics:
    """The file that keeps the real side of one Frechet distance, if it was measured on all of its clips.

    Args:
        clips: Which real clips, as plain values; "count" says how many, over all processes.
        selection: Which of their frames.
        network: What they are measured with.
        processes: Only the first reads and writes.
    """

    def __init__(
        self, clips: Mapping[str, Any], selection: Selection, network: FrozenNetwork, processes: Processes
    ) -> None:
        self.processes = processes
        self.protocol = {
            **clips,
            "measured_frames": selection.num_frames,
            "frame_step": selection.frame_step,
            "network": network_record(network),
        }

    @property
    def path(self) -> Path | None:
        """Path of the file; None if the cache folder cannot be used."""
        cache = usable_cache_folder()
        return None if cache is None else statistics_path(cache / "real_statistics", self.protocol)

    def give_to(self, metric: FrechetVideoDistance) -> bool:
        """Whether the metric got its real side from the file; the same answer on all processes."""
        known: FeatureStatistics | None = self.processes.broadcast(self._read() if self.processes.is_first else None)
        if known is not None:
            metric.use_real_statistics(known)
        return known is not None

    def _read(self) -> FeatureStatistics | None:
        known = None if self.path is None else load_statistics(self.path, self.protocol)
        return known if known is not None and known.count == self.protocol["count"] else None

    def keep(self, metric: FrechetVideoDistance) -> None:
        """Write the metric's real side, of all processes, to the file; all must call this.

        A part of the clips is not kept: the run was limited, or videos broke and no others stood in for them.
        """
        statistics = metric.real_statistics()
        metric.use_real_statistics(statistics)
        if self.path is not None and self.processes.is_first and statistics.count == self.protocol["count"]:
            try:
                save_statistics(statistics, self.path, self.protocol)
            except OSError as error:  # it is only a cache
                logger.warning("%s cannot be written (%s); it will be computed again", self.path, error)
