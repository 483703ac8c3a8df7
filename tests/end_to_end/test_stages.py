"""Both stages train, hand over, go on, and are read back."""

import re

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pvdm_lightning.training import AutoencoderModule, LatentDiffusionModule


def events(checkpoint):
    accumulator = EventAccumulator(str(checkpoint.resolve().parents[1]), size_guidance={"images": 0, "scalars": 0})
    accumulator.Reload()
    return accumulator


def steps_of(accumulator, tag):
    return [event.step for event in accumulator.Scalars(tag)]


def test_dashboard_of_stage_one(trained):
    log = events(trained["ae"])
    scalars = set(log.Tags()["scalars"])
    assert {"train/loss", "train/l1", "train/psnr", "train/learning_rate", "train/clips_per_second"} <= scalars
    assert {"train/adversarial", "train/feature_matching", "train/discriminator", "val/psnr"} <= scalars
    logged = yaml.safe_load((trained["ae"].parents[1] / "hparams.yaml").read_text())
    assert logged["learning_rate"] == 1e-3 and logged["autoencoder"]["init_args"]["patch"] == 8


def test_phases_alternate(trained):
    """Steps 0 and 1 reconstruct; from step 2 the autoencoder and the discriminators take turns."""
    log = events(trained["ae"])
    assert steps_of(log, "train/l1")[0] == 0
    assert steps_of(log, "train/adversarial")[0] == 2
    assert steps_of(log, "train/discriminator") == [3]


def test_dashboard_of_stage_two(trained):
    log = events(trained["ldm"])
    assert {"train/loss", "train/learning_rate", "train/clips_per_second", "val/loss", "val/loss_next_clip"} <= set(
        log.Tags()["scalars"]
    )
    rates = [event.value for event in log.Scalars("train/learning_rate")]
    assert torch.allclose(torch.tensor(rates), 1e-3 * torch.tensor([1, 2, 3, 4]) / 4)  # the warm-up is applied


def test_the_autoencoder_is_frozen_and_carried(trained, load):
    stage_one, stage_two = load(trained["ae"])["state_dict"], load(trained["ldm"])["state_dict"]
    own = {key: value for key, value in stage_one.items() if key.startswith("autoencoder.")}
    assert own
    for key, value in own.items():
        assert torch.equal(value, stage_two[f"autoencoder.{key}"]), key


def test_the_average_follows_the_denoiser(trained, load):
    state = load(trained["ldm"])["state_dict"]
    assert state["ema.num_updates"] == 4
    moved = [
        key
        for key, value in state.items()
        if key.startswith("denoiser.")
        and value.is_floating_point()
        and not torch.equal(value, state[f"ema.network.{key.removeprefix('denoiser.')}"])
    ]
    assert moved
    assert not any(key.startswith("ema.") and "autoencoder" in key for key in state)


def test_checkpoints_are_read_back_in_python(trained):
    one = AutoencoderModule.load_from_checkpoint(trained["ae"], map_location="cpu")
    two = LatentDiffusionModule.load_from_checkpoint(trained["ldm"], map_location="cpu")
    assert one.clip_shape == two.clip_shape == (4, 16, 24)
    for key, value in one.autoencoder.state_dict().items():
        assert torch.equal(value, two.autoencoder.autoencoder.state_dict()[key])


def assert_equal_states(one, other):
    assert one["state_dict"].keys() == other["state_dict"].keys()
    for key, value in one["state_dict"].items():
        assert torch.allclose(value, other["state_dict"][key], atol=1e-6), key


def test_stage_one_goes_on_as_if_it_had_not_stopped(pvdm, workdir, trained, load):
    """Into the adversarial phase: stopped after step 3, the discriminators' turn is next."""
    pvdm.run("fit", "--config", "tiny_ae.yaml", "--trainer.max_steps", 3)
    assert load(pvdm.last)["global_step"] == 3
    pvdm.run("fit", "--config", "tiny_ae.yaml", "--ckpt_path", pvdm.last)
    resumed = load("runs/run/latest/last.ckpt")
    assert resumed["global_step"] == 4
    assert len(resumed["optimizer_states"]) == 2
    assert_equal_states(resumed, load(trained["ae"]))


def test_stage_two_goes_on_without_the_stage_one_file(pvdm, workdir, trained, load):
    first_stage = workdir / "stage_one.ckpt"
    first_stage.write_bytes(trained["ae"].read_bytes())
    pvdm.run(
        "fit", "--config", "tiny_ldm.yaml", "--model.autoencoder_checkpoint", first_stage, "--trainer.max_steps", 3
    )
    first_stage.unlink()
    pvdm.run(
        "fit", "--config", "tiny_ldm.yaml", "--model.autoencoder_checkpoint", first_stage, "--ckpt_path", pvdm.last
    )
    assert_equal_states(load("runs/run/latest/last.ckpt"), load(trained["ldm"]))


