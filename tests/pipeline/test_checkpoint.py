import pytest
import torch

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.pipeline.checkpoint import read_checkpoint
from pvdm_lightning.training import AutoencoderModule


def autoencoder():
    torch.manual_seed(0)
    return VideoAutoencoder(4, 16, 8, dim=32, depth=1, heads=2, head_dim=16, projector_depth=1, projector_mlp_dim=32)


@pytest.mark.parametrize(
    "names",
    [{"_class_path": "os.AutoencoderModule"}, {"autoencoder": {"class_path": "os.system", "init_args": {}}}],
)
def test_a_checkpoint_cannot_name_other_classes(tmp_path, names):
    module = AutoencoderModule(VideoAutoencoder(2, 16, dim=16, depth=1, heads=1, head_dim=8), perceptual_weight=0)
    checkpoint = {"state_dict": module.state_dict(), "hyper_parameters": {**module.hparams, **names}}
    torch.save(checkpoint, tmp_path / "stranger.ckpt")
    with pytest.raises(InvalidArgumentError, match=r"ckpt_path .*stranger\.ckpt: is not a checkpoint"):
        read_checkpoint(tmp_path / "stranger.ckpt", "ckpt_path")
