import logging
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from lightning import LightningDataModule
from lightning.pytorch.trainer.states import TrainerFn

from pvdm_lightning import UCF101, FrameFolder, LeRobot, SkyTimelapse, Synthetic, VideoFolder, WebDataset
from pvdm_lightning.data import ClipDataModule, write_contexts
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pipeline.public_classes import DATA_MODULES, class_path

HERE: dict[str, Any] = {"frames": 4, "resolution": (16, 24), "clips_per_sample": 1, "num_workers": 0, "batch_size": 2}
CONFIGS = Path(__file__).parents[3] / "configs" / "data"


@pytest.fixture
def ucf(tmp_path, playable):
    """Two classes of two videos, the split files beside the folder, with the line ends of Windows."""
    content = (playable / "b_frames.avi").read_bytes()
    for name in ("Archery/v_1.avi", "Archery/v_2.avi", "YoYo/v_1.avi", "YoYo/v_2.avi", "YoYo/._v_1.avi"):
        (tmp_path / "UCF-101" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "UCF-101" / name).write_bytes(content)
    splits = tmp_path / "ucfTrainTestlist"
    splits.mkdir()
    (splits / "classInd.txt").write_bytes(b"1 Archery\r\n2 YoYo\r\n")
    (splits / "trainlist01.txt").write_bytes(b"Archery/v_1.avi 1\r\nYoYo/v_1.avi 2\r\nYoYo/v_2.avi 2\r\n")
    (splits / "testlist01.txt").write_bytes(b"Archery/v_2.avi\r\n\r\n")
    return tmp_path / "UCF-101"


def instantiate(parser, config):
    """By the method's new name where there is one."""
    return getattr(parser, "instantiate", parser.instantiate_classes)(config)


def batches_of(module):
    module.prepare_data()
    module.setup("fit")
    return list(module.train_dataloader()), list(module.val_dataloader())


def check_batch(batch, pairs=False):
    size = len(batch["index"])
    assert batch["clip"].shape == (size, 3, 4, 16, 24) and batch["clip"].dtype == torch.uint8
    assert batch["label"].shape == (size,) and batch["label"].dtype == batch["index"].dtype == torch.int64
    assert set(batch) == {"clip", "label", "index"} | ({"previous", "has_previous"} if pairs else set())
    if pairs:
        assert batch["previous"].shape == batch["clip"].shape and batch["previous"].dtype == torch.uint8
        assert batch["has_previous"].shape == (size,) and batch["has_previous"].dtype == torch.bool


def make_modules(tmp_path, playable, ucf, write):
    frames = tmp_path / "frames"
    for number in range(4):
        write(frames / f"clip{number}", 10)
    for split in ("sky_train", "sky_test"):
        write(tmp_path / "sky" / split / "video" / "clip", 9, "{}.jpg")
    return [
        Synthetic(num_videos=5, num_val_videos=2, video_frames=12, **{**HERE, "clips_per_sample": 2}),
        UCF101(str(ucf), **{**HERE, "clips_per_sample": 2}),
        SkyTimelapse(str(tmp_path / "sky"), **{**HERE, "clips_per_sample": 2}),
        VideoFolder(str(playable), val_fraction=0.3, **{**HERE, "clips_per_sample": 2}),
        FrameFolder(str(frames), val_fraction=0.3, **{**HERE, "clips_per_sample": 2}),
    ]


def test_all_sets_give_the_same_batches(tmp_path, playable, ucf, frame_folder_writer):
    for module in make_modules(tmp_path, playable, ucf, frame_folder_writer):
        train, val = batches_of(module)
        for batch in train + val:
            check_batch(batch, pairs=True)
        assert module.clip_shape == (4, 16, 24)
        again, val_again = list(module.predict_dataloader()), list(module.test_dataloader())
        for batch, first, second in zip(val, again, val_again):
            assert torch.equal(batch["clip"], first["clip"]) and torch.equal(batch["clip"], second["clip"])


