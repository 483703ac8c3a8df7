import math

import torch

from pvdm_lightning.models.triplane import TriplaneShape
from pvdm_lightning.models.unet.position_embedding import BANDS, PositionEmbedding

SHAPE = TriplaneShape(frames=4, height=2, width=3)


def test_positions_are_those_of_a_tokens_own_axes():
    features = PositionEmbedding(8).features(SHAPE)
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
