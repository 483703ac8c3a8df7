import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger

from pvdm_lightning.callbacks import Throughput


class Idle(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch, batch_idx):
        return self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.filterwarnings("ignore")
def test_epochs_shorter_than_the_interval_of_the_log_are_logged_too(tmp_path):
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=8,
        log_every_n_steps=4,
        logger=CSVLogger(tmp_path, "run", "0"),
        callbacks=[Throughput()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Idle(), torch.utils.data.DataLoader([{"clip": torch.zeros(1)}] * 3))
    header, *lines = (tmp_path / "run/0/metrics.csv").read_text().splitlines()
    rates = [dict(zip(header.split(","), line.split(",")))["train/clips_per_second"] for line in lines]
    assert len(rates) == 2 and all(float(rate) > 0 for rate in rates)
