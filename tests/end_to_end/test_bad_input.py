"""A user's mistake: one line that names the flag, the value and the remedy, before any training step."""

import pytest
import torch


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--config", "nowhere.yaml"], "--config nowhere.yaml: is neither a file here nor a shipped configuration"),
        (["--config", "tiny_ae.yaml", "--ckpt_path", "no.ckpt"], "--ckpt_path no.ckpt: there is no such file. Give"),
        (
            ["--config", "tiny_ae.yaml", "--model.autoencoder.resolution", "100"],
            "--model.autoencoder.resolution 100 x 100: 100 is not divisible by the patch of 8 pixels. Give a multiple",
        ),
        (
            ["--config", "tiny_ae.yaml", "--data.resolution", "32"],
            "--data.frames/--data.resolution 4 x 32 x 32: differs from the 4 x 16 x 24 of the autoencoder. Leave",
        ),
        (
            ["--config", "tiny_ae.yaml", "--data.video_frames", "3"],
            "--data.frames 4: no train video has the 4 frames of a clip, the longest one has 3. Ask for fewer frames",
        ),
        (
            ["--config", "tiny_ae.yaml", "--data", "VideoFolder", "--data.root", "nothing"],
            "--data.root nothing: there is no such folder. See data/README.md",
        ),
        (
            ["--config", "tiny_ae.yaml", "--data", "VideoFolder", "--data.root", "."],
            "--data.root .: there are no video files in it. See data/README.md",
        ),
        (["--config", "ae.yaml"], "--data.root data/UCF-101: there is no such folder. See data/README.md"),
        (
            # The width does not matter here, and the paper's takes seconds and gigabytes to build.
            ["--config", "ldm.yaml", "--model.denoiser.base_channels", "32"],
            "--model.autoencoder_checkpoint None: stage two needs the autoencoder",
        ),
        (
            ["--config", "tiny_ldm.yaml", "--model.autoencoder_checkpoint", "tiny_ae.yaml"],
            "--model.autoencoder_checkpoint tiny_ae.yaml: is not a checkpoint of this project",
        ),
        (
            ["--config", "tiny_ldm.yaml", "--model.denoiser.base_channels", "40"],
            "--model.denoiser.base_channels 40: is not a multiple of 32, the groups of the norms",
        ),
        (
            ["--config", "tiny_ldm.yaml", "--model.denoiser.channel_multipliers", "[0,1]"],
            "--model.denoiser.channel_multipliers [0, 1]: are not all positive, one for each level. Give such as",
        ),
        (
            ["--config", "tiny_ldm.yaml", "--model.num_train_timesteps", "0"],
            "--model.num_train_timesteps 0: is less than 1.",
        ),
        (
            ["--config", "tiny_ldm.yaml", "--model.ema_decay", "2"],
            "--model.ema_decay 2.0: is not a fraction. Give 0 to 1",
        ),
        (["--config", "tiny_ldm.yaml", "--model.beta_end", "0"], "--model.beta_start/--model.beta_end 0.0015/0.0: do"),
        (["--config", "tiny_ae.yaml", "--model.learning_rate", "-1"], "--model.learning_rate -1.0: is not positive."),
        (
            ["--config", "tiny_ae.yaml", "--model.accumulate_grad_batches", "0"],
            "--model.accumulate_grad_batches 0: is less than 1. Give 1 or more.",
        ),
        (
            ["--config", "tiny_ae.yaml", "--trainer.precision", "bf16-true"],
            "--trainer.precision bf16-true: is not a precision that the networks run in. Give one of 32-true, bf16-mi",
        ),
        (["--config", "tiny_ae.yaml", "--trainer.accelerator", "mps"], "--trainer.accelerator mps: Apple's GPU has no"),
        (["--config", "tiny_ae.yaml", "--model.lerning_rate", "1"], "lerning_rate"),
        (["--config", "tiny_ae.yaml", "--trainer.max_steps", "many"], "max_steps"),
    ],
)
def test_fit(workdir, error_of, args, line):
    assert line in error_of("fit", *args)
    assert not list(workdir.rglob("*.ckpt"))


def test_checkpoints_of_the_wrong_stage(workdir, trained, error_of):
    line = error_of("fit", "--config", "tiny_ldm.yaml", "--model.autoencoder_checkpoint", trained["ldm"])
    assert line.startswith(f"pvdm: error: --model.autoencoder_checkpoint {trained['ldm']}: is a stage-two")
    line = error_of("fit", "--config", "tiny_ldm.yaml", "--ckpt_path", trained["ae"])
    assert line.startswith(f"pvdm: error: --ckpt_path {trained['ae']}: is a stage-one (autoencoder) checkpoint")


def test_checkpoints_of_another_network(workdir, trained, error_of):
    line = error_of("fit", "--config", "tiny_ae.yaml", "--model.autoencoder.dim", 64, "--ckpt_path", trained["ae"])
    assert f"--ckpt_path {trained['ae']}: does not fit the configured networks (autoencoder." in line


