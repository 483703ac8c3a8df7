"""The checkpoint that the folder of a run stands for."""

from pathlib import Path

from pvdm_lightning.errors import InvalidArgumentError

CHECKPOINTS, LAST = "checkpoints", "last.ckpt"
LATEST = "latest"
"""A link to the newest run's checkpoints, not to its folder: a dashboard would find its log there a second time."""


def checkpoint_in(path: str | Path, argument: str) -> Path:
    """`path` itself, unless it is a run's folder, or that of all runs of a name: then the (latest) run's checkpoint.

    Args:
        path: Of a checkpoint or a folder.
        argument: What it was given to.

    Raises:
        InvalidArgumentError: The run has not written a checkpoint.
    """
    given = Path(path)
    if not given.is_dir():
        return given
    for folder in (given / CHECKPOINTS, given / LATEST):
        if found := _chosen(folder):
            return found
    if (given / LAST).is_file():
        return given / LAST
    if any((given / name).is_dir() for name in (CHECKPOINTS, LATEST)) or given.name == CHECKPOINTS:
        raise InvalidArgumentError(argument, path, "holds no checkpoint yet", "Wait for its first one.")
    return given


def _chosen(folder: Path) -> Path | None:
    """last.ckpt, else the newest checkpoint."""
    if (folder / LAST).is_file():
        return folder / LAST
    return max(folder.glob("*.ckpt"), key=lambda file: file.stat().st_mtime_ns, default=None)
