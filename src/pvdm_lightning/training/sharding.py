"""Networks sharded over processes (FSDP2): each keeps a part of the weights, gradients and optimizer states."""

from __future__ import annotations

from lightning import Trainer
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed.fsdp import FSDPModule, fully_shard

from pvdm_lightning.models.unet import TriplaneUNet


def shard(trainer: Trainer, networks: list[TriplaneUNet]) -> None:
    """Shard U-Nets, block by block, over all processes of a run whose strategy is ModelParallelStrategy."""
    strategy = trainer.strategy
    if not isinstance(strategy, ModelParallelStrategy):
        return
    # All processes, however the strategy arranges them: each has other samples.
    mesh = strategy.device_mesh._flatten("all")
    for network in networks:
        blocks: list[nn.Module] = [*network.down, network.middle, *network.up]
        for block in blocks:
            fully_shard(block, mesh=mesh)
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