def test_latents_that_do_not_match_the_denoiser(workdir, trained, error_of):
    args = ["fit", "--config", "tiny_ldm.yaml", "--model.autoencoder_checkpoint", trained["ae"]]
    line = error_of(*args, "--model.denoiser.latent_channels", 3)
    assert "--model.denoiser.latent_channels 3: does not match the autoencoder's latents (4). Set it to 4." in line
    line = error_of(*args, "--model.denoiser.latent_shape", '{"frames": 16, "height": 32, "width": 32}')
    assert "--model.denoiser.latent_shape TriplaneShape(frames=16, height=32, width=32): does not match" in line


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--sampling.num_frames", "100000000000"], "--sampling.num_frames 100000000000: is more than 10,000,000"),
        (["--sampling.seed", "-1"], "--sampling.seed -1: is less than 0. Give 0 or more."),
        (["--sampling.num_videos", "0"], "--sampling.num_videos 0: is not positive. Give 1 or more."),
        (
            ["--sampling.num_inference_steps", "2000"],
            "--sampling.num_inference_steps 2000: is more than the 1000 steps",
        ),
        (["--sampling.eta", "2"], "--sampling.eta 2.0: is not between 0 and 1"),
        (["--sampling.sampler", "euler"], "euler"),
        (["--output.fps", "0"], "--output.fps 0.0: is not positive"),
        (["--output.dir", "tiny_ae.yaml"], "--output.dir tiny_ae.yaml: is a file. Name a folder."),
    ],
)
def test_predict(workdir, trained, error_of, args, line):
    said = error_of("predict", "--ckpt_path", trained["ldm"], "--trainer.accelerator", "cpu", *args)
    assert line in said


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_commands_that_need_a_trained_model(workdir, error_of, command):
    assert f"--ckpt_path None: {command} needs a trained model. Give" in error_of(command)
    assert f"--ckpt_path None: {command} needs a trained model. Give" in error_of(command, "--config", "tiny_ae.yaml")
    assert "there is no such file" in error_of(command, "--ckpt_path", "no.ckpt")


def test_a_file_that_would_run_code_is_refused(workdir, error_of):
    class Attack:
        def __reduce__(self):
            return (open, ("attacked", "w"))

    torch.save({"state_dict": {}, "hyper_parameters": Attack()}, "evil.ckpt")
    assert "--ckpt_path evil.ckpt: is not a checkpoint of this project" in error_of(
        "predict", "--ckpt_path", "evil.ckpt"
    )
    assert not (workdir / "attacked").exists()


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (
            ["--model.lerning_rate", "1"],
            "--model.lerning_rate: there is no such option. Did you mean --model.learning_rate?",
        ),
        (["--model.optimizer", "sgd"], "--model.optimizer sgd: is not one of adamw, muon."),
        (
            ["--model.autoencoder.dept", "3"],
            "--model.autoencoder.dept: there is no such option. Did you mean --model.auto",
        ),
        (["--data.bathc_size", "3"], "--data.bathc_size: there is no such option. Did you mean --data.batch_size?"),
        (["--data", "Nope"], "--data Nope: is no class that is known here."),
        (["--trainer.max_step", "3"], "--trainer.max_step: there is no such option. Did you mean --trainer.max_steps?"),
        (["--trainer.max_steps", "x"], "--trainer.max_steps x: is not a whole number."),
        (["--trainer.precision", "8"], "--trainer.precision 8: is not one of 64, 32, 16"),
        (
            ["--trainer.strategy", "nope"],
            "--trainer.strategy nope: You selected an invalid strategy name: `strategy='nope'`.",
        ),
        (["--trainer.strategy", "fsdp"], "--trainer.accelerator: The strategy `fsdp` requires a GPU accelerator"),
        (["--trainer.devices", "0"], "--trainer.devices 0: `Trainer(devices='0')` value is not a valid input"),
        (
            ["--trainer.val_check_interval", "100", "--trainer.check_val_every_n_epoch", "1"],
            "--trainer.val_check_interval 100: `val_check_interval`",
        ),
        (["--seed_everything", "-1"], "--seed_everything -1: is no seed. Give a number from 0 to 4294967295."),
        (
            ["--checkpoint.monitor", "val/nope"],
            "--checkpoint.monitor val/nope: is no metric of this run. Give one of val/",
        ),
        (
            ["--trainer.logger", "lightning.pytorch.loggers.WandbLogger"],
            "the package wandb is needed and not installed.",
        ),
        (
            ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor", "val/nope"],
            "--trainer.callbacks EarlyStopping: RuntimeError: Early stopping",
        ),
        (
            ["--trainer.default_root_dir", "/dev/null/x"],
            "--trainer.default_root_dir /dev/null/x: a run's folder cannot be made in it (Not a directory).",
        ),
    ],
)
def test_what_lightning_and_the_parser_say(workdir, error_of, args, line):
    assert error_of("fit", "--config", "tiny_ae.yaml", *args).removeprefix("pvdm: error: ").startswith(line)


def test_an_unknown_command(workdir, error_of):
    assert error_of("fot").startswith("pvdm: error: fot: there is no such command. Did you mean fit? Commands: fit, ")


def test_a_fault_of_ours_keeps_its_trace(workdir, monkeypatch, pvdm):
    from pvdm_lightning.cli.pvdm_cli import PvdmCLI

    def fail(*args):
        raise KeyError("ours")

    monkeypatch.setattr(PvdmCLI, "_prepare_training", fail)
    with pytest.raises(KeyError):
        pvdm.run("fit", "--config", "tiny_ae.yaml")


def test_paths_of_a_configuration_need_no_shell(workdir, pvdm, monkeypatch):
    monkeypatch.setenv("PLACE", str(workdir / "there"))
    text = (workdir / "tiny_ae.yaml").read_text()
    (workdir / "tiny_ae.yaml").write_text(text.replace("trainer:\n", "trainer:\n  default_root_dir: $PLACE/runs\n"))
    pvdm.run("fit", "--config", "tiny_ae.yaml", "--trainer.max_steps", 1)
    assert (workdir / "there/runs/run/latest").is_dir()
