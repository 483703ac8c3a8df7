"""Runs that are stopped, killed, resumed and started twice."""

import functools
import importlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import warm

ENDLESS = ("--trainer.max_steps", 100_000, "--data.num_workers", 0, "--checkpoint.every_n_train_steps", 2)


def step_of(path):
    return torch.load(path, weights_only=True)["global_step"]


def test_a_run_goes_on_in_its_folder_as_one_curve(workdir, pvdm, caplog):
    fit = ("fit", "--config", "tiny_ae.yaml", "--resume", "--trainer.log_every_n_steps", 1)
    pvdm.run(*fit, "--trainer.max_steps", 3)  # nothing to resume: it starts
    pvdm.run(*fit, "--trainer.max_steps", 5)
    pvdm.run("fit", "--config", "tiny_ae.yaml", "--ckpt_path", "last", "--trainer.max_steps", 7)
    (folder,) = (path for path in Path("runs/run").iterdir() if not path.is_symlink())
    assert {path.name for path in Path("runs/run/latest").iterdir()} >= {"last.ckpt"}
    assert not list(Path("runs").rglob("last-v1.ckpt"))
    assert step_of(pvdm.last) == 7
    assert f"going on from {folder}/checkpoints/last.ckpt, step 3" in caplog.text
    events = EventAccumulator(str(folder)).Reload()
    steps = [event.step for event in events.Scalars("val/psnr")]
    assert steps == sorted(set(steps))


def test_the_newest_checkpoint_that_is_whole_is_taken(workdir, pvdm, caplog):
    pvdm.run("fit", "--config", "tiny_ae.yaml", "--trainer.max_steps", 4)
    broken = pvdm.last.with_name("step-99.ckpt")
    broken.write_bytes(pvdm.last.read_bytes()[:5000])
    pvdm.run("fit", "--config", "tiny_ae.yaml", "--trainer.max_steps", 5, "--resume")
    assert "last.ckpt, step 4" in caplog.text


def test_last_of_nothing(workdir, error_of):
    said = error_of("fit", "--config", "tiny_ae.yaml", "--ckpt_path", "last")
    assert said == "pvdm: error: --ckpt_path last: there is no whole checkpoint below runs/run. Give a path."


@pytest.mark.parametrize("word", ["best", "hpc", "registry"])
def test_words_of_lightning_are_no_checkpoints(workdir, error_of, word):
    said = error_of("fit", "--config", "tiny_ae.yaml", "--ckpt_path", word)
    assert said == f"pvdm: error: --ckpt_path {word}: is no file. Give the path of a .ckpt file."


def test_another_runs_checkpoints_are_not_replaced(workdir, pvdm, error_of):
    fit = ("fit", "--config", "tiny_ae.yaml", "--trainer.max_steps", 2, "--checkpoint.dirpath", "kept")
    pvdm.run(*fit)
    before = Path("kept/last.ckpt").read_bytes()
    said = error_of(*fit)
    assert "--checkpoint.dirpath kept: holds the checkpoints of another run. Go on with that run by --resume" in said
    assert Path("kept/last.ckpt").read_bytes() == before


def test_a_run_that_ended_with_an_epoch_trains_no_epoch_more(workdir, pvdm):
    fit = ("fit", "--config", "tiny_ae.yaml", "--trainer.max_epochs", 2, "--resume", "--trainer.val_check_interval", 8)
    pvdm.run(*fit, "--trainer.max_steps", 8)  # 16 videos in batches of 2
    assert step_of(pvdm.last) == 8
    pvdm.run(*fit, "--trainer.max_steps", -1)
    assert step_of(pvdm.last) == 16


class Started:
    """`pvdm fit` without an end, in a process of its own; those that Lightning starts beside it are cold."""

    def __init__(self, folder, *args, environment=None):
        self.log = folder / "log.txt"
        fit = ("fit", "--config", "tiny_ae.yaml", *ENDLESS, *args)
        self.process = warm.start("pvdm_lightning", fit, folder, self.log, **(environment or {}))
        self.last = folder / "runs/run/latest/last.ckpt"
        self.wait_for(self.last.is_file)

    def wait_for(self, condition):
        end = time.monotonic() + 100
        while not condition():
            assert time.monotonic() < end and self.process.is_alive(), self.log.read_text()[-2000:]
            time.sleep(0.05)

    def send_signal(self, number):
        os.kill(self.process.pid, number)

    def children(self):
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout
        return [int(number) for number in found.split()]

    def ended(self):
        """Exit status and what was said; no process is left."""
        children = self.children()
        self.process.join(30)
        end = time.monotonic() + 10
        while any(
            Path(f"/proc/{child}/cmdline").is_file() and Path(f"/proc/{child}/cmdline").read_bytes()
            for child in children
        ):
            assert time.monotonic() < end, "a process is left"
            time.sleep(0.1)
        return self.process.exitcode, self.log.read_text()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_training_with_a_checkpoint(workdir, name):
    started = Started(workdir)
    started.send_signal(getattr(signal, name))
    started.send_signal(getattr(signal, name))
    status, said = started.ended()
    assert status == 128 + getattr(signal, name)
    assert "Traceback" not in said and said.count("training ends at step") == 1
    assert f"training ends at step {step_of(started.last)}: " in said


@pytest.mark.parametrize(("name", "rank"), [("SIGTERM", 1), ("SIGINT", 0)])
def test_a_signal_to_one_process_ends_all(workdir, name, rank):
    started = Started(workdir, "--trainer.devices", 2, "--trainer.strategy", "ddp")
    (child,) = started.children()
    os.kill(child if rank else started.process.pid, getattr(signal, name))
    status, said = started.ended()
    assert status == 128 + getattr(signal, name)
    assert "Traceback" not in said and f"training ends at step {step_of(started.last)}: " in said


