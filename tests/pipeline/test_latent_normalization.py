"""Latents that stage two trains on: around 0 with std 1, and back."""

import queue
import threading

import pytest
import torch

from pvdm_lightning.models.triplane import TriplaneShape
from pvdm_lightning.pipeline.latent_normalization import LatentNormalization
from pvdm_lightning.random import make_generator

SHAPE = TriplaneShape(4, 3, 5)


def offset_latents(count):
    """Another offset and scale for each channel and plane."""
    noise = torch.randn(count, 2, SHAPE.num_tokens, generator=make_generator(0))
    planes = noise.split(SHAPE.lengths, dim=2)
    return torch.cat([(i + 1) * 0.1 * plane + i - 0.5 for i, plane in enumerate(planes)], dim=2)


def test_each_channel_of_each_plane_lies_around_0_and_all_have_deviation_1():
    latents, normalization = offset_latents(50), LatentNormalization(2)
    assert torch.equal(normalization(latents, SHAPE), latents)
    normalization.measure(latents, SHAPE)
    normal = normalization(latents, SHAPE)
    for plane in normal.split(SHAPE.lengths, dim=2):
        assert plane.mean(dim=(0, 2)).abs().max() < 1e-4
    assert normal.square().mean().sqrt().item() == pytest.approx(1, abs=1e-3)
    assert torch.allclose(normalization.inverse(normal, SHAPE), latents, atol=1e-5)


def test_processes_with_other_numbers_of_latents_measure_what_one_would():
    latents = offset_latents(50)
    whole, shared = LatentNormalization(2), LatentNormalization(2)
    whole.measure(latents, SHAPE)
    # Two processes in step: each takes its sums to where the other's are.
    sums = [queue.Queue(), queue.Queue()]

    def measure(process, normalization, part):
        def all_reduce(value):
            sums[1 - process].put(value)
            return value + sums[process].get(timeout=10)

        normalization.measure(part, SHAPE, all_reduce)

    other = threading.Thread(target=measure, args=(0, LatentNormalization(2), latents[:13]))
    other.start()
    measure(1, shared, latents[13:])
    other.join()
    assert torch.allclose(shared.mean, whole.mean, atol=1e-6)
    assert torch.allclose(shared.std, whole.std, atol=1e-6)


def test_a_channel_that_hardly_varies_stays_small():
    latents = offset_latents(50)
    latents[:, 0] = 0.3 + 1e-3 * latents[:, 0]
    normalization = LatentNormalization(2)
    normalization.measure(latents, SHAPE)
    assert normalization(latents, SHAPE)[:, 0].abs().max() < 0.1
    normalization.measure(torch.full((3, 2, SHAPE.num_tokens), 0.3), SHAPE)
    assert normalization(torch.full((3, 2, SHAPE.num_tokens), 0.3), SHAPE).abs().max() < 1e-2
