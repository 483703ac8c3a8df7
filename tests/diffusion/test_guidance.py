"""Classifier-free guidance against its formula."""

import pytest
import torch

from pvdm_lightning.diffusion import classifier_free_guidance


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])
def test_guidance(scale):
    calls = []

    def denoise_both(z, t):
        calls.append(len(z))
        return torch.cat([torch.full((2, 1, 3), 5.0), torch.full((2, 1, 3), 1.0)])

    z, t = torch.zeros(2, 1, 3), torch.tensor([1, 2])
    guided = classifier_free_guidance(denoise_both, scale)(z, t)
    assert torch.equal(guided, torch.full((2, 1, 3), 1 + scale * (5.0 - 1.0)))
    assert calls == [4]  # both halves in one call