def test_slurm_queues_the_job_again_and_it_goes_on(workdir, pvdm):
    (workdir / "bin").mkdir()
    (workdir / "bin/scontrol").write_text(f'#!/bin/sh\necho "$@" >> {workdir}/scontrol.log\n')
    (workdir / "bin/scontrol").chmod(0o755)
    job = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    job |= {"SLURM_JOB_NAME": "pvdm", "SLURM_NTASKS_PER_NODE": "1", "PATH": f"{workdir}/bin:{os.environ['PATH']}"}
    started = Started(workdir, "--resume", environment=job)
    started.send_signal(signal.SIGUSR1)
    status, said = started.ended()
    assert status == 128 + signal.SIGUSR1, said
    assert (workdir / "scontrol.log").read_text() == "requeue 7\n"
    stopped = step_of(started.last)
    again = Started(workdir, "--resume", environment=job)
    again.wait_for(lambda: step_of(again.last) > stopped)
    again.send_signal(signal.SIGTERM)
    status, said = again.ended()
    assert status == 143 and f"last.ckpt, step {stopped}" in said


def test_what_a_killed_run_left_goes_with_the_next_one(workdir, pvdm, trained):
    (workdir / "samples").mkdir()
    for name in (".video_00000.mp4.partial-0123456789ab", ".video_00001.partial-cdef01234567"):
        (workdir / "samples" / name).mkdir()
    pvdm.run("predict", "--ckpt_path", trained["ldm"], "--sampling.num_videos", 1, "--sampling.num_inference_steps", 1)
    kept = sorted(path.name for path in (workdir / "samples").iterdir())
    assert kept == ["contact_sheet.png", "index.html", "video_00000.mp4"]


def test_two_commands_do_not_write_into_one_folder(workdir, error_of, trained):
    from pvdm_lightning.output_lock import OutputLock

    lock = OutputLock(workdir / "samples", "folder")
    partial = workdir / "samples/.video_00000.mp4.partial-living"
    partial.touch()
    said = error_of("predict", "--ckpt_path", trained["ldm"], "--sampling.num_videos", 1)
    assert f"--output.dir samples: is being written to by process {os.getpid()} on" in said
    assert partial.exists()
    lock.release()


def test_two_runs_do_not_train_in_one_folder(workdir, error_of, pvdm):
    from pvdm_lightning.output_lock import OutputLock

    fit = ("fit", "--config", "tiny_ae.yaml", "--trainer.max_steps", 2, "--resume")
    pvdm.run(*fit)
    left = pvdm.last.with_name(".last.ckpt.partial-0123456789ab")
    left.touch()
    lock = OutputLock(pvdm.last.parent, "folder")
    assert not left.exists()
    said = error_of(*fit, "--trainer.max_steps", 3)
    assert "/checkpoints: is being written to by process" in said and "--checkpoint.dirpath" in said
    lock.release()
    pvdm.run(*fit, "--trainer.max_steps", 3)
    assert step_of(pvdm.last) == 3


def test_a_gradient_that_is_not_finite_stops_the_run(workdir, pvdm, error_of):
    fit = ("fit", "--config", "tiny_ae.yaml", "--trainer.max_steps", 6, "--model.adversarial_start", "null")
    said = error_of(*fit, "--model.learning_rate", 1e30)
    assert said.startswith("pvdm: error: --finite.action stop: the gradient of step ")
    assert "; its batch: " in said and "--finite.action skip" in said
    for path in Path("runs").rglob("*.ckpt"):
        assert all(value.isfinite().all() for value in torch.load(path, weights_only=True)["state_dict"].values())


def test_steps_that_are_not_finite_may_be_skipped_but_not_for_ever(workdir, pvdm, error_of, caplog):
    fit = ("fit", "--config", "tiny_ae.yaml", "--trainer.max_steps", 40, "--model.adversarial_start", "null")
    said = error_of(*fit, "--model.learning_rate", 1e30, "--finite.action", "skip", "--finite.max_skipped", 3)
    assert "after 3 skipped steps" in said
    assert caplog.text.count("is skipped: its gradient is") == 3


def test_the_adversarial_phase_ends_when_it_destroys_pictures(workdir, pvdm, caplog):
    fit = ("fit", "--config", "tiny_ae.yaml", "--model.adversarial_start", 4, "--divergence.max_psnr_drop", 2)
    pvdm.run(*fit, "--trainer.max_steps", 6)
    pvdm.run(*fit, "--trainer.max_steps", 40, "--model.learning_rate", 3.0, "--resume")
    assert "the adversarial phase diverges: val/psnr is" in caplog.text
    assert step_of(Path("runs/run/latest/last.ckpt")) < 40


@pytest.mark.parametrize("command", ["check-data", "evaluate", "predict"])
def test_ctrl_c_ends_any_command_in_one_line(workdir, pvdm, trained, monkeypatch, capfd, command):
    from pvdm_lightning.cli import program

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    if command == "predict":
        args = ["--ckpt_path", trained["ldm"]]
        monkeypatch.setattr(program, "run_command", interrupted)
    else:
        args = ["--data", "Synthetic"] if command == "check-data" else ["--real", "a", "--generated", "b"]
        name = command.replace("-", "_")
        module = importlib.import_module(f"pvdm_lightning.cli.commands.{name}")
        monkeypatch.setattr(module, name, functools.wraps(getattr(module, name))(interrupted))
    with pytest.raises(SystemExit) as ended:
        pvdm.run(command, *args)
    assert ended.value.code == 130 and capfd.readouterr().err.splitlines()[-1] == "pvdm: interrupted"
