"""Norms of the networks' weights."""

from __future__ import annotations

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import nn
from torch.nn.utils import get_total_norm


class WeightNorms(Callback):
    """Logs the norm of each trained network's weights where the log has an entry anyway."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer._logger_connector.should_update_logs:
            return
        for name, network in trained_networks(pl_module).items():
            norm = get_total_norm([weight.detach() for weight in network.parameters()])
            pl_module.log(f"weights/{name}", norm)


def trained_networks(module: LightningModule) -> dict[str, nn.Module]:
    """The networks of a module that have weights to train, by name."""
    children = dict(module.named_children())
    loss = children.pop("loss", None)
    children |= dict(loss.named_children()) if loss is not None else {}
    return {
        name: child for name, child in children.items() if any(weight.requires_grad for weight in child.parameters())
    }