def test_ucf101_reads_splits_and_labels(ucf):
    module = UCF101(str(ucf), **HERE)
    train, val = batches_of(module)
    labels = {int(i): int(label) for batch in train for i, label in zip(batch["index"], batch["label"])}
    assert labels == {0: 0, 1: 1, 2: 1} and module.class_names == ["Archery", "YoYo"]
    assert [batch["label"].tolist() for batch in val] == [[0]]


def test_ucf101_keeps_its_numbers_where_classes_are_left_out(ucf):
    splits = ucf.parent / "ucfTrainTestlist"
    (splits / "classInd.txt").write_text("3 YoYo\n1 Archery\n")
    (splits / "trainlist01.txt").write_text("Archery/v_1.avi 1\nYoYo/v_1.avi 3\n")
    module = UCF101(str(ucf), **HERE)
    assert module.class_names == ["Archery", "unused 2", "YoYo"]
    assert list(module.labels().values()) == [0, 2, 0]


def test_only_sets_with_classes_name_them(tmp_path, frame_folder_writer, caplog):
    for split in ("train", "test", "val"):
        frame_folder_writer(tmp_path / "sky" / split / "clip", 4)
        for name in ("cats/one", "dogs/two", "dogs/three"):
            frame_folder_writer(tmp_path / "frames" / split / name, 4)
    assert SkyTimelapse(str(tmp_path / "sky"), **HERE).class_names == []
    assert Synthetic(**HERE).class_names == ["disc", "square", "triangle", "ring"]
    module = FrameFolder(str(tmp_path / "frames"), **HERE)
    with caplog.at_level(logging.INFO):
        module.setup()
    assert module.class_names == ["cats", "dogs"]
    assert f"3 videos of {tmp_path / 'frames'} are in folders of other splits and are not used" in caplog.text
    for split in ("train", "val"):  # by their folders, and not a tenth of all
        assert [module.clips(split)[place]["label"].item() for place in range(3)] == [0, 1, 1]


@pytest.mark.parametrize("place", ["inside", "beside", "given"])
def test_ucf101_finds_the_split_files_wherever_they_are(ucf, place):
    splits = ucf.parent / "ucfTrainTestlist"
    if place == "inside":
        splits.rename(ucf / "ucfTrainTestlist")
    if place == "given":
        splits = splits.rename(ucf.parent / "elsewhere")
    module = UCF101(str(ucf), splits=str(splits) if place == "given" else None, **HERE)
    assert len(batches_of(module)[0]) == 2


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("train/clip{}", "val/clip{}"),
        ("train/clip{}", "test/clip{}"),
        ("sky_train/video/clip{}", "sky_test/video/clip{}"),
        ("train/video{}/clip", "val/video{}/clip"),
    ],
)
@pytest.mark.parametrize("pattern", ["{}.jpg", "frame{:05d}.png"])
def test_sky_timelapse_is_read_in_every_layout(tmp_path, frame_folder_writer, train, val, pattern):
    for number in range(3):
        frame_folder_writer(tmp_path / train.format(number), 8, pattern)
    frame_folder_writer(tmp_path / val.format(0), 8, pattern)
    train_batches, val_batches = batches_of(SkyTimelapse(str(tmp_path), **HERE))
    assert sum(len(batch["index"]) for batch in train_batches) == 3
    assert sum(len(batch["index"]) for batch in val_batches) == 1


def test_list_files_part_a_folder(tmp_path, playable):
    (tmp_path / "train.txt").write_text("h264.mp4\nmpeg4.avi\n")
    (tmp_path / "val.txt").write_text("vp9.webm\n")
    module = VideoFolder(
        str(playable), train_list=str(tmp_path / "train.txt"), val_list=str(tmp_path / "val.txt"), **HERE
    )
    train, val = batches_of(module)
    assert sorted(train[0]["index"].tolist()) == [0, 1] and [batch["index"].tolist() for batch in val] == [[0]]


def test_shape_comes_from_the_model_where_it_is_not_given():
    module = Synthetic(num_videos=3, num_val_videos=1, num_workers=0)
    module.default_to((5, 8, 12), 2)
    module.default_to((7, 8, 8), 1)  # the first stays, as what was given
    module.setup("fit")
    module.setup("validate")
    batch = next(iter(module.train_dataloader()))
    assert module.clip_shape == (5, 8, 12) and batch["previous"].shape == (3, 3, 5, 8, 12)


