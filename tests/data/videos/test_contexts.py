import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pvdm_lightning.data.videos.contexts import Contexts, VideosWithContext, read_context, write_contexts
from pvdm_lightning.data.videos.source import ConcatVideos, condition_of, conditions_of
from pvdm_lightning.data.videos.synthetic import SyntheticVideos
from pvdm_lightning.errors import InvalidArgumentError


def vectors(number, count=2, channels=3):
    return torch.full((count, channels), float(number))


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_what_is_written_is_read(tmp_path, dtype):
    write_contexts(tmp_path / "a.safetensors", {"cats/one.mp4": vectors(1).to(dtype), "Cafe\u0301.mp4": vectors(2)})
    write_contexts(tmp_path / "b.safetensors", {"dogs/two.mov": vectors(3)})
    contexts = pickle.loads(pickle.dumps(Contexts(tmp_path)))  # as a worker gets it
    assert contexts.names == ["Café.mp4", "cats/one.mp4", "dogs/two.mov"] and contexts.size == (2, 3)
    for name, number in (("./cats/one.mp4", 1), ("Café.mp4", 2), ("dogs/two.mov", 3)):
        assert name in contexts and torch.equal(contexts.read(name), vectors(number))
    assert "cats/two.mp4" not in contexts
    assert Contexts(tmp_path / "b.safetensors").names == ["dogs/two.mov"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "there is no such file or folder"),
        (b"no safetensors", "cannot be read (c.safetensors: its header"),
        ({"a": torch.ones(2, 3, dtype=torch.int64)}, "a is I64 [2, 3], not vectors [N E] in floating point"),
        ({"a": torch.ones(3)}, "a is F32 [3], not vectors [N E] in floating point"),
        ({"a": torch.ones(0, 3)}, "a is F32 [0, 3], not vectors"),
        ({"a": vectors(1), "b": vectors(1, count=5)}, "has vectors [2, 3] for a and [5, 3] for b"),
        ({"a": vectors(1), "./a": vectors(1)}, "twice. Keep one of them."),
        ({}, "has no vectors"),
    ],
)
def test_files_of_something_else(tmp_path, content, problem):
    path = tmp_path / "c.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        save_file(content, path)
    with pytest.raises(InvalidArgumentError) as caught:
        Contexts(path)
    assert one_line(caught).startswith(f"DataModule.context {path}: ") and problem in str(caught.value)


def test_vectors_that_are_not_finite_name_their_video(tmp_path):
    save_file({"a": vectors(1), "b": vectors(float("nan"))}, tmp_path / "c.safetensors")
    contexts = Contexts(tmp_path / "c.safetensors")
    assert contexts.read("a").any()
    with pytest.raises(InvalidArgumentError, match="the vectors of b are not finite"):
        contexts.read("b")


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (torch.ones(2, 3, dtype=torch.int64), "int64 [2, 3]: b is not [N E] in floating point"),
        (vectors(1, count=4), "float32 [4, 3]: b is not [N E] in floating point, of the same sizes as the others"),
        (vectors(float("inf")), "b: is not finite"),
    ],
)
def test_what_is_no_context_is_not_written(tmp_path, wrong, problem):
    with pytest.raises(InvalidArgumentError) as caught:
        write_contexts(tmp_path / "c.safetensors", {"a": vectors(1), "b": wrong})
    assert f"write_contexts.contexts {problem}" in one_line(caught) and not list(tmp_path.iterdir())


class WithSpeed(SyntheticVideos):
    """Videos that have a part of a condition of their own."""

    conditions = ("speed",)

    def condition(self, index, frames, flip):
        return {"speed": torch.tensor([float(index), len(frames), flip])}


def test_videos_with_vectors(tmp_path):
    path = tmp_path / "c.safetensors"
    write_contexts(path, {f"synthetic video {number}": vectors(number) for number in range(2)})
    videos = VideosWithContext(WithSpeed(0, 2, 8, 0), Contexts(path))
    assert conditions_of(videos) == ("context", "speed")
    both = ConcatVideos([videos, videos])
    assert conditions_of(both) == ("context", "speed")
    for source, index in ((videos, 1), (both, 1), (both, 3)):
        parts = condition_of(source, index, [0, 1, 2], True)
        assert torch.equal(parts["context"], vectors(1)) and parts["speed"].tolist() == [1, 3, 1]
        assert source.name(index) == "synthetic video 1" and source.labels[index] == videos.videos.labels[1]
        assert source.read(index, [0], (4, 4)).shape == (3, 1, 4, 4) and source.stamps() == b""
    with pytest.raises(InvalidArgumentError) as caught:
        VideosWithContext(SyntheticVideos(0, 4, 8, 0), Contexts(path))
    assert one_line(caught) == (
        f"DataModule.context {path}: has no vectors of 2 videos, such as synthetic video 2. Add them; zeros where a "
        "video has none. Its own names are such as synthetic video 0."
    )


def test_broken_videos_need_no_vectors(tmp_path):
    write_contexts(tmp_path / "c.safetensors", {"synthetic video 0": vectors(0)})
    videos = SyntheticVideos(0, 2, 8, 0)
    videos.lengths[1] = 0
    assert len(VideosWithContext(videos, Contexts(tmp_path / "c.safetensors")).lengths) == 2


def test_vectors_to_sample_with(tmp_path):
    np.save(tmp_path / "one.npy", np.ones((2, 3), np.float16))
    np.save(tmp_path / "some.npy", np.ones((4, 2, 3)))
    save_file({"b": vectors(2), "a": torch.stack([vectors(0), vectors(1)])}, tmp_path / "named.safetensors")
    assert torch.equal(read_context(tmp_path / "one.npy"), torch.ones(1, 2, 3))
    assert torch.equal(read_context(tmp_path / "some.npy"), torch.ones(4, 2, 3))
    assert torch.equal(read_context(tmp_path / "named.safetensors"), torch.stack([vectors(i) for i in range(3)]))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("no.npy", None, "there is no such file"),
        ("a.npy", np.ones((2, 3), np.int64), "cannot be read (it is int64 [2, 3])"),
        ("a.npy", np.ones(3), "has [1, 3], and not vectors of one size"),
        ("a.npy", np.array([[1.0, np.nan]]), "is not finite"),
        ("a.npy", np.array([{}], dtype=object), "no array of plain values"),
        ("a.safetensors", {"a": vectors(0), "b": vectors(0, count=3)}, "has [1, 2, 3] and [1, 3, 3], and not"),
        ("a.safetensors", {"a": torch.ones(2, 3, dtype=torch.int64)}, "cannot be read (a is I64)"),
        ("a.safetensors", {}, "has nothing, and not vectors"),
    ],
)
def test_vectors_to_sample_with_that_are_none(tmp_path, name, content, problem):
    if isinstance(content, dict):
        save_file(content, tmp_path / name)
    elif content is not None:
        np.save(tmp_path / name, content)
    with pytest.raises(InvalidArgumentError) as caught:
        read_context(tmp_path / name)
    assert one_line(caught).startswith(f"Sampling.context {tmp_path / name}: ") and problem in str(caught.value)
