import pytest
import torch

from pvdm_lightning.original import load_denoiser
from pvdm_lightning.triplane import TriplaneShape

SHAPE = TriplaneShape(frames=16, height=32, width=32)


@pytest.mark.parametrize("name", ["unet_32", "unet_base"])
def test_predicted_noise(case, fill, name):
    description, checkpoint, recorded = case(name)
    model = load_denoiser(checkpoint, SHAPE).eval()
    shape, seed = tuple(description["latent_shape"]), description["seed"]
    z, condition, t = fill.tensor("z", shape, seed), fill.tensor("cond", shape, seed), recorded["t"]
    with torch.no_grad():
        conditional, unconditional = model(z, t, condition), model(z, t)
    assert (conditional - recorded["eps_conditional"]).abs().max() <= 1e-4
    assert (unconditional - recorded["eps_unconditional"]).abs().max() <= 1e-4


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda sd: sd.pop("diffusion_model.mid_attn.qkv.bias"), "missing: mid_attn.qkv.bias"),
        (lambda sd: sd.update({"diffusion_model.label_emb.weight": torch.zeros(1)}), "not known: label_emb.weight"),
        (lambda sd: sd.update({"diffusion_model.out.0.bias": torch.zeros(5)}), r"out.0.bias \[5\] instead of \[32\]"),
        (lambda sd: sd.pop("diffusion_model.out.2.weight"), "missing: out.2.weight"),
    ],
)
def test_a_key_that_does_not_fit_is_named(case, change, named):
    _, checkpoint, _ = case("unet_32")
    change(checkpoint)
    with pytest.raises(ValueError, match=named):
        load_denoiser(checkpoint, SHAPE)