@pytest.mark.parametrize("stage", [TrainerFn.FITTING, TrainerFn.VALIDATING, TrainerFn.PREDICTING, TrainerFn.TESTING])
@pytest.mark.parametrize("limit", [1.0, 0])
def test_each_process_needs_something_to_validate_on(stage, limit):
    def setup(clips):
        module = Synthetic(num_videos=4, num_val_videos=clips, video_frames=8, **HERE)
        module.trainer = SimpleNamespace(  # type: ignore[assignment]
            global_rank=2, world_size=3, num_devices=3, limit_val_batches=limit, train_dataloader=None
        )
        module.setup(stage)
        module.setup(stage)

    setup(3)
    if limit and stage in ("fit", "validate"):
        with pytest.raises(InvalidArgumentError) as caught:
            setup(2)
        assert str(caught.value) == (
            "Trainer.devices 3: validation has 2 clips, and each of the 3 processes needs one. Use fewer devices, or"
            " validate on more videos (DataModule.val_clips, DataModule.num_val_videos)."
        )
    else:
        setup(2)


def test_reference_clips_are_many_random_ones():
    module = Synthetic(num_videos=6, num_val_videos=2, video_frames=12, **HERE)
    module.setup()
    draws = [
        (int(index), clip.numpy().tobytes())
        for batch in module.reference_dataloader("all", num_clips=20)
        for index, clip in zip(batch["index"], batch["clip"])
    ]
    assert len(draws) == 20 and {index for index, _ in draws} == set(range(8)) and len(set(draws)) > 12
    assert sum(len(batch["index"]) for batch in module.reference_dataloader("val", num_clips=None)) == 2
    assert next(iter(module.reference_dataloader("train", frames=9)))["clip"].shape[2] == 9
    with pytest.raises(InvalidArgumentError, match=r"DataModule\.frames 13: no val video has the 13 frames"):
        module.reference_dataloader("val", frames=13)


def test_one_line_sums_a_split_up(tmp_path, playable, broken, video_writer, caplog):
    video_writer(tmp_path / "long.avi", frames=20)
    video_writer(tmp_path / "other.avi", frames=20)
    video_writer(tmp_path / "short.avi", frames=5)
    video_writer(tmp_path / "shorter.avi", frames=2)
    (tmp_path / "empty.avi").touch()
    for split, names in (("train", ["long.avi", "short.avi", "shorter.avi", "empty.avi"]), ("val", ["other.avi"])):
        (tmp_path / f"{split}.txt").write_text("\n".join(names))
    module = VideoFolder(
        str(tmp_path),
        train_list=str(tmp_path / "train.txt"),
        val_list=str(tmp_path / "val.txt"),
        max_bad_fraction=0.5,
        **{**HERE, "clips_per_sample": 2},
    )
    with caplog.at_level(logging.INFO):
        module.setup()
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("pvdm")]
    assert (
        "train: 4 videos, 6 clips of 4 frames, 1 too short for a clip (skipped),"
        " 1 too short for a pair (single clips), 1 broken (skipped)"
    ) in lines
    assert f"{tmp_path / 'empty.avi'} cannot be read and is skipped: is empty (0 bytes)" in lines


@pytest.mark.parametrize("other", ["two.avi", "./two.avi", "sub/../two.avi", "{root}/two.avi", "link.avi", "hard.avi"])
def test_a_video_does_not_validate_what_it_trains(tmp_path, video_writer, other):
    for number, name in enumerate(("one.avi", "two.avi")):
        video_writer(tmp_path / name, frames=20 + number)
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.avi").symlink_to("two.avi")
    (tmp_path / "hard.avi").hardlink_to(tmp_path / "two.avi")
    (tmp_path / "train.txt").write_text("one.avi\n./two.avi\n")
    (tmp_path / "val.txt").write_text(other.format(root=tmp_path) + "\n")
    lists = {"train_list": str(tmp_path / "train.txt"), "val_list": str(tmp_path / "val.txt")}
    with pytest.raises(InvalidArgumentError, match="shares 1 videos with DataModule.train_list, .* for one. Validate"):
        VideoFolder(str(tmp_path), **lists, **HERE).setup()


