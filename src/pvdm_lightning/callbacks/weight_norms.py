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
        for name, network in networks_of(pl_module).items():
            if not any(weight.requires_grad for weight in network.parameters()):
                continue
            norm = get_total_norm([weight.detach() for weight in network.parameters()])
            pl_module.log(f"weights/{name}", norm)


def networks_of(module: LightningModule) -> dict[str, nn.Module]:
    """The networks of a module by name; those of its loss count as its own."""
    children = dict(module.named_children())
    loss = children.pop("loss", None)
    return children | (dict(loss.named_children()) if loss is not None else {})
