"""Metrics over a set shared out to processes; test_metrics.py runs it with RANK WORLD_SIZE STORE OUT."""

import json
import sys
from pathlib import Path

import torch
from torch import nn

from pvdm_lightning.metrics import FrechetVideoDistance, FrozenNetwork, VideoInceptionScore, VideoPSNR


class RandomFeatures(nn.Module):
    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.conv = nn.Conv3d(3, 12, 3, bias=False)
        self.conv.weight.data.normal_(generator=generator)

    def forward(self, videos):
        return torch.relu(self.conv(videos.float() / 127.5 - 1)).mean(dim=(2, 3, 4))


class RandomLogProbabilities(RandomFeatures):
    def forward(self, videos):
        return super().forward(videos).log_softmax(dim=1)


def main(rank, world_size, store, out):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world_size)
    g = torch.Generator().manual_seed(1)
    brightness = torch.randint(20, 236, (41, 3, 1, 1, 1), generator=g)
    real = (brightness + torch.randint(-20, 20, (41, 3, 4, 8, 8), generator=g)).to(torch.uint8)
    generated = (real.float() * 0.8 + 10).to(torch.uint8)
    features = FrozenNetwork(RandomFeatures(), "random-weights", 12)

    def own(videos):
        # Uneven on purpose: the second of two processes has 5 videos.
        return videos if world_size == 1 else videos[:36] if rank == 0 else videos[36:]

    fvd, one_sided = FrechetVideoDistance(features, num_frames=4), FrechetVideoDistance(features, num_frames=4)
    score = VideoInceptionScore(FrozenNetwork(RandomLogProbabilities(), "random-weights", 12), num_splits=4)
    psnr = VideoPSNR()
    for batch in own(torch.arange(41)).split(7 if rank == 0 else 2):
        fvd.update(real[batch], real=True)
        fvd.update(generated[batch], real=False)
        score.update(generated[batch], batch)
        psnr.update(generated[batch], real[batch])
    if rank == 0:  # the other process never updates
        one_sided.update(real, real=True)
        one_sided.update(generated, real=False)
    known = FrechetVideoDistance(features, num_frames=4)
    known.use_real_statistics(fvd.real_statistics())
    for batch in own(torch.arange(41)).split(4):
        known.update(generated[batch], real=False)
    results = {
        "fvd": fvd.compute().item(),
        "fvd without updates on a process": one_sided.compute().item(),
        "fvd with known real statistics": known.compute().item(),
        "generated videos": fvd.generated_statistics().count,
        "inception score": score.compute().mean.item(),
        "inception score's deviation": score.compute().std.item(),
        "psnr": psnr.compute().item(),
    }
    Path(out).write_text(json.dumps(results))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
