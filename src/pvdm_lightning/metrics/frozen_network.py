"""A network whose outputs are measured: it never trains, never changes precision and says which weights it has."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from pvdm_lightning.errors import check_videos


@contextmanager
def exact_inference(device: torch.device) -> Iterator[None]:
    """No gradients, no autocast and full float32 products, whatever the settings of the run.

    TF32 and bf16 products shift features enough to show in a Frechet distance, so that the same videos would measure
    differently in a run with ``Trainer.precision bf16-mixed`` or ``torch.set_float32_matmul_precision("medium")``.
    """
    precision = torch.get_float32_matmul_precision()
    cudnn = torch.backends.cudnn
    torch.set_float32_matmul_precision("highest")
    try:
        with (
            torch.no_grad(),
            torch.autocast(device.type, enabled=False),
            cudnn.flags(
                enabled=cudnn.enabled, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False
            ),
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)


class FrozenNetwork:
    """A callable around a module, deliberately not an ``nn.Module``.

    A metric that holds it registers nothing: no parameters, nothing in the state dict, and neither ``.train()`` nor
    ``.half()`` of the metric or of the LightningModule around it reaches the weights.

    Args:
        module: Maps uint8 videos [B 3 T H W] to [B F] (or two such videos to [B], for a distance).
        name: As results name it, e.g. ``i3d-original``. Anything but published weights says so here.
        num_outputs: F.
        path: The file the weights came from, if any.
        sha256: That file's SHA-256, hexadecimal.
        min_frames: Frames that a video must have.
    """

    def __init__(
        self,
        module: nn.Module,
        name: str,
        num_outputs: int,
        path: Path | None = None,
        sha256: str | None = None,
        min_frames: int = 1,
    ) -> None:
        self.name, self.num_outputs, self.path, self.sha256 = name, num_outputs, path, sha256
        self.min_frames = min_frames
        self._module = module.float().eval().requires_grad_(False)

    def __call__(self, *videos: Tensor, unquantised: bool = False) -> Tensor:
        """Run on the device of `videos`, each uint8 [B 3 T H W] in 0..255; returns float32.

        Args:
            videos: As many as the module takes.
            unquantised: Whether they may be float32 in 0..255 as well.

        Raises:
            ValueError: A tensor is not such a video batch.
        """
        for batch in videos:
            check_videos(f"videos for {self.name}", batch, "[B 3 T H W]", unquantised)
        device = videos[0].device
        with exact_inference(device):
            outputs = self._module.to(device)(*videos)
        return outputs.float()
