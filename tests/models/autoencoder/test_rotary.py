import math

import torch

from pvdm_lightning.models.autoencoder.rotary import Rotation, axial_angles, rotate, temporal_angles

CPU = torch.device("cpu")


def turn(x, angles):
    tables = Rotation.of(angles)
    return rotate(x, tables.cos, tables.sin)


def test_temporal_angles():
    angles = temporal_angles(5, 8, CPU)
    for t in range(5):
        for i in range(4):
            expected = t * 10000 ** (-2 * i / 8)
            assert math.isclose(angles[t, i], expected, rel_tol=1e-6)
            assert angles[t, i] == angles[t, i + 4]


def test_axial_angles():
    angles = axial_angles(3, 5, 16, CPU)
    scales = [2 ** (math.log2(5) * k / 3) for k in range(4)]
    for row in range(3):
        for column in range(5):
            own = angles[row * 5 + column]
            for k, scale in enumerate(scales):
                for channel, position in ((2 * k, -1 + row), (8 + 2 * k, -1 + column / 2)):
                    expected = position * scale * math.pi
                    assert math.isclose(own[channel], expected, rel_tol=1e-5, abs_tol=1e-6)
                    assert own[channel] == own[channel + 1]


def test_rotation_turns_adjacent_pairs():
    x = torch.tensor([[3.0, 4.0, 1.0, 0.0]])
    angle = torch.tensor([[math.pi / 2, math.pi / 2, math.pi, math.pi]])
    assert torch.allclose(turn(x, angle), torch.tensor([[-4.0, 3.0, -1.0, 0.0]]), atol=1e-6)


def test_rotation_by_one_angle_keeps_lengths_and_shifts_cancel():
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 16)
    angles = axial_angles(4, 4, 16, CPU)

    def product(i, j):
        a, b = angles[i : i + 1], angles[j : j + 1]
        return (turn(q, a) * turn(k, b)).sum()

    # Attention depends on the difference of positions: (row 0, column 0 to 1) is as (row 2, column 2 to 3).
    assert torch.allclose(product(0, 1), product(10, 11), atol=1e-5)
    assert not torch.allclose(product(0, 1), product(0, 2), atol=1e-3)