def test_copies_of_training_videos_are_said(tmp_path, video_writer, caplog):
    root = tmp_path / "set"
    for number in range(6):
        video_writer(root / f"{number}.avi", frames=20 + number)
        (root / f"copy{number}.avi").write_bytes((root / f"{number}.avi").read_bytes())
    module = VideoFolder(str(root), val_fraction=0.5, **HERE)
    train, val = module.open_sources()
    names = [
        {Path(source.name(place)).name.removeprefix("copy") for place in range(len(source.lengths))}  # type: ignore[attr-defined]
        for source in (train, val)
    ]
    assert not names[0] & names[1] and "validation videos are training videos, too, such as" in caplog.text
    (tmp_path / "train.txt").write_text("0.avi\n1.avi\n")
    (tmp_path / "val.txt").write_text("copy1.avi\n2.avi\n")
    lists = {"train_list": str(tmp_path / "train.txt"), "val_list": str(tmp_path / "val.txt")}
    VideoFolder(str(root), **lists, **HERE).open_sources()
    assert "val.txt are copies of training videos, such as copy1.avi of 1.avi" in caplog.text


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("classInd.txt", "Archery 1\nYoYo 2\n", r"line 1 of classInd.txt is not a number and a name \(Archery 1\)"),
        ("classInd.txt", "1\n", "line 1 of classInd.txt is not a number and a name"),
        ("classInd.txt", "0 Archery\n", "line 1 of classInd.txt is not a number and a name"),
        ("classInd.txt", "1 Archery\n\n-2 YoYo\n", "line 3 of classInd.txt is not a number and a name"),
        ("classInd.txt", "1.0 Archery\n", "line 1 of classInd.txt is not a number and a name"),
        ("classInd.txt", "1 Archery\n1 YoYo\n", "line 2 of classInd.txt repeats a number or a name"),
        ("classInd.txt", "1 Archery\n2 Archery\n", "line 2 of classInd.txt repeats a number or a name"),
        ("classInd.txt", "9" * 5000 + " Archery\n", "line 1 of classInd.txt is not a number and a name"),
        ("classInd.txt", "", "classInd.txt is empty"),
        ("classInd.txt", b"1 Arch\xff\xfe\n", r"classInd.txt cannot be read \(it is not UTF-8\)"),
        ("trainlist01.txt", "\n \n", "trainlist01.txt is empty"),
        ("trainlist01.txt", b"\xff\xfe", r"trainlist01.txt cannot be read \(it is not UTF-8\)"),
        ("trainlist01.txt", "v_one.avi 1\n", "line 1 of trainlist01.txt has a class v_one.avi that classInd.txt lacks"),
        ("trainlist01.txt", "Archery/a.avi 2\n", "line 1 of trainlist01.txt gives 2 where classInd.txt has 1"),
        ("testlist01.txt", "Fencing/a.avi\n", "line 1 of testlist01.txt has a class Fencing that classInd.txt lacks"),
    ],
)
def test_lists_of_ucf101_that_are_not_what_they_should_be(ucf, file, content, problem):
    (ucf.parent / "ucfTrainTestlist" / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InvalidArgumentError, match=rf"^DataModule\.splits .*: {problem}") as caught:
        UCF101(str(ucf), **HERE).setup()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_ucf101_does_not_validate_what_it_trains(ucf):
    splits = ucf.parent / "ucfTrainTestlist"
    (splits / "testlist01.txt").write_bytes((splits / "trainlist01.txt").read_bytes())
    with pytest.raises(InvalidArgumentError, match=r"^DataModule\.splits .*: \d videos are in both lists of fold 1"):
        UCF101(str(ucf), **HERE).setup()


@pytest.mark.parametrize("argument", ["train_list", "val_list"])
def test_a_list_is_a_file_of_its_own(tmp_path, video_writer, argument):
    video_writer(tmp_path / "one.avi", frames=5)
    (tmp_path / "list.txt").write_text("one.avi\n")
    os.mkfifo(tmp_path / "pipe")
    for place, problem in ((tmp_path / "pipe", "is no regular file"), (tmp_path, "Is a directory")):
        lists = {"train_list": str(tmp_path / "list.txt"), "val_list": str(tmp_path / "list.txt")}
        with pytest.raises(
            InvalidArgumentError, match=rf"^DataModule\.{argument} .*: cannot be read \({problem}\)\. Give a text"
        ):
            VideoFolder(str(tmp_path), **{**lists, argument: str(place)}, **HERE).setup()


