"""The checkpoint that the folder of a run stands for."""

from pathlib import Path

from pvdm_lightning.errors import InvalidArgumentError

LATEST, CHECKPOINTS, LAST = "latest", "checkpoints", "last.ckpt"


def checkpoint_in(path: str | Path, argument: str) -> Path:
    """`path` itself, unless it is a run's folder, or that of all runs of a name: then the (latest) run's checkpoint.

    Args:
        path: Of a checkpoint or a folder.
        argument: What it was given to.

    Raises:
        InvalidArgumentError: The run has not written a checkpoint.
    """
    given = Path(path)
    run = next((folder for folder in (given, given / LATEST) if (folder / CHECKPOINTS).is_dir()), None)
    if run is None:
        if (given / LATEST).is_dir() or (given / "config.yaml").is_file():
            run = given
        else:
            return given
    last = run / CHECKPOINTS / LAST
    if last.is_file():
        return last
    found = sorted((run / CHECKPOINTS).glob("*.ckpt"), key=lambda file: file.stat().st_mtime_ns)
    if not found:
        raise InvalidArgumentError(argument, path, "holds no checkpoint yet", "Wait for its first one.")
    return found[-1]
