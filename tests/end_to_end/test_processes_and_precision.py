"""Two processes and bf16-mixed: both stages and predict."""

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TWO = [
    "--trainer.devices",
    2,
    "--trainer.accelerator",
    "cpu",
    "--trainer.strategy",
    "ddp",
]

# One validation, after the steps whose number follows; no pictures.
ONCE = ["--video_logger.num_videos", 0, "--trainer.val_check_interval", 3, "--trainer.max_steps"]

RANKS = '''
import sys
import torch
from pvdm_lightning.callbacks import Checkpoints
from pvdm_lightning.cli import program


def save_weights(self, trainer, pl_module):
    """Writes each process's weights, which Lightning's checkpoints do not show."""
    torch.save(pl_module.state_dict(), f"rank{trainer.global_rank}.pt")


Checkpoints.on_fit_end = save_weights
program.main(sys.argv[1:])
'''


@pytest.fixture(scope="module")
def fitted_by_two(pvdm, trained, tmp_path_factory):
    """Folder of a run of each stage by two processes."""
    folders = {}
    for stage in ("ae", "ldm"):
        folder = tmp_path_factory.mktemp(f"{stage}_by_two")
        pvdm.write(folder)
        (folder / "ranks.py").write_text(RANKS)
        first_stage = ["--model.autoencoder_checkpoint", trained["ae"]] if stage == "ldm" else []
        pvdm.fork(folder, "fit", "--config", f"tiny_{stage}.yaml", *first_stage, *TWO, ranks=2, program="ranks.py")
        folders[stage] = folder
    return folders


@pytest.mark.parametrize("stage", ["ae", "ldm"])
def test_both_processes_end_with_equal_weights(fitted_by_two, pvdm, trained, load, stage):
    folder = fitted_by_two[stage]
    first, second = (load(folder / f"rank{rank}.pt") for rank in (0, 1))
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert torch.equal(value, second[key]), key
    start = load(trained[stage])["state_dict"]  # one process, other batches: trained as well, but not the same
    assert max(float((value - start[key]).abs().max()) for key, value in first.items()) > 1e-4
    assert load(folder / pvdm.last)["global_step"] == 4


def test_two_processes_sample_what_one_samples(pvdm, workdir, trained):
    options = ["--sampling.num_videos", 3, "--sampling.batch_size", 1, "--sampling.num_inference_steps", 2]
    common = ["predict", "--ckpt_path", trained["ldm"], *options, "--output.formats", "[npy]"]
    pvdm.fork(workdir, *common, "--output.dir", "one", "--trainer.accelerator", "cpu", "--trainer.devices", 1)
    pvdm.fork(workdir, *common, "--output.dir", "two", *TWO, ranks=2)
    for i in range(3):
        one, two = (np.load(workdir / folder / f"video_0000{i}.npy").astype(int) for folder in ("one", "two"))
        assert np.abs(one - two).max() <= 1
    assert len(list((workdir / "two").glob("video_*"))) == 3


def losses(checkpoint):
    log = EventAccumulator(str(checkpoint.resolve().parents[1]), size_guidance={"images": 0, "scalars": 0}).Reload()
    return [event.value for event in log.Scalars("train/loss")]


