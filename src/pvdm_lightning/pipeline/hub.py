"""Pipelines on a model hub, through huggingface_hub: fetched by name, and pushed with their card.

HF_ENDPOINT names another hub, HF_TOKEN a login, HF_HUB_OFFLINE=1 takes what was fetched before.
"""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from types import ModuleType

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.escaping import one_line

SCHEME = "hf://"
"""What a path begins with that names a repository, and nothing on this machine."""
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")


def is_repository(path: str | Path) -> bool:
    """Whether a path may name a repository: ``hf://org/name``, or ``org/name`` where there is no folder ``org`` here.

    A revision (branch, tag or commit) may follow: ``org/name@v1``.
    """
    text = str(path)
    if text.startswith(SCHEME):
        return True
    return _NAME.fullmatch(text) is not None and not text.endswith(".ckpt") and not Path(text.split("/")[0]).exists()


def fetch(path: str | Path, files: list[str], argument: str) -> Path:
    """Download files of a repository into the cache of huggingface_hub, those that are not there yet.

    Args:
        path: ``hf://org/name`` or ``org/name``, with ``@revision`` or without.
        files: Names of the files; others of the repository are left where they are.
        argument: The option that named it.

    Returns:
        The folder with the files.

    Raises:
        InvalidArgumentError: It is no name of a repository, there is no such one, it lacks a file, the hub cannot be
            reached, or huggingface_hub is not installed.
    """
    name, _, revision = str(path).removeprefix(SCHEME).partition("@")
    if not _NAME.fullmatch(name):
        problem = "is no name of a repository"
        raise InvalidArgumentError(argument, path, problem, f"Give {SCHEME}org/name, or {SCHEME}org/name@revision.")
    hub = _library(argument, path)
    try:
        folder = hub.snapshot_download(
            name, revision=revision or None, allow_patterns=files, endpoint=os.environ.get("HF_ENDPOINT")
        )
    except Exception as error:  # of the network, of the hub or of the name: there are dozens
        remedy = "Check the name; HF_TOKEN logs in, and HF_HUB_OFFLINE=1 takes what was fetched before."
        raise InvalidArgumentError(argument, path, _problem(error, path), remedy) from error
    missing = [file for file in files if not (Path(folder) / file).is_file()]
    if missing:
        problem = f"is a repository without {' and '.join(missing)}"
        raise InvalidArgumentError(argument, path, problem, "Name one that VideoPipeline.push_to_hub wrote.")
    return Path(folder)


def push(folder: Path, name: str, private: bool | None, revision: str | None, message: str, token: str | None) -> str:
    """Upload a folder as one commit; the repository is made if there is none.

    Args:
        folder: What is uploaded.
        name: ``org/name``.
        private: Whether a new repository is private; None is as the organization has it.
        revision: Branch to commit to, which is made if there is none; None is the main one.
        message: Message of the commit.
        token: Login; None takes that of HF_TOKEN or of `hf auth login`.

    Returns:
        Address of the commit.

    Raises:
        InvalidArgumentError: It is no name, the hub cannot be reached or refuses, or huggingface_hub is not installed.
    """
    argument = "VideoPipeline.repo_id"
    if not _NAME.fullmatch(name) or "@" in name:
        raise InvalidArgumentError(argument, name, "is no name of a repository", "Give org/name.")
    hub = _library(argument, name)
    api = hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token)
    try:
        api.create_repo(name, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(name, branch=revision, exist_ok=True)
        commit = api.upload_folder(repo_id=name, folder_path=folder, revision=revision, commit_message=message)
    except Exception as error:
        remedy = "Log in with `hf auth login` or HF_TOKEN, with the right to write."
        raise InvalidArgumentError(argument, name, _problem(error, f"{SCHEME}{name}"), remedy) from error
    return str(commit.commit_url)


def _library(argument: str, value: object) -> ModuleType:
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError:
        problem = "names nothing on this machine, and a model hub needs huggingface_hub, which is not installed"
        remedy = "Install it with: pip install 'pvdm-lightning[hub]'"
        raise InvalidArgumentError(argument, value, problem, remedy) from None


def _problem(error: Exception, path: str | Path) -> str:
    """What went wrong, as one line; such errors are paragraphs that begin with the status."""
    local = "" if str(path).startswith(SCHEME) else "names nothing on this machine, and "
    answered = next((one for one in (error, error.__cause__) if getattr(one, "response", None) is not None), None)
    status = getattr(getattr(answered, "response", None), "status_code", None)
    said = {401: "is not there, or needs a login", 403: "is not open to you", 404: "is not there"}.get(status or 0)
    if said is not None:
        return f"{local}{said}, says the hub"
    return f"{local}cannot be had from the hub ({one_line(str(error).strip() or type(error).__name__, 120)})"