def test_of_many_broken_videos_ten_are_named(tmp_path, video_writer, caplog):
    video_writer(tmp_path / "good.avi", frames=20)
    video_writer(tmp_path / "val.avi", frames=20)
    names = [f"{number}.avi" for number in range(25)]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "train.txt").write_text("\n".join(["good.avi", *names]))
    (tmp_path / "val.txt").write_text("val.avi")
    lists = {"train_list": str(tmp_path / "train.txt"), "val_list": str(tmp_path / "val.txt")}
    VideoFolder(str(tmp_path), **lists, max_bad_fraction=1.0, **HERE).setup()
    assert caplog.text.count("cannot be read and is skipped") == 10
    assert "and 15 more: `pvdm check-data --report FILE` lists them all" in caplog.text


def test_a_set_smaller_than_a_batch_trains():
    module = Synthetic(num_videos=3, num_val_videos=1, **{**HERE, "batch_size": 64}, drop_last=True)
    train, _ = batches_of(module)
    assert [len(batch["index"]) for batch in train] == [3]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda root: UCF101(str(root / "no")),
            r"DataModule\.root .*no: there is no such folder\. See data/README\.md",
        ),
        (lambda root: SkyTimelapse(str(root / "no")), r"DataModule\.root .*no: there is no such folder.*demo_ae\.yaml"),
        (lambda root: UCF101(str(root)), r"DataModule\.splits None: there is no ucfTrainTestlist/classInd\.txt in"),
        (lambda root: UCF101(str(root), splits="nowhere"), r"DataModule\.splits nowhere: has no classInd\.txt"),
        (lambda root: SkyTimelapse(str(root)), r"DataModule\.root .*: has no training frames"),
        (lambda root: VideoFolder(str(root)), r"DataModule\.root .*: there are no video files in it"),
        (lambda root: FrameFolder(str(root)), r"DataModule\.root .*: there are no pictures in it"),
        (lambda root: VideoFolder(str(root), val_fraction=1.0), r"DataModule\.val_fraction 1\.0: is not a fraction"),
        (
            lambda root: VideoFolder(str(root), val_list="x"),
            r"DataModule\.train_list None: is missing beside DataModule\.val",
        ),
        (lambda root: Synthetic(), r"DataModule\.frames None: is not given, and there is no model"),
        (lambda root: Synthetic(frames=4, clips_per_sample=1), r"DataModule\.resolution None: is not given"),
        (lambda root: Synthetic(frames=0), r"DataModule\.frames 0: is less than 1"),
        (lambda root: Synthetic(resolution=(8, 0)), r"DataModule\.resolution 0: is less than 1"),
        (lambda root: Synthetic(clips_per_sample=3), r"DataModule\.clips_per_sample 3: is neither 1 nor 2"),
        (lambda root: Synthetic(num_videos=0), r"DataModule\.num_videos 0: is less than 1"),
        (lambda root: Synthetic(max_bad_fraction=2), r"DataModule\.max_bad_fraction 2: is not a fraction"),
        (
            lambda root: Synthetic(video_frames=7, **{**HERE, "stride": 3}),
            r"DataModule\.frames 4: no train video has the 10 frames of a clip, the longest one has 7\. Ask for fewer",
        ),
    ],
)
def test_mistakes_name_flag_value_and_remedy(tmp_path, make, message):
    with pytest.raises(InvalidArgumentError, match=f"^{message}") as caught:
        module = make(tmp_path)
        module.prepare_data()
        module.setup()
    assert "\n" not in str(caught.value)


