"""Graphs of sampling steps. In place of CUDA, the operations of a step are recorded once, and replayed.

What a record does not repeat gives other videos: numbers of Python that differ from step to step, and inputs that are
not copied to where it reads them. What CUDA cannot capture is an error here as well.
"""

import logging

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

from pvdm_lightning import InvalidArgumentError, NoiseSchedule
from pvdm_lightning.diffusion.samplers import SAMPLERS, DDIMSampler
from pvdm_lightning.gpu.cuda_graph import CudaGraphs
from pvdm_lightning.models.condition import Condition, KnownFrames
from pvdm_lightning.pipeline import Sampling
from small_pipeline import build

ATEN = torch.ops.aten
FROM_OR_TO_THE_HOST = {ATEN._local_scalar_dense.default, ATEN.lift_fresh.default}


class Recording(TorchDispatchMode):
    """Operations with the very tensors that they took and gave."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in FROM_OR_TO_THE_HOST:
            raise RuntimeError(f"{func} cannot be captured\nas a stand-in for CUDA says")
        result = func(*args, **(kwargs or {}))
        self.operations.append((func, args, kwargs or {}, result))
        return result

    def replay(self):
        """Values by the identity of the tensor that was there while it was recorded."""
        values = {}

        def now(tree):
            return tree_map_only(torch.Tensor, lambda tensor: values.get(id(tensor), tensor), tree)

        for func, args, kwargs, recorded in self.operations:
            result = func(*now(args), **now(kwargs))
            old, new = tree_flatten(recorded)[0], tree_flatten(result)[0]
            values.update((id(one), two) for one, two in zip(old, new, strict=True))
        return values


class Recordings:
    """Stands in for `capture_on_cuda`: replays write into the same results, as those of a graph do."""

    def __init__(self):
        self.count = 0

    def __call__(self, function, inputs):
        self.count += 1
        random_state = torch.get_rng_state()
        with Recording() as recording:
            outputs = function(*inputs)
        if not torch.equal(random_state, torch.get_rng_state()):
            raise RuntimeError("random numbers would be the same in each step")
        results = [output.clone() for output in outputs]

        def replay():
            values = recording.replay()
            for result, output in zip(results, outputs, strict=True):
                result.copy_(values.get(id(output), output))
            return results

        return replay


@pytest.fixture
def recordings():
    return Recordings()


@pytest.fixture
def pipeline(recordings):
    pipeline = build()
    pipeline.graphs = CudaGraphs(recordings)
    return pipeline


def eagerly(pipeline, *args, **options):
    graphs, pipeline.graphs = pipeline.graphs, None
    videos = pipeline.sample(*args, **options)
    pipeline.graphs = graphs
    return videos


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm_solver", "dpm_solver_sde"])
@pytest.mark.parametrize(("guidance_scale", "prediction_type"), [(1.0, "v_prediction"), (2.0, "epsilon")])
def test_videos_are_those_without_graphs(pipeline, recordings, caplog, sampler, guidance_scale, prediction_type):
    pipeline.prediction_type, pipeline.schedule = prediction_type, NoiseSchedule(5, clip_range=3.0)
    options = {"sampler": sampler, "guidance_scale": guidance_scale, "batch_size": 2, "num_inference_steps": 3}
    videos = pipeline.sample(5, 10, **options)
    # Batches of two and of one; the first clip, and those after it.
    assert recordings.count == 4
    assert not caplog.records
    assert torch.equal(videos, eagerly(pipeline, 5, 10, **options))


def test_options_that_change_a_step_have_graphs_of_their_own(pipeline, recordings):
    clips = torch.randint(256, (1, 3, *pipeline.clip_shape), dtype=torch.uint8)
    runs = [{"guidance_scale": 2.0}, {"guidance_scale": 3.0}, {"sampler": "ddim"}, {"sampler": "ddim", "eta": 0.0}]
    for options in [*runs, *runs]:
        assert torch.equal(pipeline.sample(previous=clips, **options), eagerly(pipeline, previous=clips, **options))
    assert recordings.count == 4
    pipeline.release()
    pipeline.sample(previous=clips, **runs[0])
    assert recordings.count == 5
    pipeline.to(torch.bfloat16)  # weights elsewhere
    assert torch.equal(pipeline.sample(), eagerly(pipeline))
    assert recordings.count == 6


def test_weights_that_training_changes_are_seen(pipeline, recordings):
    before = pipeline.sample()
    with torch.no_grad():
        pipeline.denoiser.head_conv.weight.mul_(-1)
    after = pipeline.sample()
    assert not torch.equal(before, after) and torch.equal(after, eagerly(pipeline))
    assert recordings.count == 1


def test_a_callback_keeps_and_changes_latents(pipeline):
    seen = {True: [], False: []}

    def halve(pipeline, step, timestep, tensors):
        seen[pipeline.graphs is None].append(tensors["latents"])
        return {"latents": 0.5 * tensors["latents"]}

    videos = pipeline.sample(num_frames=8, callback_on_step_end=halve)
    assert torch.equal(videos, eagerly(pipeline, num_frames=8, callback_on_step_end=halve))
    assert len(seen[True]) == len(seen[False]) == 6
    assert all(torch.equal(one, other) for one, other in zip(*seen.values()))


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_autocast(pipeline, recordings, mode):
    """Weights are cast once, and where a graph reads them; Lightning predicts in inference mode."""
    sampling = Sampling(num_inference_steps=3, sampler="dpm_solver")
    with mode(), torch.autocast("cpu", torch.bfloat16):
        graphed = [pipeline.generate([number], sampling) for number in (0, 1)]
        assert recordings.count == 1
        graphs, pipeline.graphs = pipeline.graphs, None
        assert all(torch.equal(video, pipeline.generate([number], sampling)) for number, video in enumerate(graphed))
    pipeline.graphs = graphs
    assert torch.equal(pipeline.generate([0], sampling), eagerly(pipeline, **{"sampler": "dpm_solver"}))


@pytest.mark.parametrize(
    ("factor", "reason"),
    [
        (lambda t: 1 + 0 * t[0].item(), "aten._local_scalar_dense.default cannot be captured"),
        (lambda t: torch.tensor(2.0), "aten.lift_fresh.default cannot be captured"),
        (lambda t: 1 + 0 * torch.rand(1), "random numbers would be the same in each step"),
    ],
)
def test_what_cannot_be_captured_is_called(pipeline, recordings, caplog, factor, reason):
    forward = pipeline.denoiser.forward
    pipeline.denoiser.forward = lambda z_t, t, condition=None: forward(z_t, t, condition) * factor(t)
    assert torch.equal(pipeline.sample(2, 8, batch_size=1), eagerly(pipeline, 2, 8, batch_size=1))
    assert recordings.count == 2  # not tried again
    line = f"Sampling goes on without a CUDA graph: {reason}"
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(logging.WARNING, line)] * 2


def test_every_part_of_a_condition_is_an_input(recordings):
    graphs = CudaGraphs(recordings)

    def function(condition, scale):
        total = condition.previous if condition.known is None else condition.known.latent * condition.known.mask
        return total * scale + condition.label, condition.label

    for number in (1, 2):
        filled = torch.full((2,), number)
        known = KnownFrames(torch.full((2,), 3.0 * number), torch.tensor([True, False]))
        for condition in (Condition(filled, label=filled), Condition(known=known, label=filled)):
            for held, expected in zip(graphs("key", function, condition, 2.0), function(condition, 2.0), strict=True):
                assert torch.equal(held, expected)
    assert recordings.count == 2
    graphs.clear()
    graphs("key", function, condition, 2.0)
    assert recordings.count == 3


def test_tables_of_tensors_are_inputs(recordings):
    graphs = CudaGraphs(recordings)

    def function(condition):
        return (sum(condition.extra.values(), torch.zeros(2)),)

    for number in (1, 2):
        for names in (("speed",), ("depth",), ("speed", "depth")):
            given = Condition(extra={name: torch.full((2,), number + place) for place, name in enumerate(names)})
            assert torch.equal(*graphs("key", function, given), *function(given))
    assert recordings.count == 3  # by the names in the table


@pytest.mark.parametrize("sampler", ["ddim", "dpm_solver_sde"])
def test_guidance_in_an_interval_is_a_graph_with_guidance_and_one_without(recordings, caplog, sampler):
    how = {"num_classes": 3, "known_frames": True, "class_names": ["a", "b", "c"]}
    pipeline, worse = build(**how), build(num_classes=3, class_names=["a", "b", "c"])
    worse.denoiser.head_conv.weight.mul_(0.5)
    pipeline.graphs = CudaGraphs(recordings)
    guided = {"guidance_scale_label": 3.0, "guidance_scale_known": 2.0, "guidance_rescale": 0.5}
    options = {"sampler": sampler, "num_inference_steps": 5, "autoguidance": worse, "autoguidance_scale": 2.0, **guided}
    interval = {"guidance_interval": (0.3, 0.7)}
    videos = pipeline.sample(2, 7, **options, **interval)
    # The first clip, and the one that continues known frames of it.
    assert recordings.count == 4 and not caplog.records
    assert torch.equal(videos, eagerly(pipeline, 2, 7, **options, **interval))
    assert not torch.equal(videos, eagerly(pipeline, 2, 7, **options))  # guided in each step
    # Another worse network is another graph.
    other = build()
    assert torch.equal(
        pipeline.sample(1, **{**options, "autoguidance": other}),
        eagerly(pipeline, 1, **{**options, "autoguidance": other}),
    )


def test_the_option(recordings):
    pipeline = build(Sampling(cuda_graph="on"))
    with pytest.raises(
        InvalidArgumentError, match=r"Sampling\.cuda_graph on: no graphs are captured here\. Set VideoPipeline"
    ):
        pipeline.sample(num_inference_steps=2)
    pipeline.graphs = CudaGraphs(recordings)
    pipeline.sample(num_inference_steps=2)
    assert recordings.count == 1
    pipeline.sampling = Sampling(cuda_graph="off")
    pipeline.sample(3, num_inference_steps=2)
    assert recordings.count == 1
    with pytest.raises(InvalidArgumentError, match=r"Sampling\.cuda_graph yes: is no choice\. Give auto, on or off\."):
        Sampling(cuda_graph="yes")


class CountsSteps(DDIMSampler):
    """Has a number of Python in its steps."""

    def advance(self, c, z, epsilon, noise, z_0, last_z_0):
        self.steps = getattr(self, "steps", 0) + 1
        return super().advance(c, z, epsilon, noise, z_0, last_z_0) / self.steps


def test_the_stand_in_tells_what_a_graph_would_get_wrong(pipeline, monkeypatch):
    monkeypatch.setitem(SAMPLERS, "counts", CountsSteps)
    options = {"sampler": "counts", "num_inference_steps": 4}
    assert not torch.equal(pipeline.sample(**options), eagerly(pipeline, **options))
