"""A metric of your own: how much of a video moves, as a torchmetrics class. The same over any number of processes."""

import torch
from torch import Tensor
from torchmetrics import Metric

from pvdm_lightning import VideoPipeline


class MotionEnergy(Metric):
    """Mean absolute difference of neighbouring frames, in grey levels; compare generated videos with real ones."""

    higher_is_better = None
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Sums in float64 that processes add up: the mean does not depend on how videos are split into batches.
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, videos: Tensor) -> None:
        """Add videos uint8 [B 3 T H W]."""
        if videos.dtype != torch.uint8:
            raise ValueError(f"videos are uint8 [B 3 T H W], got {videos.dtype}")
        difference = videos.double().diff(dim=2).abs()
        self.total += difference.mean(dim=(1, 2, 3, 4)).sum()
        self.count += len(videos)

    def compute(self) -> Tensor:
        return self.total / self.count


if __name__ == "__main__":
    pipeline = VideoPipeline.from_pretrained("showcase")
    metric = MotionEnergy()
    metric.update(pipeline.sample(num_videos=2, sampler="dpm_solver", num_inference_steps=10))
    print(f"{float(metric.compute()):.1f} grey levels")
