"""Published metric networks: file and loader of each."""

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pvdm_lightning import pretrained_files
from pvdm_lightning.checksum import file_git_blob, file_sha256
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.foreign_files import load_tensors
from pvdm_lightning.metrics.c3d import load_c3d
from pvdm_lightning.metrics.frozen_network import FrozenNetwork
from pvdm_lightning.metrics.i3d import MIN_FRAMES
from pvdm_lightning.pretrained import find_weights, remedy
from pvdm_lightning.pretrained_files import PublishedFile

logger = logging.getLogger(__name__)


class UntrustedFileError(InvalidArgumentError):
    """A file is a program that nobody has vouched for."""


@dataclass(frozen=True)
class PublishedNetwork:
    """A network by the name under which results are compared.

    Some are published as TorchScript, which is a program: opening such a file runs it. One that lies in a cache folder
    runs only if its SHA-256 is the published one or the user trusts it; who gives a path by its option vouches for the
    file. State dicts are data, of which nothing runs.

    Attributes:
        name: As results name it.
        file: The published file, looked for in the cache folders.
        num_inputs: Videos it takes: 2 for a distance.
        num_outputs: Values it gives for a video.
        load: Opens such a file, given its companion as well if there is one.
        is_program: Whether opening it runs it.
        min_frames: Frames that a video must have.
        companion: A second file, which lies beside the first or in a cache folder.
    """

    name: str
    file: PublishedFile
    num_outputs: int
    load: Callable[..., nn.Module]
    num_inputs: int = 1
    is_program: bool = False
    min_frames: int = 1
    companion: PublishedFile | None = None

    @property
    def file_name(self) -> str:
        """Of the published file."""
        return self.file.name

    def find(self, given: str | Path | None, argument: str, trusted: Sequence[str | Path] = ()) -> FrozenNetwork | None:
        """Open the weights at `given`, else those in the cache folders; None where there are none.

        A file whose hash is not the published one is used, but under a name that shows it, and a warning is logged:
        a figure never carries the name of a network that did not measure it. Where no hash is on record, the name
        shows the file's own.

        Args:
            given: Path of the weights, of option `argument`.
            argument: For errors.
            trusted: Paths of programs that may run whatever their hash is, or their hashes.

        Raises:
            UntrustedFileError: A file of a cache folder is a program, its hash is not the published one, and it is not
                trusted.
            InvalidArgumentError: `given` does not exist, or the file is not what `file_name` should be.
        """
        path = find_weights(self.file_name, given, argument)
        if path is None:
            return None
        paths, files = [path], [self.file]
        if self.companion is not None:
            paths, files = [path, self._beside(path, self.companion, argument)], [self.file, self.companion]
        digests = [file_sha256(one) for one in paths]
        verdicts = [one.has_digests(sha, file_git_blob(at)) for one, at, sha in zip(files, paths, digests)]
        verified = False if False in verdicts else None if None in verdicts else True
        digest = digests[0]
        name = self.name if verified else f"{self.name} (unverified file {digest[:12]})"
        if verified is False:
            name = f"{self.name} (unrecognised file {digest[:12]})"
            logger.warning("%s is not the published %s: its SHA-256 is %s", path, self.file_name, digest)
        if self.is_program and not verified and given is not None:
            logger.warning("%s is a program (TorchScript) and runs, as its option names it", path)
        elif self.is_program and not verified and not _is_trusted(path, digest, trusted):
            why = "no SHA-256 of it is published" if verified is None else "its SHA-256 is not the published one"
            problem = f"is a program (TorchScript), which is not run, as {why}"
            remedy = f"If you know where it comes from, add FeatureNetworks.trust_file {path}."
            raise UntrustedFileError(argument, path, problem, remedy)
        try:
            network = FrozenNetwork(self.load(*paths), name, self.num_outputs, path, "+".join(digests), self.min_frames)
            # Of another network the outputs tell; now, and not after thousands of videos were generated.
            outputs = network(*[torch.zeros(1, 3, 16, 128, 128, dtype=torch.uint8)] * self.num_inputs)
            if outputs.numel() != self.num_outputs:
                raise ValueError(f"it gives {outputs.numel()} values for a video, not {self.num_outputs}")
        # A damaged or foreign file fails in as many ways as there are formats; all of them are the user's file.
        except Exception as error:
            reason = (str(error).strip() or repr(error)).splitlines()[-1]
            problem = f"cannot be read as {self.file_name}: {reason}"
            raise InvalidArgumentError(argument, path, problem, f"Give the published {self.file_name}.") from error
        return network

    def _beside(self, path: Path, companion: PublishedFile, argument: str) -> Path:
        beside = path.parent / companion.name
        found = beside if beside.is_file() else find_weights(companion.name, None, argument)
        if found is None:
            how = companion.how_to_get()
            raise InvalidArgumentError(
                argument, path, f"needs {companion.name} beside it", f"{how[0].upper()}{how[1:]}, and put it there."
            )
        return found

    def remedy(self, argument: str) -> str:
        """How to add the network, if `find` returned None."""
        return f"{self.name} is missing: {remedy(self.file_name, argument)}"


def _is_trusted(path: Path, digest: str, trusted: Sequence[str | Path]) -> bool:
    paths = [Path(one).expanduser() for one in trusted]
    return digest in map(str, trusted) or any(one.exists() and one.samefile(path) for one in paths)


class _StyleGANVI3D(nn.Module):
    def __init__(self, script: nn.Module) -> None:
        super().__init__()
        self.script = script

    def forward(self, videos: Tensor) -> Tensor:
        # rescale: pixels to [-1, 1]; resize: to 224 x 224; return_features: the 400 logits, before the softmax.
        return self.script(videos, rescale=True, resize=True, return_features=True)


class _C3DLogProbabilities(nn.Module):
    def __init__(self, script: nn.Module) -> None:
        super().__init__()
        self.script = script

    def forward(self, videos: Tensor) -> Tensor:
        return self.script(videos).log()


def _open_torchscript(path: Path) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", FutureWarning
        )  # deprecated by torch, but it is how these networks are published
        return torch.jit.load(path, map_location="cpu")


STYLEGAN_V_I3D = PublishedNetwork(
    name="i3d-stylegan-v",
    file=pretrained_files.I3D_STYLEGAN_V,
    num_outputs=400,
    load=lambda path: _StyleGANVI3D(_open_torchscript(path)),
    is_program=True,
    min_frames=MIN_FRAMES,
)
"""FVD detector of the StyleGAN-V protocol (Skorokhodov et al., arXiv 2112.14683): a TorchScript program."""

C3D_UCF101 = PublishedNetwork(
    name="c3d-ucf101",
    file=pretrained_files.C3D_UCF101,
    num_outputs=101,
    load=lambda path: _C3DLogProbabilities(_open_torchscript(path)),
    is_program=True,
)
"""Classifier of the video Inception Score in the literature: a TorchScript program with its own preprocessing."""

C3D_MMACTION = PublishedNetwork(
    name="c3d-ucf101-mmaction2",
    file=pretrained_files.C3D_MMACTION,
    num_outputs=101,
    load=lambda path: load_c3d(load_tensors(path)),
)
"""C3D fine-tuned on UCF-101 by MMAction2: a plain state dict, for machines that run no foreign programs. Its scores
are close to those of `C3D_UCF101` at best, so they carry another name."""
