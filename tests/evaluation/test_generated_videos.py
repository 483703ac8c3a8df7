import pytest
import torch

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.generated_videos import GeneratedVideos


def test_generated_videos_come_back_as_they_were(tmp_path):
    videos = GeneratedVideos(tmp_path, {"seed": 0})
    videos.prepare(2, (5, 4, 6))
    video = torch.randint(0, 256, (3, 5, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    videos.write(1, video)
    videos.write(2, 255 - video)
    (videos.folder / ".video_00000.npy.partial-0123456789ab").write_bytes(b"half")
    assert videos.missing(3) == [0]
    videos.write(0, video)
    assert torch.equal(videos.source(3).read(2, range(5), (4, 6)), 255 - video)
    assert GeneratedVideos(tmp_path, {"seed": 1}).missing(2) == [0, 1]
    (videos.folder / "video_00001.npy").write_bytes(b"")
    with pytest.raises(
        InvalidArgumentError, match=r"video_00001\.npy: cannot be read \(.*\)\. Remove the file and start again\."
    ):
        videos.source(3)


def test_a_disk_without_room_is_refused(tmp_path):
    with pytest.raises(
        InvalidArgumentError, match=r"^Evaluation\.dir \S+: 2,048 videos of 128 x 65536 x 65536 need .* GiB are"
    ):
        GeneratedVideos(tmp_path, {}).prepare(2048, (128, 65536, 65536))
