import logging

import pytest

from pvdm_lightning.data.datamodules.splits import split_videos
from pvdm_lightning.errors import InvalidArgumentError

FOUND = ["a/1.mp4", "a/2.mp4", "b/3.mp4", "b/4.mp4", "train/5.mp4"]


def splits_of(*names):
    return dict(zip(FOUND, names))


@pytest.mark.parametrize(
    ("splits", "train", "val"),
    [
        (("train", "validation", "test", "Train", "train"), (0, 3, 4), (1,)),
        (("train", "test", "test"), (0,), (1, 2)),  # videos without a split are not used
        (("training", "holdout", "valid", "test"), (0,), (2,)),
    ],
)
def test_a_table_comes_before_folders(tmp_path, splits, train, val, caplog):
    with caplog.at_level(logging.INFO):
        found = split_videos(tmp_path, FOUND, 0.5, splits_of(*splits))
    assert found == ([FOUND[place] for place in train], [FOUND[place] for place in val])
    unused = len(FOUND) - len(train) - len(val)
    assert f"{unused} videos of {tmp_path} are in other splits or none and are not used" in caplog.text


def test_a_table_with_training_videos_alone_leaves_the_share_to_validate_on(tmp_path):
    train, val = split_videos(tmp_path, FOUND, 0.5, splits_of("train", "train", "train"))
    assert train and val and sorted([*train, *val]) == FOUND[:3]


@pytest.mark.parametrize(("splits", "there"), [(("x", "test"), "test, x"), ((), "no video that is there")])
def test_a_table_without_training_videos(tmp_path, splits, there):
    with pytest.raises(InvalidArgumentError, match=f"tables of videos have no split train, but {there}\\. Write train"):
        split_videos(tmp_path, FOUND, 0.5, splits_of(*splits))
