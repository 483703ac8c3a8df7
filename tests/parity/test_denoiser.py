from contextlib import contextmanager, nullcontext
from functools import partialmethod

import pytest
import torch
from torch import nn

from pvdm_lightning.convert import load_denoiser
from pvdm_lightning.models.condition import Condition
from pvdm_lightning.models.triplane import TriplaneShape

SHAPE = TriplaneShape(frames=16, height=32, width=32)


@contextmanager
def without_copies():
    """Networks take over the tensors they load, and draw no weights of their own before: half the memory."""
    with pytest.MonkeyPatch.context() as patch, torch.device("meta"):
        patch.setattr(nn.Module, "load_state_dict", partialmethod(nn.Module.load_state_dict, assign=True))
        yield


@pytest.mark.parametrize(("name", "building"), [("unet_32", nullcontext), ("unet_base", without_copies)])
def test_predicted_noise(case, fill, name, building):
    description, checkpoint, recorded = case(name)
    with building():
        model = load_denoiser(checkpoint, SHAPE).eval()
    del checkpoint
    shape, seed = tuple(description["latent_shape"]), description["seed"]
    z, condition, t = fill.tensor("z", shape, seed), fill.tensor("cond", shape, seed), recorded["t"]
    with torch.no_grad():
        conditional, unconditional = model(z, t, Condition(condition)), model(z, t)
    assert (conditional - recorded["eps_conditional"]).abs().max() <= 1e-4
    assert (unconditional - recorded["eps_unconditional"]).abs().max() <= 1e-4


@pytest.fixture(scope="module")
def small(case):
    return case("unet_32")[1]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda sd: sd.pop("diffusion_model.mid_attn.qkv.bias"), "missing: mid_attn.qkv.bias"),
        (lambda sd: sd.update({"diffusion_model.label_emb.weight": torch.zeros(1)}), "not known: label_emb.weight"),
        (lambda sd: sd.update({"diffusion_model.out.0.bias": torch.zeros(5)}), r"out.0.bias \[5\] instead of \[32\]"),
        (lambda sd: sd.pop("diffusion_model.out.2.weight"), "missing: out.2.weight"),
    ],
)
def test_a_key_that_does_not_fit_is_named(small, change, named):
    checkpoint = dict(small)
    change(checkpoint)
    with pytest.raises(ValueError, match=named):
        load_denoiser(checkpoint, SHAPE)
