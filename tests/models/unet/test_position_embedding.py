import math

import torch

from pvdm_lightning.models.triplane import TriplaneShape
from pvdm_lightning.models.unet.position_embedding import BANDS, PositionEmbedding, fourier_features

SHAPE = TriplaneShape(frames=4, height=2, width=3)


def test_positions_are_those_of_a_tokens_own_axes():
    features = fourier_features(SHAPE, torch.device("cpu"))
    assert features.shape == (SHAPE.num_tokens, 6 * BANDS + 3)
    token = SHAPE.lengths[0] + 2 * 3 + 1  # z^h at time 2, column 1
    time, row, column, plane = features[token].split([2 * BANDS, 2 * BANDS, 2 * BANDS, 3])
    angles = [math.pi / 2 * 2**band for band in range(BANDS)]
    at = -1 + 2 * 2 / 3
    expected = [math.sin(at * angle) for angle in angles] + [math.cos(at * angle) for angle in angles]
    torch.testing.assert_close(time, torch.tensor(expected))
    assert not row.any() and plane.tolist() == [0, 1, 0]
    torch.testing.assert_close(column, torch.tensor([0.0] * BANDS + [1.0] * BANDS))
    assert len({tuple(token.tolist()) for token in features}) == SHAPE.num_tokens


def test_features_are_kept_until_the_shape_changes():
    module, other = PositionEmbedding(8), TriplaneShape(2, 2, 2)
    with torch.inference_mode():
        module(SHAPE)
    features = module.features
    assert module(SHAPE).requires_grad and module.features is features
    assert module(other).shape == (other.num_tokens, 8) and module.features is not features
    assert list(module.state_dict()) == ["to_channels.weight", "to_channels.bias"]
