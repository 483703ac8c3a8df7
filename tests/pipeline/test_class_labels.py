import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pipeline.class_labels import balanced_classes, find_label

NAMES = ["ApplyEyeMakeup", "PlayingGuitar", "Surfing"]
MANY = [f"class {number}" for number in range(40)]


@pytest.mark.parametrize(("given", "label"), [("Surfing", 2), (" PlayingGuitar ", 1), ("0", 0), (2, 2), ("2", 2)])
def test_a_class_is_found_by_name_or_number(given, label):
    assert find_label(given, NAMES) == label


def test_a_name_that_is_a_number_comes_first():
    assert [find_label(given, ["7", "1", "0"]) for given in ("7", "1", 0, 2)] == [0, 1, 2, 2]


@pytest.mark.parametrize(
    ("given", "names", "message"),
    [
        ("PlayingGitar", NAMES, "PlayingGitar: is not a class of the model. Did you mean PlayingGuitar?"),
        ("surfing", NAMES, "surfing: is not a class of the model. Did you mean Surfing?"),
        (
            "x",
            NAMES,
            "x: is not a class of the model. Give one of ApplyEyeMakeup, PlayingGuitar, Surfing.",
        ),
        ("zzz", MANY, "zzz: is not a class of the model. Give one of its 40 classes, such as class 0, class 1, "),
        (3, NAMES, "3: there are 3 classes. Give 0 to 2, or a name."),
        ("-1", NAMES, "-1: there are 3 classes. Give 0 to 2, or a name."),
        ("9" * 5000, NAMES, "9999"),
        ("\u00b2", NAMES, "\u00b2: is not a class of the model. Give one of"),
        ("Surfing", [], "Surfing: the model was trained without classes. Leave it out, or train on a data set with"),
    ],
)
def test_what_is_no_class_is_said_in_one_line(given, names, message):
    with pytest.raises(InvalidArgumentError) as caught:
        find_label(given, names)
    said = str(caught.value)
    assert said.startswith(f"Sampling.class_names {message}") and "\n" not in said


@given(st.integers(0, 60), st.integers(1, 9), st.data())
def test_classes_are_balanced_and_follow_from_the_number_of_the_video(num_videos, num_classes, data):
    labels = balanced_classes(num_videos, num_classes)
    counts = [labels.count(label) for label in range(num_classes)]
    assert len(labels) == num_videos and max(counts) - min(counts) <= 1
    fewer = data.draw(st.integers(0, num_videos))
    assert balanced_classes(fewer, num_classes) == labels[:fewer]


def test_some_classes_alone_and_none():
    assert balanced_classes(5, [4, 0]) == [4, 0, 4, 0, 4]
    assert balanced_classes(2, 0) == balanced_classes(2, []) == [-1, -1]
