"""What stage two's dashboard is made of."""

import torch

from pvdm_lightning.models.condition import Condition
from pvdm_lightning.models.triplane import Triplane
from pvdm_lightning.training.dashboard import LossBreakdown, plane_images


def test_losses_by_part():
    breakdown = LossBreakdown(1000)
    losses = torch.tensor([1.0, 2.0, 3.0, 4.0])
    t = torch.tensor([0, 249, 250, 999])
    previous = torch.zeros(4, 2, 5)
    previous[1] = previous[3] = 0.1
    for scale in (1, 3):  # two batches between entries of the log
        breakdown.add(scale * losses, t, Condition(previous))
    assert {name: float(value) for name, value in breakdown.take().items()} == {
        "loss_unconditional": 4.0,
        "loss_next_clip": 6.0,
        "loss_t_quarter_1": 3.0,
        "loss_t_quarter_2": 6.0,
        "loss_t_quarter_4": 8.0,  # and the third, which had no sample, is left out
    }
    assert breakdown.take() == {}


def test_planes_become_pictures_of_full_contrast():
    latent = Triplane(torch.randn(2, 4, 3, 5), torch.randn(2, 4, 7, 5), torch.randn(2, 4, 7, 3))
    rows = list(plane_images(latent).values())
    assert [tuple(row.shape) for row in rows] == [(2, 3, 1, 3, 5), (2, 3, 1, 7, 5), (2, 3, 1, 7, 3)]
    for row in rows:
        assert row.dtype == torch.uint8 and row.amin() == 0 and row.amax() == 255
    one = Triplane(torch.randn(1, 1, 3, 5), torch.randn(1, 1, 7, 5), torch.randn(1, 1, 7, 3))
    assert all(row.shape[1] == 3 for row in plane_images(one).values())
