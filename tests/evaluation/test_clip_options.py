import pytest

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation import Evaluation, GeneratedClips, RealClips


@pytest.mark.parametrize(
    "make, line",
    [
        (lambda: RealClips(num=1), "RealClips.num 1: is too few"),
        (lambda: GeneratedClips(num=0), "GeneratedClips.num 0: is too few"),
        (lambda: RealClips(stride=0), "RealClips.stride 0: is less than 1"),
        (lambda: RealClips(min_frames=0), "RealClips.min_frames 0: is less than 1"),
        (lambda: RealClips(seed=-1), "RealClips.seed -1: is less than 0"),
        (lambda: RealClips(choice="first", clips_per_video=2), "which gives the same clip each time"),
        (lambda: RealClips(choice="every_window", clips_per_video=2), "which takes several clips of a video by itself"),
        (lambda: RealClips(reuse=True), "RealClips.reuse True: needs to know how many clips are wanted"),
        (lambda: GeneratedClips(num="all").count, "GeneratedClips.num all: is no number of videos to be sampled"),
        (lambda: Evaluation(frames=[]), "Evaluation.frames []: is not a list of lengths"),
    ],
)
def test_what_cannot_be_chosen(make, line):
    with pytest.raises(InvalidArgumentError) as caught:
        make()
    assert line in str(caught.value)
