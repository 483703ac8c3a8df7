"""Every number of every public class and option is checked, and the pixels that every public function takes."""

import math
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import nn

import pvdm_lightning
from pvdm_lightning import cli
from pvdm_lightning.callbacks import (
    Checkpoints,
    DivergenceGuard,
    FiniteTraining,
    PredictionWriter,
    ValidationDistance,
    VideoLogger,
)
from pvdm_lightning.cli.console.parser_errors import OptionError, check_finite_options
from pvdm_lightning.cli.parser import build_parser
from pvdm_lightning.data.latents.latent_cache import CacheOptions
from pvdm_lightning.data.output.contact_sheet import contact_sheet, video_grid
from pvdm_lightning.data.output.writing import gif_bytes, write_video
from pvdm_lightning.errors import InvalidArgumentError, check_numbers, not_finite
from pvdm_lightning.evaluation import Evaluation
from pvdm_lightning.foreign_config import argument_types
from pvdm_lightning.metrics import FrechetVideoDistance, VideoInceptionScore, VideoPSNR, VideoSSIM
from pvdm_lightning.metrics.c3d import C3D
from pvdm_lightning.metrics.frozen_network import FrozenNetwork
from pvdm_lightning.metrics.i3d import I3D
from pvdm_lightning.metrics.reconstruction import psnr_per_video, ssim_per_video
from pvdm_lightning.pipeline import Sampling
from pvdm_lightning.pipeline.pixels import to_signed_float

SECTIONS = (Checkpoints, DivergenceGuard, FiniteTraining, PredictionWriter, VideoLogger, ValidationDistance)
SECTIONS += (CacheOptions, Evaluation, Sampling)
BAD = (math.nan, math.inf, -math.inf, 1e39)
# Arguments that have to be given, and are no numbers.
GIVEN: dict[str, dict[str, Any]] = {
    "AutoencoderModule": {"autoencoder": None},
    "DDIMSampler": {"schedule": None},
    "FrechetVideoDistance": {"network": None},
    "LatentDiffusionModule": {"denoiser": None},
    "TriplaneShape": {"frames": 4, "height": 2, "width": 2},
}


def public_classes():
    public = (getattr(pvdm_lightning, name) for name in pvdm_lightning.__all__)
    # A base class, whose subclasses check their own.
    classes = [thing for thing in public if isinstance(thing, type) and thing is not pvdm_lightning.Denoiser]
    return [*classes, *SECTIONS, FrechetVideoDistance]


def is_number(hint):
    return hint in (int, float) or any(is_number(option) for option in get_args(hint))


def numbers():
    return [(cls, name) for cls in public_classes() for name, hint in argument_types(cls).items() if is_number(hint)]


def test_the_enumeration_finds_what_it_should():
    found = {f"{cls.__name__}.{name}" for cls, name in numbers()}
    assert len(found) > 120
    assert {"Sampling.guidance_scale", "VideoFolder.val_fraction", "VideoFolder.batch_size", "UCF101.fold"} <= found
    assert {"AutoencoderModule.betas", "NoiseSchedule.beta_end", "PredictionWriter.fps", "Evaluation.frames"} <= found


@pytest.mark.parametrize(("cls", "name"), numbers(), ids=lambda value: getattr(value, "__name__", value))
def test_no_constructor_takes_a_number_that_is_none(cls, name):
    hint = argument_types(cls)[name]
    is_list = not is_number_itself(hint)
    for bad in BAD:
        value = [bad, bad] if is_list else bad
        with pytest.raises(ValueError) as caught:
            cls(**{**GIVEN.get(cls.__name__, {}), name: value})
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def is_number_itself(hint):
    return hint in (int, float) or bool({int, float} & {*get_args(hint)})


@pytest.mark.parametrize("bad", [*BAD, np.float32("nan"), 10**400, -(10**400)])
def test_numbers_in_lists_and_tables_and_keyword_arguments_are_found(bad):
    for arguments in ({"x": bad}, {"x": [1, bad]}, {"kwargs": {"x": (bad,)}}, {"x": {"y": [{"z": bad}]}}):
        with pytest.raises(InvalidArgumentError, match=r"^Thing\.x .*: is not a finite number\. Give"):
            check_numbers("Thing", arguments)
    assert not list(not_finite({"x": [0, -1.5, True, None, "nan", 2**100], "y": torch.tensor(math.nan)}))


@pytest.mark.parametrize("command", ["fit", "test", "predict", "encode", "evaluate"])
def test_every_numeric_option_of_a_command_is_checked(command):
    parser = build_parser(command)
    options = [action.dest for action in parser._actions if is_number(getattr(action, "_typehint", None))]
    assert len(options) >= 8
    for option in options:
        *sections, name = option.split(".")
        config: dict[str, Any] = {name: math.inf}
        for section in reversed(sections):
            config = {section: config}
        with pytest.raises(OptionError, match=rf"^--{option} inf: is not a finite number"):
            check_finite_options(config)


