"""Float32 products of a CPU go through oneDNN or through PyTorch's BLAS; runs of one route are equal to the bit."""

import json

import pytest
import torch

FORCED = """
import json, sys
from pathlib import Path
from pvdm_lightning.cli import program
from pvdm_lightning.cpu import flash_attention, convolution, linear, onednn, winograd

route, calls = sys.argv[1], {}
onednn.uses_onednn = lambda: route == "onednn"
linear.MIN_WORK = flash_attention.MIN_TOKENS = 1  # small networks take the route as well
convolution.WINOGRAD_MIN_CHANNELS = convolution.WINOGRAD_MIN_POSITIONS = convolution.WINOGRAD_MIN_SIZE = 1


def count(module, name):
    kernel = getattr(module, name)

    def counted(*args):
        calls[name] = calls.get(name, 0) + 1
        return kernel(*args)

    setattr(module, name, counted)


for module, name in ((linear, "_product"), (flash_attention, "_attention"), (winograd, "_convolution")):
    count(module, name)
program.main(sys.argv[2:])
Path("calls.json").write_text(json.dumps(calls))
"""


@pytest.mark.skipif(torch.cpu._is_amx_tile_supported(), reason="oneDNN rounds to bfloat16 on this processor")
@pytest.mark.parametrize("stage", ["ae", "ldm"])
def test_two_processes_and_a_resumed_run_are_equal_to_the_bit(pvdm, workdir, trained, load, stage):
    (workdir / "forced.py").write_text(FORCED)
    first_stage = ["--model.autoencoder_checkpoint", trained["ae"]] if stage == "ldm" else []
    whole, calls = {}, {}
    for route in ("onednn", "blas"):
        fit = [route, "fit", "--config", f"tiny_{stage}.yaml", *first_stage, "--trainer.val_check_interval", 2]
        fit += ["--video_logger.num_videos", 0, "--checkpoint.save_top_k", -1]
        half = workdir / f"{route}_whole/run/latest/step-2.ckpt"
        ends = {}
        for name, options in {"whole": [], "again": [], "resumed": ["--ckpt_path", half]}.items():
            folder = workdir / f"{route}_{name}"
            pvdm.fork(workdir, *fit, *options, "--trainer.default_root_dir", folder, program="forced.py")
            ends[name] = load(folder / "run/latest/last.ckpt")
            calls.setdefault(route, json.loads((workdir / "calls.json").read_text()))
        whole[route] = ends["whole"]["state_dict"]
        assert load(half)["global_step"] == 2 and ends["resumed"]["global_step"] == ends["whole"]["global_step"] == 4
        for name in ("again", "resumed"):
            for key, value in whole[route].items():
                assert torch.equal(value, ends[name]["state_dict"][key]), (route, name, key)
    # Each route was taken, and they agree: on some processors to the bit, as both are one library there.
    assert calls["onednn"].pop("_product") > 0 and calls["onednn"].pop("_attention") > 0
    assert calls["onednn"] == calls["blas"] and bool(calls["blas"]) == (stage == "ldm")  # convolutions alone
    assert all(torch.allclose(value, whole["blas"][key], atol=2e-3) for key, value in whole["onednn"].items())
