"""`pvdm weights`: which files of others are here, where each goes, and fetching them."""

import logging
from pathlib import Path

from pvdm_lightning.cli.download import fetch as download
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.metrics.published_network import file_sha256
from pvdm_lightning.pretrained import cache_folder, find_weights
from pvdm_lightning.pretrained_files import FILES, PretrainedFile
from pvdm_lightning.printing import print_result

logger = logging.getLogger(__name__)


def weights(fetch: list[str] | None = None) -> None:
    """List the published networks that metrics and losses use: which are here, where each goes, what it is for.

    Args:
        fetch: Names of files to download into the cache folder; all takes each that has an address of its own.
    """
    for file in _wanted(fetch or []):
        if find_weights(file.name, None, "--fetch") is not None:
            logger.info("%s is here already", file.name)
            continue
        logger.info("%s: fetched and checked", download(file, cache_folder()))
    lines = [f"cache folder: {cache_folder()} (PVDM_CACHE names another one)", ""]
    for file in FILES.values():
        lines += [*_describe(file), ""]
    print_result("\n".join(lines))


def _wanted(names: list[str]) -> list[PretrainedFile]:
    if names == ["all"]:
        return [file for file in FILES.values() if file.url is not None]
    for name in names:
        if name not in FILES:
            raise InvalidArgumentError("--fetch", name, "is none of the files", f"Give some of: {', '.join(FILES)}.")
    return [FILES[name] for name in names]


def _describe(file: PretrainedFile) -> list[str]:
    rows = {
        "for": file.purpose,
        "here": _state(file),
        "size": "not known" if file.size is None else f"{file.size / 1e6:.0f} MB",
        "SHA-256": file.sha256 or "not known",
        "published": file.page,
    }
    return [file.name, *(f"  {name:10s}{text}" for name, text in rows.items())]


def _state(file: PretrainedFile) -> str:
    if not file.in_cache:
        return "given by its path"
    path = find_weights(file.name, None, "--fetch")
    if path is None:
        part = cache_folder() / f"{file.name}.part"
        begun = f"; {part.stat().st_size / 1e6:.0f} MB of it have come" if part.exists() else ""
        how = f"pvdm weights --fetch {file.name}" if file.url else "put it into the cache folder"
        return f"no: {how}{begun}"
    return f"{path} ({_verdict(file, path)})"


def _verdict(file: PretrainedFile, path: Path) -> str:
    if file.sha256 is None:
        return "no hash on record"
    return (
        "hash is right"
        if file_sha256(path).startswith(file.sha256)
        else "ANOTHER file: its hash is not the published one"
    )
