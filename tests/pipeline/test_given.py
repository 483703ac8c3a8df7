"""What is given of sampled videos: classes, known frames, clips before, vectors; and how clips follow on each other."""

import pytest
import torch

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.pipeline import FrozenAutoencoder, Sampling, VideoPipeline
from pvdm_lightning.pipeline.given import Given
from pvdm_lightning.pipeline.known_frames import fill_unknown

NAMES = ["disc", "ring", "square"]
OPTIONS = {"class_names": NAMES, "num_classes": 3, "known_frames": True, "context_channels": 5}


def pipeline_of(**options):
    torch.manual_seed(0)
    sizes = {"dim": 16, "depth": 1, "heads": 2, "head_dim": 8, "projector_depth": 1, "projector_mlp_dim": 16}
    autoencoder = VideoAutoencoder(4, 16, 8, **sizes)
    for weight in autoencoder.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    unet = TriplaneUNet(
        autoencoder.latent_shape, base_channels=8, channel_multipliers=(1,), blocks_per_level=1, heads=1,
        norm_groups=2, **options,
    )  # fmt: skip
    for weight in unet.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return VideoPipeline(FrozenAutoencoder(autoencoder), unet.requires_grad_(False).eval())


@pytest.fixture(scope="module")
def pipeline():
    return pipeline_of(**OPTIONS)


@pytest.fixture
def conditions(pipeline, monkeypatch):
    """The condition of each clip that is drawn."""
    seen, bind = [], pipeline.bind

    def recording(condition=None, *args, **kwargs):
        seen.append(condition)
        return bind(condition, *args, **kwargs)

    monkeypatch.setattr(pipeline, "bind", recording)
    return seen


def clips(count=1):
    return torch.randint(256, (count, 3, 4, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def sample(pipeline, **how):
    return pipeline(num_inference_steps=2, **how)


def test_classes_come_in_turn_by_name_number_or_all_of_them(pipeline, conditions):
    sample(pipeline, num_videos=5, batch_size=2)
    sample(pipeline, num_videos=3, class_names=["square", "0"])
    sample(pipeline, num_videos=2, class_names=[])
    labels = [condition.label.tolist() for condition in conditions]
    assert labels == [[0, 1], [2, 0], [1], [2, 0, 2], [-1, -1]]
    with pytest.raises(InvalidArgumentError, match=r"Sampling.class_names rnig: .* Did you mean ring\?"):
        sample(pipeline, class_names=["rnig"])


def test_each_clip_continues_the_last_frames_of_the_one_before(pipeline, conditions):
    video = sample(pipeline, num_videos=2, num_frames=9, overlap=1)
    assert video.shape == (2, 3, 9, 16, 16) and len(conditions) == 3  # 4 + 3 + 2 of 3
    assert conditions[0].known is None and all(condition.previous is None for condition in conditions)
    for number, last in ((1, 3), (2, 6)):
        latent, mask = conditions[number].known
        assert mask.tolist() == 2 * [[True, False, False, False]]
        repeated = video[:, :, last : last + 1].expand(-1, -1, 4, -1, -1)
        torch.testing.assert_close(latent, pipeline.to_latent(repeated))


def test_the_default_overlap_is_a_quarter_and_zero_passes_on_the_latent_as_in_the_paper(pipeline, conditions):
    assert sample(pipeline, num_frames=8).shape[2] == 8
    assert [condition.known is None for condition in conditions] == [True, False, False]
    conditions.clear()
    assert sample(pipeline, num_frames=8, overlap=0).shape[2] == 8
    assert [condition.known is None for condition in conditions] == [True, True]
    assert conditions[0].previous is None and conditions[1].previous is not None
    with pytest.raises(InvalidArgumentError, match=r"Sampling.overlap 4: leaves no new frame in a clip of 4"):
        sample(pipeline, overlap=4)


def test_videos_that_are_continued(pipeline, conditions):
    previous = clips()
    video = sample(pipeline, num_videos=2, num_frames=6, previous=previous, overlap=1)
    assert video.shape == (2, 3, 6, 16, 16) and len(conditions) == 2
    latent, mask = conditions[0].known
    assert mask.tolist() == 2 * [[True, False, False, False]]
    repeated = previous[:, :, -1:].expand(2, -1, 4, -1, -1)
    torch.testing.assert_close(latent, pipeline.to_latent(repeated))
    conditions.clear()
    sample(pipeline, num_frames=4, previous=previous, overlap=0)
    torch.testing.assert_close(conditions[0].previous, pipeline.to_latent(previous))


@pytest.mark.parametrize("mask", ["first:2", "ends:1", "every:2", torch.tensor([False, True, False, False])])
def test_known_frames_of_the_first_clip(pipeline, conditions, mask):
    known = clips(2)
    video = sample(pipeline, known=known, known_mask=mask)
    assert video.shape == (2, 3, 4, 16, 16)
    latent, rows = conditions[0].known
    torch.testing.assert_close(latent, pipeline.to_latent(fill_unknown(known, rows)))
    other = known.clone()
    other[~rows[:, None, :, None, None].expand_as(other)] = 0
    assert torch.equal(sample(pipeline, known=other, known_mask=mask), video)  # what is unknown has no effect


def test_videos_do_not_depend_on_their_batch_and_come_clip_by_clip(pipeline):
    given = {"known": clips(3), "known_mask": "first:1", "context": torch.randn(3, 2, 5), "num_frames": 9}
    together, apart = (sample(pipeline, batch_size=size, **given) for size in (3, 1))
    assert (together.int() - apart.int()).abs().max() <= 1
    parts = Given(given["known"], None, None, given["context"])
    pieces = list(pipeline.stream([0, 1, 2], Sampling(num_frames=9, num_inference_steps=2), parts))
    assert [piece.shape[2] for piece in pieces] == [3, 3, 3] and all(piece.dtype == torch.uint8 for piece in pieces)


def test_what_is_given_of_one_video_stands_for_all():
    given = Given(clips(), None, None, torch.arange(4.0).view(4, 1, 1))
    rows = given.rows([3, 1])
    assert len(rows.previous) == 1 and rows.context.flatten().tolist() == [3, 1]
    both, count = rows.for_each(2)
    assert count == 2 and len(both.previous) == 2


def test_what_a_model_does_not_take():
    plain, known = pipeline_of(), clips()
    cases = [
        ({"known": known, "known_mask": "first:1"}, r"VideoPipeline.known given: .* Denoiser.known_frames true"),
        ({"context": torch.zeros(1, 1, 5)}, r"VideoPipeline.context given: .* Denoiser.context_channels"),
        ({"class_names": ["disc"]}, r"Sampling.class_names disc: the model was trained without classes"),
        ({"overlap": 1}, r"Sampling.overlap 1: the model was trained without known frames"),
    ]
    for given, message in cases:
        with pytest.raises(InvalidArgumentError, match=message):
            sample(plain, **given)
    assert sample(plain, num_frames=8).shape[2] == 8


def test_wrong_sizes(pipeline):
    cases = [
        ({"known": clips()[:, :, :3], "known_mask": "first:1"}, r"VideoPipeline.known 3 x 16 x 16: is not the size"),
        ({"known": clips()}, r"VideoPipeline.known_mask None: known frames have no mask"),
        ({"context": torch.zeros(1, 2, 4)}, r"VideoPipeline.context \[1, 2, 4\]: is not \[N M 5\]"),
        ({"known": clips(2), "known_mask": "first:1", "num_videos": 3}, r"Sampling.num_videos 3: is not the number"),
    ]
    for given, message in cases:
        with pytest.raises(InvalidArgumentError, match=message):
            sample(pipeline, **given)
