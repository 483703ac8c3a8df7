"""Many videos in one .npz file, as metric tools take them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pvdm_lightning.atomic_write import atomic_write


def write_npz(parts: Sequence[Path], indices: Sequence[int], path: Path, metadata: Mapping[str, Any] | None) -> None:
    """Join videos of one shape, one after another: memory does not grow with their number.

    The file has `videos`, uint8 [N T H W 3], `index`, int64 [N], and `metadata`, JSON.

    Args:
        parts: .npy files uint8 [T H W 3].
        indices: Numbers of the videos.
        path: Of the .npz file.
        metadata: Plain values; None leaves them out.
    """
    shape = np.load(parts[0], mmap_mode="r").shape
    with atomic_write(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        with _member(archive, "videos") as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": (len(parts), *shape)}
            np.lib.format.write_array_header_1_0(member, header)
            for part in parts:
                member.write(np.ascontiguousarray(np.load(part)).data)
        arrays = {"index": np.array(indices, dtype=np.int64)}
        if metadata is not None:
            arrays["metadata"] = np.array(json.dumps(metadata, sort_keys=True))
        for name, array in arrays.items():
            with _member(archive, name) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _member(archive: zipfile.ZipFile, name: str) -> Any:
    # With a fixed date: the same videos make the same bytes.
    return archive.open(zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0)), "w", force_zip64=True)
