"""Finds weights that this project does not ship: at a given path, else in the cache folder or the package they are of.

Nothing is downloaded. A file that is absent is for the caller to deal with: `remedy` says where it is published and
where it goes.
"""

import functools
import importlib.util
import logging
import os
import tempfile
from pathlib import Path

import torch

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pretrained_files import PUBLISHED_FILES

logger = logging.getLogger(__name__)
_ROOT = 0


def cache_folder() -> Path:
    """The project's own cache: the environment's ``PVDM_CACHE``, else ``~/.cache/pvdm_lightning``."""
    for variable, inside in (("PVDM_CACHE", ""), ("XDG_CACHE_HOME", "pvdm_lightning")):
        if os.environ.get(variable):  # which a .env file or a YAML file of jobs may set to ~/cache
            return Path(os.path.expandvars(os.environ[variable])).expanduser() / inside
    try:
        return Path.home() / ".cache" / "pvdm_lightning"
    except RuntimeError:  # neither HOME nor an entry in passwd
        return Path(tempfile.gettempdir()) / f"pvdm_lightning-{os.getuid()}"


def usable_cache_folder() -> Path | None:
    """The project's own cache; None, said once, if another user owns it, who might have put anything there."""
    folder = cache_folder()
    return folder if _is_ours(folder) else None


@functools.cache
def _is_ours(folder: Path) -> bool:
    """Whether a folder, and what links to it, belong to this user or to root, or are not there yet."""
    try:
        owners = {folder.stat().st_uid, folder.lstat().st_uid}
    except OSError:
        return True
    ours = not hasattr(os, "geteuid") or owners <= {os.geteuid(), _ROOT}
    if not ours:
        logger.warning("%s belongs to another user and is not used; PVDM_CACHE names another folder", folder)
    return ours


def find_weights(name: str, given: str | Path | None, argument: str) -> Path | None:
    """Path of the weights file `name`, or None where there is none.

    Args:
        name: File name, e.g. ``vgg16-397923af.pth``; it is looked for in `cache_folder` and in the folder where
            torch.hub (and so torchvision) keeps its downloads; then in the package that brings it along, if one does.
        given: The user's own path, which wins; None to look there.
        argument: The option that `given` came from, for the error.

    Raises:
        InvalidArgumentError: `given` is not a file.
    """
    if given is not None:
        path = Path(given).expanduser()
        if not path.is_file():
            raise InvalidArgumentError(
                argument,
                given,
                "no such file",
                f"Give the path of {name}, or leave {argument} out and {remedy(name, argument)}",
            )
        return path
    for folder in (cache_folder(), Path(torch.hub.get_dir()) / "checkpoints"):
        if (folder / name).is_file() and _is_ours(folder):
            return folder / name
    return _in_package(name)


def _in_package(name: str) -> Path | None:
    """Path inside of the package that brings the file along, which is not imported."""
    package = PUBLISHED_FILES[name].package if name in PUBLISHED_FILES else None
    spec = None if package is None else importlib.util.find_spec(package)
    places = [] if spec is None else spec.submodule_search_locations or []
    return next((path for place in places if (path := Path(place) / name).is_file()), None)


def remedy(name: str, argument: str) -> str:
    """One line that says where to get the weights file `name`, and where to put it."""
    put = f"put {name} into {cache_folder()} (PVDM_CACHE names another folder) or give its path with {argument}."
    published = PUBLISHED_FILES.get(name)
    if published is None:
        return put
    return f"{published.how_to_get()}{', or' if published.direct or published.package else ' and'} {put}"
