"""Which class a file has."""

from pathlib import Path

import pytest

from onnxgrid.data.labels import class_indices, class_labels, class_names
from onnxgrid.errors import DataError

FOUND = {  # the fact under test -> file, tag, class
    "the class is the file's directory": ("/d/train/cat/1.png", None, "cat"),
    "a tag names the directory above the class": ("/d/train/cat/2024/1.png", "train", "cat"),
    "the innermost tag counts": ("/train/d/train/cat/1.png", "train", "cat"),
    "a class may be called like the tag": ("/d/train/train/1.png", "train", "train"),
}


@pytest.mark.parametrize(("file", "tag", "expected"), FOUND.values(), ids=FOUND)
def test_the_class_of_a_file(file, tag, expected):
    assert class_labels([Path(file)], tag=tag) == [expected]


def test_the_class_of_a_file_in_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "cat").mkdir()
    monkeypatch.chdir(tmp_path / "cat")
    assert class_labels([Path("1.png")], tag=None) == ["cat"]


@pytest.mark.parametrize("file", ["/d/cat/1.png", "/d/train/1.png"])
def test_a_tag_without_a_class_below_is_told(file):
    with pytest.raises(DataError) as caught:
        class_labels([Path(file)], tag="train")
    assert str(caught.value) == (
        f'{file}: no directory of this path lies below one called "train"\n'
        "  Give as tag the directory whose subdirectories are the classes."
    )


def test_classes_are_in_byte_order():
    assert class_names(["b", "\u00e4", "a", "B", "10", "9", "a"]) == ("10", "9", "B", "a", "b", "\u00e4")


def test_an_index_is_the_position_of_the_class():
    assert class_indices(["b", "a", "b"], ("a", "b"), [Path("x")] * 3) == [1, 0, 1]


def test_a_class_that_training_does_not_have_is_told():
    with pytest.raises(DataError) as caught:
        class_indices(["a", "x"], ("a", "b"), [Path("t/a/1.png"), Path("t/x/1.png")])
    assert str(caught.value) == (
        't/x/1.png: its class is "x", which the training data does not have\n'
        "  Name its directory like one of the 2 classes: a, b."
    )
