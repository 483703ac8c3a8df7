import numpy as np
import torch

from pvdm_lightning.data.clips.broken import BrokenVideos
from pvdm_lightning.data.clips.chosen_clips import ChosenClips
from pvdm_lightning.data.clips.clip_choice import choose_clips
from pvdm_lightning.data.clips.clip_loader import ClipLoader
from pvdm_lightning.data.clips.sampler import EpochSampler
from pvdm_lightning.data.clips.transforms import FramePreparation
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.data.videos.array_videos import ArrayVideos
from pvdm_lightning.data.videos.synthetic import SyntheticVideos


def test_each_sample_is_the_frames_that_the_list_names(tmp_path):
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (length, 8, 12, 3), dtype=np.uint8) for length in (9, 4, 17)]
    for number, array in enumerate(arrays):
        np.save(tmp_path / f"{number}.npy", array)
    source, windows = ArrayVideos(tmp_path, ["0.npy", "1.npy", "2.npy"]), Windows(3, 2)
    clips = choose_clips(source.lengths, source.labels, source.name, windows, choice="every_window")
    dataset = ChosenClips(source, windows, (8, 12), clips)
    assert len(dataset) == 5 + 13
    for number in range(len(dataset)):
        sample = dataset[0, number, 0]
        video, start = int(clips.videos[number]), int(clips.starts[number])
        expected = torch.from_numpy(arrays[video][start : start + 5 : 2]).permute(3, 0, 1, 2)
        assert torch.equal(sample["clip"], expected)
        assert (int(sample["number"]), int(sample["index"])) == (number, video)
    unrounded = ChosenClips(source, windows, (8, 12), clips, FramePreparation(rounding="none"))
    assert torch.equal(unrounded[3]["clip"], dataset[3]["clip"].float())


def test_processes_share_a_list_and_workers_prepare_as_asked():
    source, windows = SyntheticVideos(0, 7, 12, seed=0), Windows(4)
    clips = choose_clips(source.lengths, source.labels, source.name, windows, num=5)
    read = {}
    for workers, world_size in ((0, 1), (1, 1), (0, 2)):
        preparation = FramePreparation(rounding="truncate")
        dataset = ChosenClips(source, windows, (16, 16), clips, preparation)
        batches = [
            batch
            for rank in range(world_size)
            for batch in ClipLoader(
                dataset,
                EpochSampler(5, 2, rank=rank, world_size=world_size),
                BrokenVideos(0, 7, 0.0),
                num_workers=workers,
            )
        ]
        numbers = torch.cat([batch["number"] for batch in batches])
        pixels = torch.cat([batch["clip"] for batch in batches])
        assert sorted(numbers.tolist()) == list(range(5))
        read[workers, world_size] = pixels[numbers.argsort()]
    assert len({tuple(pixels.flatten().tolist()) for pixels in read.values()}) == 1
    rounded = torch.stack([ChosenClips(source, windows, (16, 16), clips)[number]["clip"] for number in range(5)])
    difference = rounded.int() - read[0, 1].int()
    assert difference.min() == 0 and difference.max() == 1
