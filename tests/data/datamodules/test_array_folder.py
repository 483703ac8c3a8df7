import json
import logging
import sys

import h5py
import numpy as np
import pytest
import torch

from pvdm_lightning import ArrayFolder, cli
from pvdm_lightning.errors import InvalidArgumentError

HERE = {"frames": 4, "resolution": (16, 24), "clips_per_sample": 1, "num_workers": 0, "batch_size": 2}
RNG = np.random.default_rng(0)
# Videos [N T H W C] whose frames are alike, and whose videos are not.
VIDEOS = RNG.integers(0, 200, (12, 1, 16, 24, 3), np.uint8) + np.arange(10, dtype=np.uint8)[:, None, None, None]
LABELS = np.arange(12) % 3


def as_npy(root):
    np.save(root / "mnist_test_seq.npy", VIDEOS[..., 0].transpose(1, 0, 2, 3))


def as_npz(root):
    np.savez(root / "set.npz", videos=VIDEOS, labels=LABELS)


def as_compressed_npz(root):
    np.savez_compressed(root / "set.npz", videos=VIDEOS.transpose(0, 1, 4, 2, 3), labels=LABELS)


def as_floats(root):
    np.savez(root / "set.npz", videos=(VIDEOS / 127.5 - 1).astype(np.float32), labels=LABELS)


def as_hdf5(root):
    with h5py.File(root / "set.hdf5", "w") as file:
        file["videos"], file["labels"] = VIDEOS, LABELS


def as_hdf5_of_episodes(root):
    with h5py.File(root / "set.h5", "w") as file:
        file["labels"] = LABELS
        for number, video in enumerate(VIDEOS):
            data = file.create_group(f"data/demo_{number:02d}")
            data.create_dataset("obs/image", data=video, chunks=(2, *video.shape[1:]), compression="gzip")
            data["actions"] = np.zeros((10, 7))


def as_class_folders(root):
    for number, video in enumerate(VIDEOS):
        folder = root / ("train" if number < 9 else "test") / str(LABELS[number])
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{number}.npy", video)


LAYOUTS = [as_npy, as_npz, as_compressed_npz, as_floats, as_hdf5, as_hdf5_of_episodes, as_class_folders]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_its_clips_and_labels(tmp_path, layout):
    layout(tmp_path)
    module = ArrayFolder(str(tmp_path), val_fraction=0.25, **HERE)
    module.setup()
    seen = {}
    for split in ("train", "val"):
        clips = module.clips(split)
        for place in range(len(clips)):
            sample = clips.sample(place, 3)
            (number,) = (
                number
                for number, video in enumerate(VIDEOS[:, 3:7].transpose(0, 4, 1, 2, 3))
                if np.array_equal(sample["clip"][0], video[0])
            )
            seen[number] = int(sample["label"])
            if layout is not as_npy:
                assert np.array_equal(sample["clip"], VIDEOS[number, 3:7].transpose(3, 0, 1, 2))
    assert seen == {number: -1 if layout is as_npy else int(label) for number, label in enumerate(LABELS)}
    assert module.class_names == ([] if layout is as_npy else ["0", "1", "2"])
    assert len(module.clips("val")) == 3 if layout is as_class_folders else 0 < len(module.clips("val")) < 7
    for batch in (*module.train_dataloader(), *module.val_dataloader()):
        assert batch["clip"].shape[1:] == (3, 4, 16, 24) and batch["clip"].dtype == torch.uint8


def test_files_named_like_splits_are_splits(tmp_path):
    np.save(tmp_path / "train.npy", VIDEOS[:7])
    np.savez(tmp_path / "test.npz", videos=VIDEOS[7:])
    module = ArrayFolder(str(tmp_path), **HERE)
    module.setup()
    assert [len(module.clips(split)) for split in ("train", "val")] == [7, 5]
    assert module.clips("val").source.key(0) == "test.npz/videos[0]"


def test_arrays_of_a_file_are_no_classes(tmp_path):
    for name, videos in (("a", VIDEOS[:6]), ("b", VIDEOS[6:])):
        np.savez(tmp_path / f"{name}.npz", left=videos, right=videos)
    module = ArrayFolder(str(tmp_path), **HERE)
    assert module.class_names == [] and {*module.labels().values()} == {-1} and len(module.labels()) == 24


def test_a_file_alone_and_what_is_said_of_it(tmp_path, caplog):
    as_npy(tmp_path)
    with caplog.at_level(logging.INFO):
        module = ArrayFolder(str(tmp_path / "mnist_test_seq.npy"), **HERE)
        assert len(module.labels()) == 12
    assert (
        "1 arrays of 12 videos have the axes TNHW in uint8, gray, such as mnist_test_seq.npy with [10, 12, 16, 24]"
    ) in caplog.text


def test_tables_name_videos_of_arrays(tmp_path):
    as_npz(tmp_path)
    lines = [f"set.npz/videos[{number}],{'test' if number > 8 else 'train'},video {number}" for number in range(12)]
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,split,caption", *lines]) + "\n")
    module = ArrayFolder(str(tmp_path), **HERE)
    module.setup()
    assert len(module.clips("val")) == 3 and module.class_names == ["0", "1", "2"]
    assert module.captions()["set.npz/videos[3]"] == "video 3"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axes": "NHWC"}, r"^DataModule\.axes NHWC: is no order of the axes"),
        ({"value_range": (1.0, 0.0)}, r"^DataModule\.value_range \[1.0, 0.0\]: does not rise\. Give"),
        ({"val_fraction": 0.0}, r"^DataModule\.val_fraction 0.0: is not a fraction"),
        (
            {"axes": "THW"},
            r"its arrays are no videos of 3 axes; set\.npz: videos is uint8 \[12, 10, 16, 24, 3\], labels",
        ),
        ({"key": "frames"}, r"its arrays are no videos of 4 or 5 axes called frames; set\.npz: videos is uint8"),
    ],
)
def test_mistakes(tmp_path, options, message):
    as_npz(tmp_path)
    with pytest.raises(InvalidArgumentError, match=message):
        ArrayFolder(str(tmp_path), **options, **HERE).setup()


def test_a_folder_without_arrays(tmp_path):
    with pytest.raises(
        InvalidArgumentError, match=r"there are no \.npy, \.npz or HDF5 files in it\. See data/README\.md"
    ):
        ArrayFolder(str(tmp_path), **HERE).setup()


@pytest.fixture
def pvdm(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pvdm"])
    return lambda *args: cli.main([str(arg) for arg in args])


def test_check_data_reads_every_picture(tmp_path, pvdm, capsys):
    as_floats(tmp_path)
    (tmp_path / "damaged.npy").write_bytes(b"\x93NUMPY")
    pvdm("check-data", "--data", "ArrayFolder", "--data.root", ".", "--data.axes", "NTHWC", "--report", "check.json")
    said = capsys.readouterr().out
    assert "broken: damaged.npy: has no header of an array" in said
    assert (
        "13 videos, 120 frames: 12 good, 1 broken\nframes are reached by opening arrays (12 videos)\n3 classes: "
        in said
    )
    videos = json.loads((tmp_path / "check.json").read_text())["videos"]
    assert {video["codec"] for video in videos if video["status"] == "good"} == {"float32 NTHWC"}
