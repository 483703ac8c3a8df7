"""Float32 products of a CPU go through oneDNN or through PyTorch's BLAS; runs of one route are equal to the bit."""

import pytest
import torch

FORCED = """
import sys
from pvdm_lightning.cli import program
from pvdm_lightning.cpu import flash_attention, convolution, linear, onednn

through_onednn = sys.argv[1] == "onednn"
onednn.uses_onednn = lambda: through_onednn
linear.MIN_WORK = flash_attention.MIN_TOKENS = 1  # small networks take the route as well
convolution.WINOGRAD_MIN_CHANNELS = convolution.WINOGRAD_MIN_POSITIONS = convolution.WINOGRAD_MIN_SIZE = 1
program.main(sys.argv[2:])
"""


@pytest.mark.skipif(torch.cpu._is_amx_tile_supported(), reason="oneDNN rounds to bfloat16 on this processor")
@pytest.mark.parametrize("stage", ["ae", "ldm"])
def test_two_processes_and_a_resumed_run_are_equal_to_the_bit(pvdm, workdir, trained, load, stage):
    (workdir / "forced.py").write_text(FORCED)
    first_stage = ["--model.autoencoder_checkpoint", trained["ae"]] if stage == "ldm" else []
    ends = {}
    for route in ("onednn", "blas"):
        fit = [route, "fit", "--config", f"tiny_{stage}.yaml", *first_stage, "--trainer.val_check_interval", 1]
        fit += ["--video_logger.num_videos", 0]
        for name, options in {
            "whole": [],
            "again": [],
            "half": ["--trainer.max_steps", 2],
            "resumed": ["--ckpt_path", workdir / f"{route}_half" / "run" / "latest" / "last.ckpt"],
        }.items():
            folder = workdir / f"{route}_{name}"
            pvdm.fork(workdir, *fit, *options, "--trainer.default_root_dir", folder, program="forced.py")
            ends[route, name] = load(folder / "run" / "latest" / "last.ckpt")
        whole = ends[route, "whole"]
        assert whole["global_step"] == 4
        for name in ("again", "resumed"):
            for key, value in whole["state_dict"].items():
                assert torch.equal(value, ends[route, name]["state_dict"][key]), (route, name, key)
    # The routes differ in the last digits, or the test would force nothing.
    one, other = (ends[route, "whole"]["state_dict"] for route in ("onednn", "blas"))
    assert any(not torch.equal(value, other[key]) for key, value in one.items())
    assert all(torch.allclose(value, other[key], atol=2e-3) for key, value in one.items())
