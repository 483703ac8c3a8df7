"""VideoPipeline as users of diffusers know pipelines: callable, with a bar, a step callback, devices and data types."""

import io
import json
from dataclasses import replace

import pytest
import torch

from pvdm_lightning import InvalidArgumentError, VideoPipeline
from pvdm_lightning.pipeline import Sampling
from small_pipeline import build


@pytest.fixture
def pipeline():
    return build()


@pytest.fixture
def clips(pipeline):
    return torch.randint(0, 256, (2, 3, *pipeline.clip_shape), dtype=torch.uint8, generator=torch.manual_seed(1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("options", [{}, {"position_embedding": True, "axis_pooling": True}], ids=["paper", "options"])
@pytest.mark.parametrize("normalized", [True, False])
def test_every_call_works_in_every_data_type(dtype, options, normalized, clips):
    full, other = build(normalized=normalized, **options), build(normalized=normalized, **options).to(dtype)
    assert other.dtype == dtype and all(p.dtype == dtype for p in other.denoiser.parameters())
    assert other.schedule.alpha_bar.dtype == torch.float32

    def results(pipeline):
        planes = pipeline.encode(clips)
        assert all(plane.dtype == torch.float32 for plane in planes)
        return [
            pipeline.decode(planes),
            pipeline.reconstruct(clips),
            pipeline.sample(2, 6, guidance_scale=2.0),
            pipeline.sample(previous=clips, sampler="ddim"),
        ]

    for one, two in zip(results(full), results(other)):
        assert one.dtype == two.dtype == torch.uint8
        assert (one.float() - two.float()).abs().mean() < 3
    assert other.to("cpu", torch.float32).dtype == torch.float32
    assert other.sample().dtype == torch.uint8


def test_a_data_type_and_a_device_are_taken_at_load(pipeline, tmp_path):
    pipeline.to(torch.bfloat16).save_pretrained(tmp_path)
    for load in (VideoPipeline.from_pretrained, VideoPipeline.from_checkpoint):
        loaded = load(tmp_path, device="cpu", dtype=torch.bfloat16)
        assert loaded.dtype == torch.bfloat16
        assert torch.equal(loaded.sample(), pipeline.sample())
    assert VideoPipeline.from_pretrained(tmp_path).dtype == torch.float32


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (torch.int8, "VideoPipeline.dtype torch.int8: is no data type of networks. Give torch.float32"),
        (torch.complex64, "VideoPipeline.dtype torch.complex64: is no data type"),
        ("gpu", "VideoPipeline.device gpu: cannot be used"),
        ("cuda:99", "VideoPipeline.device cuda:99: cannot be used"),
        (1.5, "VideoPipeline.device 1.5: cannot be used"),
        ("meta", "VideoPipeline.device meta: holds no weights"),
    ],
)
def test_devices_and_data_types_that_cannot_be_used(pipeline, given, said):
    with pytest.raises(InvalidArgumentError, match=said):
        pipeline.to(given)
    assert pipeline.sample().shape == (1, 3, 4, 16, 16)  # nothing was moved


def test_a_call_samples(pipeline):
    assert torch.equal(pipeline(2, num_frames=6), pipeline.sample(2, num_frames=6))


