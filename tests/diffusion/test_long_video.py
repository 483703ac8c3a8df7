"""Videos of several clips."""

import torch

from pvdm_lightning.diffusion import sample_clips


def test_a_long_video_goes_on_from_its_last_clip():
    seen, ran = [], []

    def bind(previous):
        return lambda z, t: previous

    def run(step, *inputs):
        ran.append(len(seen))
        return step(*inputs)

    def sampler(name):
        def draw(denoise, shape, generator, on_step, run):
            given = run(denoise, None, None)
            seen.append((name, None if given is None else given.mean().item()))
            return torch.full(shape, float(len(seen)))

        return draw

    clips = list(sample_clips(bind, sampler("first"), sampler("later"), (1, 2, 3), 3, run=run))
    assert [clip.mean().item() for clip in clips] == [1, 2, 3]
    assert seen == [("first", None), ("later", 1.0), ("later", 2.0)]
    assert ran == [0, 1, 2]