@pytest.mark.parametrize("stage", ["ae", "ldm"])
def test_bf16(pvdm, workdir, trained, load, stage, monkeypatch):
    computed_in = set()
    linear = torch.nn.functional.linear

    def noting(*args):
        y = linear(*args)
        computed_in.add(y.dtype)
        return y

    monkeypatch.setattr(torch.nn.functional, "linear", noting)
    first_stage = ["--model.autoencoder_checkpoint", trained["ae"]] if stage == "ldm" else []
    short = ["--trainer.max_steps", 2, "--trainer.val_check_interval", 2, "--video_logger.num_videos", 0]
    pvdm.run("fit", "--config", f"tiny_{stage}.yaml", *first_stage, *short, "--trainer.precision", "bf16-mixed")
    written = load(pvdm.last)["state_dict"]
    for key, value in load(trained[stage])["state_dict"].items():
        assert written[key].dtype == value.dtype
    ours, full = (losses(path)[:2] for path in (workdir / pvdm.last, trained[stage]))
    assert torch.bfloat16 in computed_in
    # The first step has the same weights and random numbers; after it, AdamW amplifies rounding.
    assert ours[0] == pytest.approx(full[0], rel=0.01)
    assert ours == pytest.approx(full, rel=0.1)
    pvdm.run(
        "predict",
        "--ckpt_path",
        pvdm.last,
        "--trainer.precision",
        "bf16-mixed",
        "--trainer.accelerator",
        "cpu",
        "--sampling.num_videos",
        1,
        "--sampling.num_inference_steps",
        2,
        "--output.formats",
        "[npy]",
    )
    assert len(list((workdir / "samples").glob("*.npy"))) == 1


def distance(one, other):
    """L2 norm of the difference of two state dicts, over all weights."""
    assert {key: value.shape for key, value in one.items()} == {key: value.shape for key, value in other.items()}
    return float(torch.cat([(value.double() - other[key].double()).flatten() for key, value in one.items()]).norm())


@pytest.mark.parametrize("stage", ["ae", "ldm"])
def test_the_same_global_batch_gives_the_same_weights(pvdm, workdir, trained, load, stage):
    # Five steps: of stage one two without and three with discriminators.
    fit = ["fit", "--config", f"tiny_{stage}.yaml", *ONCE, 5]
    if stage == "ldm":
        # A norm of one channel takes biases away: their gradient would be rounding noise, of which Adam makes steps.
        fit += ["--model.autoencoder_checkpoint", trained["ae"], "--model.denoiser.norm_groups", 4]
    pvdm.run(*fit, "--data.batch_size", 4, "--checkpoint.dirpath", "one")
    pvdm.fork(workdir, *fit, *TWO, "--checkpoint.dirpath", "two", ranks=2)
    pvdm.run(*fit, "--data.batch_size", 8, "--checkpoint.dirpath", "of_eight")
    one, two, of_eight = (load(f"{name}/last.ckpt")["state_dict"] for name in ("one", "two", "of_eight"))
    # They differ by rounding, of which Adam makes steps where gradients are near zero: how much, depends on the
    # processor. Weights of other batches tell how little it is.
    assert 100 * distance(one, two) < distance(one, of_eight)


def test_a_sharded_denoiser_trains_alike_and_its_checkpoint_is_whole(pvdm, workdir, trained, load):
    fit = ["fit", "--config", "tiny_ldm.yaml", *ONCE, 3, "--model.denoiser.norm_groups", 4]
    fit += ["--model.autoencoder_checkpoint", trained["ae"], "--model.denoiser.channel_multipliers", "[1]"]
    pvdm.run(*fit, "--data.batch_size", 4, "--checkpoint.dirpath", "one")
    pvdm.run(*fit, "--data.batch_size", 8, "--checkpoint.dirpath", "of_eight")
    sharded = [*fit, "--config", "trainer/fsdp.yaml", "--trainer.devices", 2, "--checkpoint.dirpath", "two"]
    pvdm.fork(workdir, *sharded, ranks=2)
    one, two, of_eight = (load(f"{name}/last.ckpt")["state_dict"] for name in ("one", "two", "of_eight"))
    assert 100 * distance(one, two) < distance(one, of_eight)
    # It goes on with shards and on one device, and samples.
    pvdm.fork(workdir, *sharded, "--trainer.max_steps", 4, "--resume", ranks=2)
    pvdm.run(*fit, "--checkpoint.dirpath", "two", "--trainer.max_steps", 5, "--resume")
    assert load("two/last.ckpt")["global_step"] == 5
    pvdm.run("predict", "--ckpt_path", "two/last.ckpt", "--sampling.num_videos", 1, "--sampling.num_inference_steps", 1)
