"""Shards are read as safetensors reads them, and a file that is cut is an error."""

import os
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from pvdm_lightning.data.latents.shard import TYPES, Shard

tensors = st.dictionaries(
    st.text(min_size=1, max_size=5).filter(lambda name: name != "__metadata__"),
    st.tuples(st.lists(st.integers(0, 4), max_size=3), st.sampled_from(list(TYPES.values()))).map(
        lambda of: (torch.rand(of[0]) * 9).to(of[1])
    ),
    max_size=4,
)


@given(tensors, st.data())
@settings(max_examples=60, deadline=None)
def test_it_reads_what_safetensors_wrote_or_says_that_it_is_cut(held, data):
    content = save(held, {"failures": "{}"})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard.safetensors"
        path.write_bytes(content)
        with Shard(path) as shard:
            assert shard.metadata == {"failures": "{}"} and shard.tensors.keys() == held.keys()
            for name, tensor in load(content).items():
                assert torch.equal(shard.tensor(name), tensor)
                for row in range(len(tensor) if tensor.dim() else 0):
                    assert torch.equal(shard.row(name, row), tensor[row])
            cut = data.draw(st.integers(0, len(content) - 1))
            os.truncate(path, cut)
            for name, tensor in held.items():
                if shard.tensors[name].end > cut and tensor.numel():
                    with pytest.raises(ValueError, match="it ends after"):
                        shard.tensor(name)
        path.write_bytes(content[:cut])
        if any(tensor.numel() for tensor in held.values()) or cut < 8:
            with pytest.raises(ValueError, match="header"):
                Shard(path)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_damaged_headers_are_errors_of_one_kind(data):
    content = bytearray(save({"clip": torch.rand(3, 2, 4), "index": torch.arange(3)}))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard.safetensors"
        path.write_bytes(content)
        try:
            with Shard(path) as shard:
                for name in shard.tensors:
                    assert shard.tensor(name).numel() <= len(content)
        except ValueError as error:
            assert "\n" not in str(error)


def test_there_is_no_row_beyond_the_last(tmp_path):
    path = tmp_path / "shard.safetensors"
    path.write_bytes(save({"clip": torch.rand(3, 2, 4)}))
    with Shard(path) as shard, pytest.raises(ValueError, match="has 3 rows, and no row 3"):
        shard.row("clip", 3)