def test_the_defaults_of_a_pipeline_are_saved_with_it(pipeline, tmp_path):
    explicit = build(Sampling()).sample(num_inference_steps=3, sampler="dpm_solver")
    assert torch.equal(pipeline.sample(), explicit)
    pipeline.sampling = Sampling(
        sampler="ddim", num_inference_steps=4, num_inference_steps_later=2, eta=0.5, guidance_scale=2.0, seed=7
    )
    pipeline.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["sampling"] == {
        "sampler": "ddim",
        "num_inference_steps": 4,
        "num_inference_steps_later": 2,
        "eta": 0.5,
        "guidance_scale": 2.0,
        "guidance_scale_known": 1.0,
        "guidance_scale_label": 1.0,
        "guidance_scale_context": 1.0,
        "guidance_interval": [0.0, 1.0],
        "guidance_rescale": 0.0,
    }
    again = VideoPipeline.from_pretrained(tmp_path)
    for options in ({}, {"num_frames": 12}, {"num_frames": 8, "num_inference_steps": 3}, {"eta": 0.0}):
        assert torch.equal(again(**options), pipeline(**options))
    # The later steps of the defaults do not mix with the steps of a call.
    counted = []
    again(num_frames=8, num_inference_steps=3, callback_on_step_end=lambda *step: counted.append(step))
    assert len(counted) == 6
    pipeline.sampling = replace(pipeline.sampling, guidance_interval=(0.25, 0.75), guidance_rescale=0.5)
    pipeline.save_pretrained(tmp_path)
    assert replace(VideoPipeline.from_pretrained(tmp_path).sampling, seed=7) == pipeline.sampling
    # A folder that was saved before there was more than one scale of guidance, and before there were defaults.
    config["sampling"] = {name: value for name, value in config["sampling"].items() if "guidance_" not in name}
    (tmp_path / "config.json").write_text(json.dumps(config))
    old = Sampling(sampler="ddim", num_inference_steps=4, num_inference_steps_later=2, eta=0.5)
    assert VideoPipeline.from_pretrained(tmp_path).sampling == old
    del config["sampling"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert VideoPipeline.from_pretrained(tmp_path).sampling == Sampling()
    for wrong in ({"sampler": "euler"}, {"num_inference_steps": -1}, {"steps": 3}, {"eta": 7}, [1], "x"):
        (tmp_path / "config.json").write_text(json.dumps({**config, "sampling": wrong}))
        with pytest.raises(InvalidArgumentError, match="holds no pipeline that "):
            VideoPipeline.from_pretrained(tmp_path)


def test_the_bar_counts_the_steps_of_all_clips_and_batches(pipeline, capfd):
    pipeline.sample(5, 10, batch_size=2)
    assert capfd.readouterr() == ("", "")  # no terminal
    shown = io.StringIO()
    pipeline.set_progress_bar_config(disable=False, file=shown, mininterval=0, ncols=60)
    pipeline.sample(5, 10, batch_size=2, num_inference_steps_later=2)
    assert f"{3 * (3 + 2 + 2)}/{3 * (3 + 2 + 2)}" in shown.getvalue().rpartition("\r")[2]
    pipeline.set_progress_bar_config(disable=True)
    pipeline.sample()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm_solver", "dpm_solver_sde"])
def test_the_callback_sees_every_step_and_may_change_the_latents(pipeline, sampler):
    seen = []

    def note(given, step, timestep, tensors):
        assert given is pipeline
        seen.append((step, timestep, tensors["latents"].clone()))

    videos = pipeline.sample(3, 8, sampler=sampler, batch_size=2, callback_on_step_end=note)
    assert torch.equal(videos, pipeline.sample(3, 8, sampler=sampler, batch_size=2))
    assert [step for step, _, _ in seen] == list(range(len(seen)))
    first = pipeline.sampling.samplers(pipeline.schedule)[0] if sampler == "dpm_solver" else None
    if first is not None:
        assert [timestep for _, timestep, _ in seen] == 4 * first.timesteps
    clips = [seen[number * len(seen) // 4 - 1][2] for number in (1, 2)]
    assert torch.equal(torch.cat([pipeline.to_pixels(clip) for clip in clips], dim=2), videos[:2])

    empty = pipeline.sample(sampler=sampler, callback_on_step_end=lambda *step: {"latents": torch.zeros(1, 2, 20)})
    assert torch.equal(empty, pipeline.to_pixels(torch.zeros(1, 2, 20)))

    def stop(given, step, timestep, tensors):
        if step == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.sample(sampler=sampler, callback_on_step_end=stop)


def test_seeds(pipeline):
    assert torch.equal(pipeline(), pipeline(seed=0))
    torch.manual_seed(3)
    one, two = pipeline(seed=None), pipeline(seed=None)
    assert (one.int() - two.int()).abs().max() > 0  # not the same video again
    torch.manual_seed(3)
    assert torch.equal(pipeline(seed=None), one)
    given = [pipeline(2, generator=torch.Generator().manual_seed(5)) for _ in range(2)]
    assert torch.equal(*given)


def test_the_number_of_videos_agrees_with_the_clips_to_continue(pipeline, clips):
    assert len(pipeline(previous=clips)) == len(pipeline(2, previous=clips)) == 2
    with pytest.raises(InvalidArgumentError, match=r"num_videos 5: is not the number of videos that previous is"):
        pipeline(5, previous=clips)
    several = pipeline(3, previous=clips[:1], batch_size=2)
    assert len(several) == 3
    assert (several[:1].int() - pipeline(previous=clips[:1]).int()).abs().max() <= 1  # up to rounding
    assert (several[0].int() - several[1].int()).abs().max() > 0


def test_what_a_pipeline_is_is_printed(pipeline):
    assert repr(pipeline).splitlines() == [
        "VideoPipeline(",
        "  clips: 4 frames of 16 x 16 pixels",
        f"  autoencoder: VideoAutoencoder, {size(pipeline.first_stage):.3g} M parameters",
        f"  denoiser: TriplaneUNet, {size(pipeline.denoiser):.3g} M parameters",
        "  predicts: v_prediction of normalized latents",
        "  sampling: dpm_solver, 3 steps, guidance scale 1",
        "  device: cpu, float32",
        ")",
    ]
    alone = repr(VideoPipeline(pipeline.first_stage).to(torch.bfloat16))
    assert "denoiser: none, only stage one is trained" in alone and "device: cpu, bfloat16" in alone


def test_guidance_is_printed_where_there_is_some(pipeline):
    pipeline.sampling = replace(pipeline.sampling, guidance_scale_label=3, guidance_interval=(0.2, 0.8))
    said = "  sampling: dpm_solver, 3 steps, guidance scale 1, 3 for label, guided from 0.2 to 0.8 of the times"
    assert said in repr(pipeline).splitlines()


def size(network):
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6