def test_ucf101_says_what_does_not_fit_the_split_files(ucf):
    with pytest.raises(InvalidArgumentError, match=r"^DataModule\.fold 4: there is no .*trainlist04\.txt"):
        UCF101(str(ucf), fold=4).prepare_data()
    empty = ucf.parent / "empty"
    empty.mkdir()
    with pytest.raises(
        InvalidArgumentError, match=r"^DataModule\.root .*empty: has none of the videos that the split files name"
    ):
        UCF101(str(empty)).prepare_data()


def test_too_many_broken_videos_stop_the_run_at_its_start(broken, playable, tmp_path):
    names = [*(f"broken/{path.name}" for path in broken.iterdir() if path.is_file()), "good.avi", "also good.avi"]
    root = broken.parent
    for name in names[-2:]:
        (root / name).write_bytes((playable / "mpeg4.avi").read_bytes())
    with pytest.raises(
        InvalidArgumentError, match=r"^DataModule\.max_bad_fraction 0\.1: \d of \d videos cannot be read.*check-data"
    ):
        VideoFolder(str(root), **HERE).setup()


@pytest.mark.parametrize(
    "name", ["synthetic", "ucf101", "sky_timelapse", "video_folder", "frame_folder", "lerobot", "web_dataset"]
)
def test_presets_fit_the_signatures(name):
    parser = ArgumentParser()
    parser.add_subclass_arguments(LightningDataModule, "data")
    preset = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    module = instantiate(parser, parser.parse_object(preset)).data
    assert isinstance(module, ClipDataModule) and class_path(type(module)) in DATA_MODULES
    flags = ["--data.batch_size=3", "--data.resolution=[32, 48]", "--data.seed=7"]
    config = parser.parse_args([f"--data={preset['data']['class_path']}", *flags])
    module = instantiate(parser, config).data
    assert (module.batch_size, module.resolution, module.seed) == (3, (32, 48), 7)


@pytest.mark.parametrize("module", [Synthetic, UCF101, SkyTimelapse, VideoFolder, FrameFolder, LeRobot, WebDataset])
def test_help_explains_every_argument(module):
    parser = ArgumentParser()
    parser.add_class_arguments(module, "data")
    actions = [action for action in parser._actions if action.dest.startswith("data.")]
    assert len(actions) >= 13
    assert [action.dest for action in actions if not action.help or not action.help.strip()] == []


def test_vectors_of_a_video_come_with_its_clips(tmp_path, ucf, frame_folder_writer):
    for name in ("train/a/one", "train/b", "test/a/two"):
        frame_folder_writer(tmp_path / "sky" / name, 6)
    number_of = {"Archery/v_1.avi": 1, "Archery/v_2.avi": 2, "YoYo/v_1.avi": 3, "YoYo/v_2.avi": 4}
    number_of |= {"train/a/one": 5, "train/b": 6, "test/a/two": 7}
    contexts = tmp_path / "contexts.safetensors"
    write_contexts(contexts, {name: torch.full((2, 3), float(number)) for name, number in number_of.items()})
    how = {**HERE, "context": str(contexts)}
    sets = (UCF101(str(ucf), **how), SkyTimelapse(str(tmp_path / "sky"), **how), FrameFolder(str(tmp_path), **how))
    (tmp_path / "train.txt").write_text("./YoYo/v_1.avi\nArchery/v_2.avi\n")
    (tmp_path / "val.txt").write_text("YoYo/v_2.avi\n")
    lists = {"train_list": str(tmp_path / "train.txt"), "val_list": str(tmp_path / "val.txt")}
    for module in (*sets[:2], VideoFolder(str(ucf), **lists, **how)):
        train, val = batches_of(module)
        assert module.conditions == ("context",) and module.context_channels == 3
        for split, batches in (("train", train), ("val", val)):
            source = module.clips(split).source
            for batch in batches:
                assert batch["context"].shape == (len(batch["index"]), 2, 3)
                names = [source.videos.key(index).removeprefix("./") for index in batch["index"].tolist()]
                assert batch["context"][:, 0, 0].tolist() == [number_of[name] for name in names]
        assert len(module.check(progress=False)) == sum(len(module.clips(split)) for split in ("train", "val"))
    with pytest.raises(InvalidArgumentError, match=r"^DataModule\.context .*has no vectors of \d videos, such as sky/"):
        sets[2].prepare_data()
