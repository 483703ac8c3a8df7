"""Mistakes in options: one line with option, value, expected type and example or the nearest name; status 2."""

import re
import sys

import pytest
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers.logger import DummyLogger
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy

from pvdm_lightning import cli
from pvdm_lightning.cli.console.errors import users_mistake

AE, LDM = ("fit", "--config", "demo_ae.yaml"), ("fit", "--config", "demo_ldm.yaml")
PREDICT, TEST = ("predict", "--ckpt_path", "showcase"), ("test", "--ckpt_path", "showcase")
EVALUATE = ("evaluate", "--real", ".", "--generated", ".")
CHECK = ("check-data", "--data", "VideoFolder", "--data.root", ".")


@pytest.fixture
def error_of(capsys, tmp_path, monkeypatch):
    """`error_of(*args)`: the one line that a command says before it ends with status 2, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["pvdm", *args])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main(list(args))
        assert ended.value.code == 2
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1, said
        assert list(tmp_path.rglob("*.ckpt")) == []
        return said[0].removeprefix("pvdm: error: ")

    return call


WHOLE, NUMBER, SWITCH = "a whole number", "a number", "true or false"
SIZE = "a whole number or 2 whole numbers"
WRONG_TYPES = [
    *((AE, f"--data.{name}", value, WHOLE) for name in ("batch_size", "num_videos") for value in ("two", "2.5")),
    *((AE, f"--model.autoencoder.{name}", "x", WHOLE) for name in ("frames", "dim", "depth", "patch")),
    *((AE, "--model.autoencoder.resolution", value, SIZE) for value in ("64x64", "big", "1,2,3")),
    *((AE, f"--model.{name}", "fast", NUMBER) for name in ("learning_rate", "latent_noise", "pixel_weight")),
    *((AE, "--model.betas", value, "2 numbers") for value in ("0.9", "0.9,x")),
    (AE, "--model.warmup_steps", "soon", WHOLE),
    (AE, "--data.resolution", "64,x", SIZE),
    (AE, "--compile", "maybe", SWITCH),
    (AE, "--cpu_kernels", "2", SWITCH),
    (AE, "--gpu_kernels", "2", SWITCH),
    (AE, "--seed_everything", "x", WHOLE),
    (AE, "--trainer.max_steps", "many", WHOLE),
    (AE, "--trainer.max_steps", "1.5", WHOLE),
    (AE, "--trainer.gradient_clip_val", "x", NUMBER),
    (AE, "--trainer.log_every_n_steps", "often", WHOLE),
    (AE, "--finite.max_skipped", "x", WHOLE),
    (AE, "--video_logger.num_videos", "x", WHOLE),
    (LDM, "--model.denoiser.channel_multipliers", "1,x", "a list of whole numbers"),
    (LDM, "--model.denoiser.base_channels", "wide", WHOLE),
    (LDM, "--model.normalize_latents", "perhaps", SWITCH),
    (LDM, "--model.ema_decay", "slow", NUMBER),
    (PREDICT, "--sampling.num_videos", "many", WHOLE),
    (PREDICT, "--sampling.guidance_scale", "high", NUMBER),
    (PREDICT, "--sampling.guidance_interval", "0.2,late", "2 numbers"),
    (PREDICT, "--output.fps", "x", NUMBER),
    (PREDICT, "--output.overwrite", "x", SWITCH),
    (TEST, "--evaluation.frames", "x", "a list of whole numbers"),
    (TEST, "--evaluation.real.stride", "x", WHOLE),
    (EVALUATE, "--evaluation.frames", "16,x", "a list of whole numbers"),
    (EVALUATE, "--evaluation.generated.seed", "x", WHOLE),
    (EVALUATE, "--evaluation.preparation.antialias", "x", SWITCH),
    (EVALUATE, "--resolution", "64x64", SIZE),
    (CHECK, "--data.batch_size", "x", WHOLE),
    (CHECK, "--data.val_fraction", "x", NUMBER),
    (("import-original", "--autoencoder", "x.pth"), "--frames", "x", WHOLE),
]


@pytest.mark.parametrize("command, option, value, kind", WRONG_TYPES)
def test_a_value_of_the_wrong_type(error_of, command, option, value, kind):
    line = error_of(*command, option, value)
    assert re.match(rf"{re.escape(option)} \[?{re.escape(value)}\]?: is not (true or false or )?{kind}", line), line
    (example,) = re.findall(rf"Example: {re.escape(option)} (\S+)", line)
    assert value != example.rstrip(".")


CHOICES = [
    (AE, "--model.optimizer", "sgd", "adamw, muon", None),
    (AE, "--trainer.precision", "fp17", "64, 32, 16", None),
    (LDM, "--model.prediction_type", "epsilom", "epsilon, v_prediction, flow_prediction", "epsilon"),
    (PREDICT, "--sampling.sampler", "ddimm", "ddim, ddpm", "ddim"),
    (PREDICT, "--output.formats", "mp5", "mp4, gif, png", "mp4"),
    (EVALUATE, "--evaluation.real.choice", "rand", "random, first", "random"),
    (TEST, "--evaluation.preparation.filter", "lancsoz", "bilinear, bicubic, lanczos", "lanczos"),
    (("completion",), "--target", "fish", "bash, zsh, schema", None),
    (AE, "--data", "UCF102", "UCF101", "UCF101"),
    (AE, "--model", "Autoencoder", "AutoencoderModule, LatentDiffusionModule", "AutoencoderModule"),
    (AE, "--model.autoencoder", "VideoAutoencode", "VideoAutoencoder", "VideoAutoencoder"),
    (AE, "--trainer.logger", "CVSLogger", "CSVLogger", "CSVLogger"),
    (CHECK[:1], "--data", "VideoFolders", "VideoFolder", "VideoFolder"),
]


@pytest.mark.parametrize("command, option, value, known, near", CHOICES)
def test_a_word_that_is_not_among_the_choices(error_of, command, option, value, known, near):
    line = error_of(*command, option, value)
    assert line.startswith(f"{option} ") and value in line.split(":")[0] and "is no" in line
    assert known in line
    assert near is None or f"Did you mean {near}?" in line


NAMES = [
    (AE, "--model.lr", "--model.learning_rate"),
    (AE, "--model.lerning_rate", "--model.learning_rate"),
    (AE, "--model.autoencoder.latent_chanels", "--model.autoencoder.latent_channels"),
    (AE, "--data.bs", "--data.batch_size"),
    (AE, "--model.batch_size", "--data.batch_size"),
    (AE, "--batch_size", "--data.batch_size"),
    (AE, "--max_steps", "--trainer.max_steps"),
    (AE, "--trainer.max_step", "--trainer.max_steps"),
    (AE, "--trainer.learning_rate", "--model.learning_rate"),
    (LDM, "--model.denoiser.chanel_multipliers", "--model.denoiser.channel_multipliers"),
    (PREDICT, "--sampling.seeds", "--sampling.seed"),
    (PREDICT, "--num_videos", "--sampling.num_videos"),
    (TEST, "--evaluation.splt", "--evaluation.split"),
    (EVALUATE, "--reall", "--real"),
    (("weights",), "--fetsh", "--fetch"),
]


@pytest.mark.parametrize("command, option, meant", NAMES)
def test_a_name_that_is_not_an_option(error_of, command, option, meant):
    assert re.match(rf"{option}: there is no such option.* Did you mean {meant}\?", error_of(*command, option, "1"))


@pytest.mark.parametrize(
    "args, line",
    [
        (["fit"], r"--config: .* Example: pvdm fit --config demo_ae.yaml\."),
        (["fit", "--config", "trainer/cpu.yaml"], "--model: no configuration names a model"),
        (["evaluate"], "--real None: is missing. Example: pvdm evaluate --real videos --generated "),
        (["evaluate", "--real", "."], "--generated None: is missing. Example: pvdm evaluate "),
        (["check-data"], "--data: is missing. Example: pvdm check-data --data "),
        (["completion"], "--target: is missing. Example: pvdm completion --target "),
        (["import-original"], "--autoencoder: is missing. Example: "),
        ([*AE, "--run_name"], r"--run_name: its value is missing \(text or null\)\. Example: --run_name "),
        ([*AE, "--trainer.max_steps"], r"--trainer.max_steps: its value is missing \(a whole number\)\. Example: "),
        (
            [*AE, "--trainer.logger", "CSVLogger"],
            r"--trainer.logger CSVLogger: its save_dir is missing \(a path\)\. Exam",
        ),
        (
            [*AE, "--trainer.callbacks+=EarlyStopping"],
            r"--trainer.callbacks EarlyStopping: its monitor is missing \(text",
        ),
        (
            [*AE, "--trainer.callbacks+=ModelSummary", "--trainer.callbacks.max_depth", "x"],
            "--trainer.callbacks.max_depth x: is not a whole number. Example: ",
        ),
        ([*AE, "--trainer.max_steps", "1e5"], r"--trainer.max_steps 1e5: is not a whole number\. Give 100000\."),
        (
            [*AE, "--model.autoencoder.resolution", "-64"],
            "--model.autoencoder.resolution -64 x -64: is not positive. Give",
        ),
        ([*AE, "--trainer.accelerator", "tpux"], "--trainer.accelerator tpux: You selected an invalid"),
        ([*AE, "--trainer.limit_val_batches", "-1"], "--trainer.limit_val_batches -1: "),
        ([*AE, "--checkpoint.mode", "up"], "--checkpoint.mode up: is not one of min, max. Example"),
        ([*AE, "--ckpt_path", "showcse"], "--ckpt_path showcse: there is no such file. .* Did you mean showcase?"),
        (["predict", "--ckpt_path", "lates"], "--ckpt_path lates: there is no such file. .* Did you mean latest?"),
        (
            [*PREDICT, "--sampling.guidance_scale", "-3"],
            "--sampling.guidance_scale -3.0: steers away from the clip bef",
        ),
        (
            [*PREDICT, "--sampling.guidance_scale_label", "-3"],
            "--sampling.guidance_scale_label -3.0: steers away from the class. Give 0 to 1000; 1 is no guidance",
        ),
        (
            [*PREDICT, "--sampling.guidance_interval", "0.8,0.2"],
            "--sampling.guidance_interval 0.8,0.2: is not a first and a last share of the times. Give two numbers",
        ),
        (
            [*PREDICT, "--sampling.guidance_rescale", "2"],
            r"--sampling.guidance_rescale 2.0: is not between 0 and 1\. Give 0 \(not at all\) to 1",
        ),
        (
            [*PREDICT, "--trainer.accelerator", "cpu", "--sampling.cuda_graph", "on"],
            "--sampling.cuda_graph on: needs a CUDA device, and this runs on cpu. Leave it out, or give auto.",
        ),
        ([*PREDICT, "--sampling.cuda_graph", "yes"], "--sampling.cuda_graph yes: is not one of"),
        ([*AE, "stray"], "stray: is no option. Names begin with --; a value with spaces needs quotes"),
        (["prdict"], "prdict: there is no such command. Did you mean predict?"),
        (["fit", "--config", "demo_ea.yaml"], "--config demo_ea.yaml: is neither .* Did you mean demo_ae.yaml?"),
        ([*AE, "--config", "trainer/wandb.yaml"], "--trainer.logger WandbLogger: the package wandb is needed and not"),
    ],
)
def test_what_else_is_typed(error_of, args, line):
    assert re.match(line, error_of(*args))


@pytest.mark.parametrize(
    "text, line",
    [
        ("model:\n  a: [1\n  b: 2\n", r"--config own.yaml: is not valid YAML, line 3 \("),
        ("trainer:\n\tmax_steps: 3\n", r"--config own.yaml: is not valid YAML, line 2 \("),
        ("- a\n", "--config own.yaml: does not map options to values."),
        ("\0", "--config own.yaml: is not a text file."),
        (
            "trainer:\n  max_stepz: 3\n",
            "--trainer.max_stepz: there is no such option. Did you mean --trainer.max_steps?",
        ),
        ("trainer:\n  max_steps: many\n", "--trainer.max_steps many: is not a whole number. Example: "),
        ("model: 3\n", "--model 3: is no class that is known here. Known: AutoencoderModule, "),
    ],
)
def test_a_configuration_that_is_wrong(error_of, tmp_path, text, line):
    (tmp_path / "own.yaml").write_text(text)
    assert re.match(line, error_of("fit", "--config", "own.yaml"))


def failing(base, kind):
    """A class of another library whose constructor fails."""

    def __init__(self, *args, **kwargs):  # noqa: N807
        raise kind("the service\nis not there")

    # Without the destructor of what was never built: an error in it may meet the interpreter anywhere.
    methods = {"__init__": __init__, "__del__": lambda self: None, "__module__": "their.package"}
    return type(f"Own{base.__name__}", (base,), methods)


@pytest.mark.parametrize("kind", [RuntimeError, ValueError, KeyError, TypeError, type("UsageError", (Exception,), {})])
@pytest.mark.parametrize(
    "base, option",
    [
        (DummyLogger, "--trainer.logger"),
        (Callback, "--trainer.callbacks"),
        (PassThroughProfiler, "--trainer.profiler"),
        (SingleDeviceStrategy, "--trainer.strategy"),
    ],
)
def test_errors_of_plugged_in_classes_are_one_line(base, option, kind):
    cls = failing(base, kind)
    with pytest.raises(kind) as raised:
        cls()
    said = users_mistake(raised.value)
    assert said is not None and said.startswith(f"{option} {cls.__name__}: ") and "\n" not in said
    assert "the service" in said and "test_errors_mistakes.py, line " in said


def test_an_error_of_ours_below_a_plugged_in_class_keeps_its_trace():
    class Own(SingleDeviceStrategy):
        def __init__(self):
            pass

        def training_step(self):
            raise KeyError("of the model")

    with pytest.raises(KeyError) as raised:
        Own().training_step()
    assert users_mistake(raised.value) is None


def test_a_circle_of_causes_ends():
    first, second = KeyError("a"), KeyError("b")
    first.__cause__, second.__cause__ = second, first
    assert users_mistake(first) is None


def test_early_mistakes_need_no_pytorch(tmp_path):
    import subprocess

    for args, line in (
        (["prdict"], "prdict: there is no such command"),
        (["fit", "--config", "x"], "--config x: is neit"),
    ):
        code = "import sys; from pvdm_lightning.__main__ import main; sys.argv[1:] = sys.argv[1].split()\n"
        code += "try: main()\nexcept SystemExit as e: assert e.code == 2 and 'torch' not in sys.modules"
        done = subprocess.run(
            [sys.executable, "-c", code, " ".join(args)], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0 and done.stderr.startswith(f"pvdm: error: {line}"), done.stderr
