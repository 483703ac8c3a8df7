"""The networks run no more operators than recorded, and those of a GPU under autocast."""

import json
from collections import Counter

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

RECORD = 'After a change for the better, run `python -m benchmarks operators --record "what changed"`.'
GAIN = 0.95  # of a ceiling: what lies below is a gain to record
OTHER_VERSION = 1.05  # PyTorch's own functions may run other operators


def records():
    from benchmarks.operators import RECORDS

    return json.loads(RECORDS.read_text())


def test_no_step_runs_more_operators_than_recorded_nor_far_fewer():
    from benchmarks.operators import count_all

    ceilings = records()[-1]
    same = torch.__version__.split(".")[:2] == ceilings["torch"].split(".")[:2]
    counted = {name: count.figures() for name, count in count_all().items()}
    assert counted.keys() == ceilings["counts"].keys()
    for case, figures in counted.items():
        for name, ceiling in ceilings["counts"][case].items():
            assert figures[name] <= ceiling * (1 if same else OTHER_VERSION), f"{case}: {name}. {RECORD}"
            assert figures[name] >= ceiling * GAIN, f"{case}: {name}. {RECORD}"


def test_the_documentation_has_the_counts():
    from benchmarks.operators import DOCS, table

    assert table(records()) in DOCS.read_text()


@pytest.fixture(params=["U-Net", "autoencoder"])
def network(request):
    """`network()`: a network with its inputs, on the default device."""
    from benchmarks.networks import TINY_AUTOENCODER, TINY_SHAPE, denoiser_inputs
    from pvdm_lightning.models.autoencoder import VideoAutoencoder
    from pvdm_lightning.models.unet import TriplaneUNet

    def autoencoder():
        network = VideoAutoencoder(**TINY_AUTOENCODER)
        return network, (torch.rand(2, 3, *network.clip_shape),)

    def unet():
        sizes = {"base_channels": 32, "channel_multipliers": (1, 2), "blocks_per_level": 1, "norm_groups": 8}
        return TriplaneUNet(TINY_SHAPE, **sizes), denoiser_inputs(2, TINY_SHAPE, None)

    return autoencoder if request.param == "autoencoder" else unet


def test_casts_are_those_of_autocast_on_cuda(network, monkeypatch):
    """PyTorch itself applies CUDA's lists to fake tensors, which need no GPU, in the forward pass."""

    def fused(*qkv):  # the choice of a kernel asks the GPU
        return torch.ops.aten._scaled_dot_product_flash_attention(*(x.bfloat16() for x in qkv))[0]

    from benchmarks.operators import Counting, counting

    with torch.device("meta"):
        ours, inputs = network()
    with counting() as counted:
        ours(*inputs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", fused)
    with FakeTensorMode(), torch.device("cuda"):
        theirs, inputs = network()
        enabled, dtype = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
        torch.set_autocast_enabled("cuda", True)
        torch.set_autocast_dtype("cuda", torch.bfloat16)
        torch.autocast_increment_nesting()
        try:
            with Counting("cuda") as mode:
                theirs(*inputs)
        finally:
            torch.autocast_decrement_nesting()
            torch.clear_autocast_cache()
            torch.set_autocast_enabled("cuda", enabled)
            torch.set_autocast_dtype("cuda", dtype)
    assert (counted.names, counted.turned) == (mode.count.names, mode.count.turned)


def test_what_counts():
    from benchmarks.operators import counting

    image = torch.randn(2, 8, 4, 4, device="meta")
    kernel = torch.randn(8, 8, 3, 3, device="meta", dtype=torch.bfloat16)
    with counting() as count:
        x = image.transpose(2, 3).flatten(2)  # a view, and a copy
        x = (x + torch.zeros(3).sum()).unsqueeze(0)  # what the host computes costs no kernel
    assert count.names == {"clone": 1, "add": 1} and count.turned == 0
    assert count.nbytes.total() == 4 * image.nbytes + 4  # the sum is read as well
    assert count.figures()["copies"] == 1

    with counting() as count:
        F.conv2d(image.bfloat16().to(memory_format=torch.channels_last), kernel)
    assert count.names == {"_to_copy": 2, "convolution": 1} and count.turned == 1  # the kernel
    with counting() as count:
        F.conv2d(image, kernel)
    assert count.names == {"_to_copy": 1, "convolution": 1} and count.turned == 3
    with counting() as count:
        q = torch.randn(2, 4, 16, 8, device="meta")
        F.scaled_dot_product_attention(q, q, q)
    assert count.names["_scaled_dot_product_flash_attention"] == 1 and count.names["_to_copy"] == 3


def test_an_operator_of_our_own_is_one():
    from benchmarks.operators import counting

    @torch.library.custom_op("pvdm_tests::twice", mutates_args=(), schema="(Tensor x) -> Tensor")
    def twice(x):
        return x.clone() * 2 + x

    twice.register_fake(torch.empty_like)
    with counting() as count:
        twice(torch.zeros(3, device="meta"))
    assert count.names == Counter({"zeros": 1, "twice": 1})


def test_a_record_replaces_the_one_of_its_name(bench, monkeypatch, tmp_path):
    from benchmarks import operators

    count = operators.Count(Counter(add=2, clone=1), turned=3, kernels=4, nbytes=Counter(add=2**29))
    monkeypatch.setattr(operators, "RECORDS", tmp_path / "operators.json")
    monkeypatch.setattr(operators, "DOCS", tmp_path / "gpu.md")
    monkeypatch.setattr(operators, "CASES", {"case": lambda: {"part": count}})
    before = [{"what": "before", "torch": "2", "counts": {}}]
    operators.RECORDS.write_text(json.dumps(before))
    operators.DOCS.write_text(f"Text.\n\n{operators.table(before)}\nMore.\n")
    figures = {"operators": 3, "copies": 1, "turned": 3, "kernels": 4, "gib": 0.5}
    for _ in range(2):
        printed = bench("operators", "--record", "after", "--names")
        known = json.loads(operators.RECORDS.read_text())
        assert [record["what"] for record in known] == ["before", "after"]
        assert known[-1]["counts"] == {"case: part": figures}
        assert operators.DOCS.read_text() == f"Text.\n\n{operators.table(known)}\nMore.\n"
    assert "| case: part | after | 3 | 1 | 3 | 4 | 0.5 |" in printed
    assert "case: part: 2 add, 1 clone\nGiB: 0.5 add\n" in printed
