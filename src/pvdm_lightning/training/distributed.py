"""One computation over several processes: batch norm of a whole batch, and sharded networks (FSDP2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.distributed as dist
from lightning import Trainer
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.nn.functional import all_reduce
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from pvdm_lightning.models.denoiser import Denoiser


class GlobalBatchNorm(_BatchNorm):
    """Mean and variance of a whole batch, whatever the number of processes it is split over.

    nn.SyncBatchNorm does it on GPUs alone. Running statistics are not kept.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions."""

    def forward(self, input: Tensor) -> Tensor:
        if not dist.is_initialized() or dist.get_world_size() == 1:
            return F.batch_norm(input, None, None, self.weight, self.bias, training=True, eps=self.eps)
        x = input.float()
        axes = [0, *range(2, x.dim())]
        shape = (1, -1, *[1] * (x.dim() - 2))
        count = all_reduce(x.new_tensor(x.numel() / x.shape[1]))
        mean = all_reduce(x.sum(axes)) / count
        centred = x - mean.view(shape)
        variance = all_reduce(centred.square().sum(axes)) / count
        scaled = centred * (variance + self.eps).rsqrt().view(shape)
        return (scaled * self.weight.view(shape) + self.bias.view(shape)).to(input.dtype)


def use_global_batch_norm(network: nn.Module) -> None:
    """Turn each batch norm of a network into a global one; parameters and their names stay."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.__class__ = GlobalBatchNorm  # type: ignore[assignment]


def shard(trainer: Trainer, networks: Sequence[Denoiser]) -> None:
    """Shard denoisers, unit by unit, over all processes of a run whose strategy is ModelParallelStrategy."""
    strategy = trainer.strategy
    if not isinstance(strategy, ModelParallelStrategy):
        return
    # All processes, however the strategy arranges them: each has other samples.
    mesh = strategy.device_mesh._flatten("all")
    for network in networks:
        for unit in network.shard_units():
            fully_shard(unit, mesh=mesh)
        fully_shard(network, mesh=mesh)


def gather(network: nn.Module) -> None:
    """Bring the whole weights to each process until `release`: its forward passes then wait for no other process.

    Processes evaluate different numbers of clips, and one alone samples for the dashboard.
    """
    for part in network.modules():
        if isinstance(part, FSDPModule):
            part.set_reshard_after_forward(False, recurse=False)
            part.unshard()


def release(network: nn.Module) -> None:
    """Keep each process's part alone again."""
    for part in network.modules():
        if isinstance(part, FSDPModule):
            part.reshard()
