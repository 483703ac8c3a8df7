import os
import shutil

import pytest
import torch

from pvdm_lightning.data.latents import encoded_videos
from pvdm_lightning.data.latents.encoded_videos import EncodedVideos, check_unchanged, videos_path
from pvdm_lightning.errors import InvalidArgumentError


@pytest.fixture(params=["file", "frames"])
def videos(request, tmp_path):
    for number in range(4):
        path = tmp_path / f"videos/{number}"
        path.parent.mkdir(exist_ok=True)
        if request.param == "file":
            path.write_bytes(bytes([number]) * 5000)
        else:
            path.mkdir()
            for frame in range(2):
                (path / f"{frame}.png").write_bytes(bytes([number, frame]) * 2500)
    return sorted((tmp_path / "videos").iterdir())


def file_of(video):
    return video if video.is_file() else video / "1.png"


def same_size(video):
    content = file_of(video).read_bytes()
    file_of(video).write_bytes(content[:2000] + b"!" + content[2001:])


def same_size_and_older(video):
    same_size(video)
    os.utime(file_of(video), (10**9, 10**9))


def longer(video):
    file_of(video).write_bytes(file_of(video).read_bytes() + b"!")


def another(video):
    """Another video in its place, with its own time."""
    shutil.copy2(file_of(video.parent / "3"), file_of(video))


def touched(video):
    os.utime(file_of(video), (10**9, 10**9))


def copied(video):
    file = file_of(video)
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content)


def gone(video):
    video.unlink() if video.is_file() else shutil.rmtree(video)


@pytest.mark.parametrize("change", [same_size, same_size_and_older, longer, another])
def test_another_content_is_known_whatever_sizes_and_times_say(videos, tmp_path, change):
    before = EncodedVideos.look_at(map(str, videos))
    before.write(videos_path(tmp_path, "train"))
    check_unchanged(tmp_path, "train")
    change(videos[1])
    with pytest.raises(InvalidArgumentError, match=rf"holds latents of 1 videos .* such as {videos[1]}\. Run `pvdm"):
        check_unchanged(tmp_path, "train")
    assert EncodedVideos.look_at(map(str, videos), before).digest() != before.digest()


@pytest.mark.parametrize("change", [touched, copied])
def test_times_alone_change_nothing(videos, tmp_path, change):
    before = EncodedVideos.look_at(map(str, videos))
    before.write(videos_path(tmp_path, "val"))
    change(videos[1])
    check_unchanged(tmp_path, "val")
    assert EncodedVideos.look_at(map(str, videos), before).digest() == before.digest()


def test_videos_need_not_be_there_any_more(videos, tmp_path):
    EncodedVideos.look_at(map(str, videos)).write(videos_path(tmp_path, "val"))
    for video in videos:
        gone(video)
    check_unchanged(tmp_path, "val")
    check_unchanged(tmp_path, "train")  # a cache of videos that are no files


def test_what_is_unchanged_is_read_once(videos, tmp_path, monkeypatch):
    first = EncodedVideos.look_at(map(str, videos))
    first.write(videos_path(tmp_path, "train"))
    again = EncodedVideos.read(videos_path(tmp_path, "train"), "--output.dir")
    assert again is not None and again.digest() == first.digest() and list(again.names) == list(first.names)
    read: list[str] = []
    content = encoded_videos._content
    monkeypatch.setattr(encoded_videos, "_content", lambda name: read.append(name) or content(name))
    longer(videos[2])
    assert EncodedVideos.look_at(map(str, videos), again).digest() != first.digest()
    assert read == [str(videos[2])]


def test_order_and_names_count(videos):
    names = [str(video) for video in videos]
    digests = {EncodedVideos.look_at(some).digest() for some in (names, names[::-1], names[1:], names[:1], [])}
    assert len(digests) == 5


@pytest.mark.parametrize("content", [b"", b"x" * 90, torch.tensor([1.0]).numpy().tobytes(), None])
def test_a_damaged_record_is_said(videos, tmp_path, content):
    place = videos_path(tmp_path, "train")
    EncodedVideos.look_at(map(str, videos)).write(place)
    place.write_bytes(place.read_bytes()[:-9] if content is None else content)
    with pytest.raises(InvalidArgumentError, match=r"^DataModule\.root .*: train-videos\.safetensors is damaged \("):
        check_unchanged(tmp_path, "train")