def test_options_of_classes_are_checked_unless_they_are_the_users_own():
    node = {"class_path": "pvdm_lightning.VideoFolder", "init_args": {"val_fraction": math.nan}}
    with pytest.raises(OptionError, match=r"^--data\.val_fraction nan: is not a finite number"):
        check_finite_options({"data": node})
    check_finite_options({"data": {**node, "class_path": "my_package.Videos"}})


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("fit", "--config", "demo_ae.yaml", "--trainer.gradient_clip_val", ".inf"), "--trainer.gradient_clip_val inf"),
        (("fit", "--config", "demo_ae.yaml", "--model.betas", "[0.5,.nan]"), "--model.betas nan"),
        (("predict", "--ckpt_path", "showcase", "--sampling.guidance_scale", "1e999"), "--sampling.guidance_scale inf"),
        (("check-data", "--data", "VideoFolder", "--data.val_fraction", ".nan"), "--data.val_fraction nan"),
    ],
)
def test_the_command_line_checks_before_anything_is_built(arguments, option, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.endswith(f"pvdm: error: {option}: is not a finite number. Give a finite number.\n")


@pytest.mark.parametrize("scale", [-1.0, -0.001, 1001])
def test_guidance_scales_that_no_sampler_can_follow_are_refused(scale):
    with pytest.raises(InvalidArgumentError, match=r"^Sampling\.guidance_scale .* Give 0 to 1000; 1 is no guidance"):
        Sampling(guidance_scale=scale)


class Mean(nn.Module):
    def forward(self, videos: torch.Tensor) -> torch.Tensor:
        return videos.float().mean(dim=(2, 3, 4))


NETWORK = FrozenNetwork(Mean(), "mean", 3)
CLIP = torch.randint(0, 256, (2, 3, 4, 64, 64), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def pixel_functions():
    """Each public function and metric that takes videos, as a function of a batch [B 3 T H W]."""
    pipeline = pvdm_lightning.VideoPipeline.from_pretrained("showcase")
    i3d, c3d = I3D.__new__(I3D), C3D.__new__(C3D)  # their weights do not matter before the check
    return {
        "encode": pipeline.encode,
        "reconstruct": pipeline.reconstruct,
        "sample": lambda clip: pipeline.sample(previous=clip, num_inference_steps=1),
        "FrozenAutoencoder.encode": pipeline.first_stage.encode,
        "write_video": lambda clip: write_video(clip[0], "never.mp4"),
        "gif_bytes": lambda clip: gif_bytes(clip[0], 8),
        "contact_sheet": contact_sheet,
        "video_grid": lambda clip: video_grid(clip, 1),
        "FVD": lambda clip: FrechetVideoDistance(NETWORK, 4).update(clip, real=True),
        "IS": lambda clip: VideoInceptionScore(NETWORK).update(clip, torch.arange(len(clip))),
        "VideoPSNR": lambda clip: VideoPSNR().update(clip, clip),
        "VideoSSIM": lambda clip: VideoSSIM().update(CLIP, clip),
        "psnr_per_video": lambda clip: psnr_per_video(clip, clip),
        "ssim_per_video": lambda clip: ssim_per_video(clip, clip),
        "network": NETWORK,
        "I3D": lambda clip: I3D.forward(i3d, clip),
        "C3D": lambda clip: C3D.forward(c3d, clip),
    }


FUNCTIONS = pixel_functions()


INSIDE = ("I3D", "C3D")
"""Behind the check of a `FrozenNetwork`, and take unquantised pixels from it, float32 in 0..255."""
FLOATS = [CLIP.float(), CLIP.float() / 255, CLIP.float() / 127.5 - 1]
OTHERS = [
    *(CLIP.to(dtype) for dtype in (torch.float16, torch.int16, torch.int64, torch.bool)),
    CLIP.permute(0, 2, 3, 4, 1),
    CLIP[:, :, :0],
    CLIP.numpy(),
]


@pytest.mark.parametrize(
    ("name", "videos"),
    [(name, videos) for name in FUNCTIONS for videos in (OTHERS if name in INSIDE else FLOATS + OTHERS)],
    ids=lambda part: part if isinstance(part, str) else f"{part.dtype}{[*part.shape]}",
)
def test_pixels_are_uint8_or_refused(name, videos):
    with pytest.raises(ValueError, match=r"is not uint8|has no pixels") as caught:
        FUNCTIONS[name](videos)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", INSIDE)
@pytest.mark.parametrize("value", [-0.01, 255.5, float("nan")])
def test_unquantised_pixels_are_in_range_or_refused(name, value):
    with pytest.raises(ValueError, match=r"is not in 0\.\.255"):
        FUNCTIONS[name](torch.full(CLIP.shape, value))


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.bool])
def test_what_models_are_fed_is_uint8(dtype):
    with pytest.raises(ValueError, match="is not uint8"):
        to_signed_float(torch.zeros(256, dtype=dtype))


def test_the_error_says_how_to_convert_floats():
    with pytest.raises(ValueError) as caught:
        FUNCTIONS["encode"](CLIP.float() / 255)
    assert str(caught.value) == (
        "VideoPipeline.video float32 [2, 3, 4, 64, 64]: is not uint8 [B 3 S H W]. Give values 0 to 255, of floats in "
        "[0, 1] as (255 * video).round().to(torch.uint8)."
    )
    with pytest.raises(ValueError, match=r"uint8: is not float in \[-1, 1\]. Give uint8 clips as clip / 127.5 - 1"):
        network = pvdm_lightning.VideoPipeline.from_pretrained("showcase").first_stage.autoencoder
        network(torch.zeros(1, 3, *network.clip_shape, dtype=torch.uint8))
