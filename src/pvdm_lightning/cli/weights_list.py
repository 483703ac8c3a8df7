"""What `pvdm weights` says of each pretrained file: purpose, place, size, hash, and how to get it."""

from pathlib import Path

from pvdm_lightning.checksum import file_sha256
from pvdm_lightning.cli.errors import in_options
from pvdm_lightning.pretrained import cache_folder, find_weights
from pvdm_lightning.pretrained_files import PUBLISHED_FILES, PublishedFile

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
        "published": file.address,
        "goes to": str(goes_to),
        "to get it": f"pvdm weights --fetch {file.name}" if file.direct else by_hand(file),
    }
    return "\n".join([file.name, *(f"  {name:<11}{text}" for name, text in lines.items()), ""])


def _published_hash(file: PublishedFile) -> str:
    if file.sha256 is None:
        return _UNKNOWN
    return file.sha256 if len(file.sha256) == 64 else f"begins with {file.sha256}; the rest is {_UNKNOWN}"


def verdict(file: PublishedFile, path: Path) -> str:
    """Whether the file at `path` is the published one, and its size."""
    digest, size = file_sha256(path), f"{path.stat().st_size:,} bytes"
    matches = file.has_digest(digest)
    if matches is None:
        return f"no, the published hash is {_UNKNOWN}; this file has {size} and the SHA-256 {digest}"
    if matches:
        return f"yes ({size})"
    return f"NO: this file has {size} and the SHA-256 {digest}"


def by_hand(file: PublishedFile) -> str:
    """What a person has to do for a file that no command can download."""
    return f"open {file.address} in a browser and save the file as {cache_folder() / file.name}"
