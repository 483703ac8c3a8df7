import numpy as np

from pvdm_lightning.data.clips.clip_dataset import ClipDataset
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.data.videos.array_videos import ArrayVideos
from pvdm_lightning.data.videos.source import ConcatVideos
from pvdm_lightning.data.videos.synthetic import SyntheticVideos
from pvdm_lightning.evaluation.protocol import fingerprint
from pvdm_lightning.evaluation.video_folder import FirstFrames


def test_a_fingerprint_is_the_videos(tmp_path):
    def of(source, frames=4):
        return fingerprint(ClipDataset(source, Windows(frames), (8, 8), random_start=True))

    first = SyntheticVideos(0, 4, 16, seed=0)
    assert of(first) == of(SyntheticVideos(0, 4, 16, seed=0))
    others = [SyntheticVideos(1, 4, 16, 0), SyntheticVideos(0, 5, 16, 0), SyntheticVideos(0, 4, 17, 0)]
    others += [SyntheticVideos(0, 4, 16, seed=1), ConcatVideos([first, first]), FirstFrames(first, 6)]
    assert len({of(first), *map(of, others)}) == 1 + len(others)

    def save(name, pixel):
        np.save(tmp_path / name, np.full((6, 8, 8, 3), pixel, dtype=np.uint8))
        return of(ArrayVideos(tmp_path, ["a.npy", "b.npy"][: 1 if name == "a.npy" else 2]))

    assert len({save("a.npy", 0), save("a.npy", 1), save("b.npy", 0), save("b.npy", 1)}) == 4