AE_RECIPE = ["--config", "model/ae_few_steps.yaml"]
LDM_RECIPE = ["--config", "model/ldm_few_steps.yaml", "--trainer.gradient_clip_val", 1]


@pytest.fixture
def by_recipe(pvdm, workdir, load):
    """Runs of 4 steps of both stages with all that docs/recipes.md recommends: whole, and stopped after 2."""
    ends = {}
    for stage, recipe in (("ae", AE_RECIPE), ("ldm", LDM_RECIPE)):
        first_stage = ["--model.autoencoder_checkpoint", ends["ae"]] if stage == "ldm" else []
        fit = ["fit", "--config", f"tiny_{stage}.yaml", *recipe, *first_stage]
        for name, more in (("whole", []), ("half", ["--trainer.max_steps", 2])):
            pvdm.run(*fit, *more, "--trainer.default_root_dir", f"{stage}_{name}")
        half = f"{stage}_half/run/latest/last.ckpt"
        pvdm.run(*fit, "--ckpt_path", half, "--trainer.default_root_dir", f"{stage}_resumed")
        ends[stage] = f"{stage}_whole/run/latest/last.ckpt"
    return ends


def test_the_recipe_of_few_steps_resumes_samples_and_keeps_to_its_optimizer(pvdm, by_recipe, load, error_of):
    for stage, path in by_recipe.items():
        resumed = load(f"{stage}_resumed/run/latest/last.ckpt")
        assert resumed["global_step"] == 4
        assert len(resumed["optimizer_states"][0]["param_groups"]) == 2
        assert_equal_states(resumed, load(path))
    pvdm.run("predict", "--ckpt_path", by_recipe["ldm"], "--trainer.accelerator", "cpu", "--sampling.num_videos", 1)
    other = ["--model.optimizer", "adamw", "--ckpt_path", by_recipe["ldm"], "--trainer.max_steps", 6]
    assert "--model.optimizer adamw: differs from the checkpoint's, which is muon. Give muon, or" in error_of(
        "fit", "--config", "tiny_ldm.yaml", *LDM_RECIPE, *other
    )
    new = ["--model.learning_rate", 1e-5, "--trainer.default_root_dir", "new"]
    pvdm.run("fit", "--config", "tiny_ldm.yaml", *LDM_RECIPE, *other[2:], *new)
    after = load("new/run/latest/last.ckpt")
    assert after["lr_schedulers"][0]["base_lrs"] == [1e-5, 1e-5] and after["global_step"] == 6


def test_adversarial_phase_as_a_run_of_its_own(pvdm, workdir, load):
    pvdm.run("fit", "--config", "tiny_ae.yaml", "--model.adversarial_start", "null", "--trainer.max_steps", 2)
    before = load(pvdm.last)
    pvdm.run("fit", "--config", "tiny_ae.yaml", "--model.adversarial_start", 0, "--ckpt_path", pvdm.last)
    after = load("runs/run/latest/last.ckpt")
    weights = "loss.discriminators.clip.to_logits.weight"
    assert not torch.equal(before["state_dict"][weights], after["state_dict"][weights])
    assert after["optimizer_states"][1]["state"]


def test_options_given_to_a_run_that_goes_on_are_taken(pvdm, workdir, trained, load):
    new = ["--model.learning_rate", 1e-4, "--trainer.max_steps", 6]
    pvdm.run("fit", "--config", "tiny_ae.yaml", "--ckpt_path", trained["ae"], "--model.betas", "[0.3,0.7]", *new)
    for state in load(pvdm.last)["optimizer_states"]:
        (group,) = state["param_groups"]
        assert (group["lr"], tuple(group["betas"])) == (1e-4, (0.3, 0.7))
    pvdm.run("fit", "--config", "tiny_ldm.yaml", "--ckpt_path", trained["ldm"], *new)
    after = load("runs/run/latest/last.ckpt")
    assert after["optimizer_states"][0]["param_groups"][0]["lr"] == pytest.approx(1e-4)
    assert after["lr_schedulers"][0]["base_lrs"] == [1e-4]


def test_gradients_of_stage_two_can_be_clipped_in_mixed_precision(pvdm, workdir, trained, load):
    clipped = ["--trainer.gradient_clip_val", 1.0, "--trainer.precision", "bf16-mixed", "--trainer.max_steps", 2]
    pvdm.run("fit", "--config", "tiny_ldm.yaml", "--model.autoencoder_checkpoint", trained["ae"], *clipped)
    clipped = load(pvdm.last)
    assert clipped["global_step"] == 2
    (group,) = clipped["optimizer_states"][0]["param_groups"]
    assert group["fused"]
    group["fused"] = False  # as in float16
    torch.save(clipped, pvdm.last)
    pvdm.run("fit", "--config", "tiny_ldm.yaml", "--ckpt_path", pvdm.last, "--trainer.max_steps", 3)
    resumed = load("runs/run/latest/last.ckpt")
    assert resumed["optimizer_states"][0]["param_groups"][0]["fused"]


