"""The progress bar of a run."""

import re
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def test_it_shows_the_figures_of_the_step_it_names(workdir, pvdm, capsys):
    """Also where it is not due to be drawn: in a log file that is every half minute."""
    fit = ("fit", "--config", "tiny_ae.yaml", "--trainer.enable_progress_bar", "true", "--trainer.max_steps", 6)
    pvdm.run(*fit, "--model.adversarial_start", "null")
    shown = re.findall(r"(\w+): .*\| (\d)/6 .*?\bloss ([\d.]+)(?:.*val/psnr ([\d.]+))?", capsys.readouterr().err)
    assert {("validating", "2"), ("validating", "4"), ("training", "4"), ("training", "6")} <= {it[:2] for it in shown}
    (folder,) = (path for path in Path("runs/run").iterdir() if not path.is_symlink())
    logged = EventAccumulator(str(folder)).Reload()
    losses = [event.value for event in logged.Scalars("train/loss")]
    psnr = logged.Scalars("val/psnr")[-1].value
    for _, step, loss, _ in shown:
        assert float(loss) == pytest.approx(losses[int(step) - 1], rel=1e-3)
    assert float(shown[-1][-1]) == pytest.approx(psnr, rel=1e-3)
