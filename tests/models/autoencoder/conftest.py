import pytest
import torch

from pvdm_lightning.models.autoencoder import VideoAutoencoder


@pytest.fixture
def small():
    """Builds small autoencoders: `small(frames, resolution, patch, ...)`."""

    def build(frames=4, resolution=(16, 24), patch=8, **more):
        torch.manual_seed(0)
        sizes = {"dim": 32, "depth": 2, "heads": 2, "head_dim": 8, "projector_depth": 1, "projector_heads": 2}
        model = VideoAutoencoder(frames, resolution, patch, **{**sizes, "projector_mlp_dim": 32, **more})
        for weight in model.parameters():  # what starts at zero would hide the paths behind it
            if not weight.any():
                torch.nn.init.normal_(weight, std=0.2)
        return model

    return build