def test_the_path_of_the_checkpoint_may_stand_in_a_configuration(pvdm, workdir, trained, capsys):
    config = yaml.safe_load((workdir / "tiny_ae.yaml").read_text())
    del config["checkpoint"], config["seed_everything"]
    (workdir / "whole.yaml").write_text(yaml.safe_dump({**config, "ckpt_path": str(trained["ae"])}))
    pvdm.run("validate", "--config", "whole.yaml")
    assert "val/psnr" in capsys.readouterr().out


def test_data_of_a_configuration_are_not_mixed_with_those_of_the_checkpoint(pvdm, workdir, trained, capsys):
    (workdir / "frames.yaml").write_text("data: {class_path: FrameFolder, init_args: {root: here}}")
    with pytest.raises(SystemExit):
        pvdm.run("validate", "--config", "frames.yaml", "--ckpt_path", trained["ae"], "--print_config")
    data = yaml.safe_load(capsys.readouterr().out)["data"]["init_args"]
    assert (data["root"], data["batch_size"], data["num_workers"]) == ("here", 8, None)


def test_options_beside_a_trained_model_change_it_alone(pvdm, workdir, trained, capsys):
    """A preset, and an option of the model: the rest is still the checkpoint's."""
    options = ["--config", "trainer/cpu.yaml", "--model.autoencoder.gradient_checkpointing", "true"]
    pvdm.run("validate", *options, "--ckpt_path", trained["ae"], "--trainer.logger", "false")
    assert "val/psnr" in capsys.readouterr().out


def test_validate_and_test_need_no_config(pvdm, workdir, trained, capsys):
    for stage, metrics in (("ae", ("val/psnr", "PSNR", "SSIM")), ("ldm", ("val/loss", "loss, next clip"))):
        for command in ("validate", "test"):
            few = ["--evaluation.generated.num", 2, "--sampling.num_inference_steps", 1] if stage == "ldm" else []
            few = [*few, "--evaluation.real.num", 2] if command == "test" else []  # else it would draw 2,048 videos
            pvdm.run(command, "--ckpt_path", trained[stage], "--trainer.accelerator", "cpu", *few)
        said = capsys.readouterr().out
        assert all(metric in said for metric in metrics)


def test_clips_too_short_for_a_pair_train_the_unconditional_part(pvdm, workdir, trained, load):
    pvdm.run(
        "fit",
        "--config",
        "tiny_ldm.yaml",
        "--model.autoencoder_checkpoint",
        trained["ae"],
        "--data.video_frames",
        5,
        "--trainer.max_steps",
        2,
    )
    assert load(pvdm.last)["global_step"] == 2
    tags = events(workdir / pvdm.last).Tags()["scalars"]
    assert "val/loss" in tags and "val/loss_next_clip" not in tags  # there is no next clip


def test_data_are_recorded_by_their_public_path(pvdm, workdir, load):
    module = "pvdm_lightning.data.datamodules.synthetic.Synthetic"
    pvdm.run("fit", "--config", "tiny_ae.yaml", "--data", module, "--data.num_val_videos", 3, "--trainer.max_steps", 1)
    data = load(pvdm.last)["data_config"]
    assert (data["class_path"], data["init_args"]["num_val_videos"]) == ("pvdm_lightning.Synthetic", 3)


def test_what_lightning_finds_is_said_and_used(pvdm, workdir, trained, load, caplog):
    search = ["--trainer.callbacks+=LearningRateFinder", "--trainer.callbacks.num_training_steps=20"]
    search += ["--trainer.callbacks.min_lr=1e-5", "--trainer.callbacks.early_stop_threshold=null"]
    first_stage = ["--model.autoencoder_checkpoint", trained["ae"]]
    pvdm.run("fit", "--config", "tiny_ldm.yaml", *first_stage, *search, "--trainer.profiler", "simple")
    (found,) = re.findall(r"Learning rate set to (\S+)", caplog.text)
    assert "Profiler Report" in caplog.text
    last = load(pvdm.last)
    assert last["hyper_parameters"]["learning_rate"] == float(found) != 1e-3
    assert last["optimizer_states"][0]["param_groups"][0]["initial_lr"] == float(found)
    assert last["global_step"] == 4


def test_a_search_for_the_learning_rate_of_two_optimizers_is_refused(workdir, error_of):
    line = error_of("fit", "--config", "tiny_ae.yaml", "--trainer.callbacks+=LearningRateFinder")
    assert "learning rate finder only works with single optimizer" in line
