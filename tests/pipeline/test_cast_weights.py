"""Weights cast once, against autocast, which casts them in each call."""

from contextlib import nullcontext

import pytest
import torch
from torch.distributed.fsdp import FSDPModule
from torch.utils._python_dispatch import TorchDispatchMode

from pvdm_lightning.pipeline.cast_weights import CastWeights
from small_pipeline import build

OPTIONS = [{}, {"position_embedding": True, "axis_pooling": True}]


class CastsOfWeights(TorchDispatchMode):
    """Counts conversions of parameters."""

    def __init__(self, network):
        super().__init__()
        self.addresses = {parameter.data_ptr() for parameter in network.parameters()}
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._to_copy.default:
            self.count += args[0].data_ptr() in self.addresses
        return func(*args, **(kwargs or {}))


@pytest.fixture(params=OPTIONS, ids=["paper", "options"])
def pipeline(request):
    return build(**request.param)


def test_videos_are_those_of_autocast_and_nothing_is_cast_again(pipeline, monkeypatch):
    denoise_calls = []
    with torch.autocast("cpu", torch.bfloat16):
        z, t = torch.randn(2, 2, pipeline.denoiser.latent_shape.num_tokens), torch.tensor([3, 11])
        expected = pipeline.denoiser(z, t)
        with CastsOfWeights(pipeline.denoiser) as plain:
            pipeline.denoiser(z, t)
        with pipeline.cast_weights():
            assert torch.equal(pipeline.bind()(z, t), pipeline.bind()(z, t))
            with CastsOfWeights(pipeline.denoiser) as cast:
                assert torch.equal(pipeline.denoiser(z, t), expected)
        videos = pipeline.sample(2, 8, guidance_scale=2.0)
        assert pipeline._cast is None  # freed
        monkeypatch.setattr(pipeline, "cast_weights", lambda: denoise_calls.append(1) or nullcontext())
        assert torch.equal(videos, pipeline.sample(2, 8, guidance_scale=2.0))
    assert plain.count > 20 and cast.count == 0
    assert denoise_calls


def test_weights_return_and_are_brought_up_to_date(pipeline):
    network = pipeline.denoiser
    before = dict(network.named_parameters())
    cast = CastWeights(network, torch.bfloat16)
    with pytest.raises(KeyboardInterrupt), cast.in_place():
        inside = dict(network.named_parameters())
        assert list(inside) == list(before)
        assert {inside[name].dtype for name in before if "norm" in name} == {torch.float32}
        assert network.stem.weight.dtype == network.embed_time[0].bias.dtype == torch.bfloat16
        raise KeyboardInterrupt
    assert all(one is before[name] for name, one in network.named_parameters())
    with torch.no_grad():
        network.stem.weight.fill_(2.0)
    with cast.in_place():
        assert network.stem.weight is inside["stem.weight"]  # in the same memory, for graphs
        assert (network.stem.weight == 2).all()


def test_what_has_another_precision_or_is_sharded_stays(pipeline):
    network = pipeline.to(torch.float16).denoiser
    with torch.autocast("cpu", torch.bfloat16), pipeline.cast_weights():
        assert {parameter.dtype for parameter in network.parameters()} == {torch.float16}
    pipeline.to(torch.float32)
    with pipeline.cast_weights():  # no autocast
        assert network.stem.weight.dtype == torch.float32
    plain, network.middle.__class__ = network.middle.__class__, type("Sharded", (FSDPModule, type(network.middle)), {})
    with torch.autocast("cpu", torch.bfloat16), pipeline.cast_weights():
        assert network.stem.weight.dtype == torch.float32
    network.middle.__class__ = plain
