"""LPIPS with an AlexNet trunk: several times smaller than with VGG-16, so that it carries another name."""

from pathlib import Path

from pvdm_lightning.foreign_files import load_tensors
from pvdm_lightning.metrics.lpips_vgg import VideoLPIPSDistance
from pvdm_lightning.metrics.published_network import PublishedNetwork
from pvdm_lightning.pretrained_files import ALEXNET


def _load(path: Path) -> VideoLPIPSDistance:
    return VideoLPIPSDistance(load_tensors(path), "alex")


LPIPS_ALEXNET = PublishedNetwork(
    name="lpips-alexnet",
    file=ALEXNET,
    num_outputs=1,
    load=_load,
    num_inputs=2,
)
