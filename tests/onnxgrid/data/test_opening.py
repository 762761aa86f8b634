"""Whole data sets from files: values, pairing, log lines, and what cannot be paired or read as classes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from onnxgrid.config import DataConfig, DataType, InputPath
from onnxgrid.data import Dataset, Split, TargetKind, open_dataset
from onnxgrid.errors import DataError

CLASSES, VALUES = TargetKind.CLASS_INDICES, TargetKind.VALUES


def at(path):
    return InputPath(str(path), Path(path))


def opened(data, split=Split.TRAINING, kind=VALUES, classes=None):
    """The data set and its log."""
    lines: list[str] = []
    dataset = open_dataset(data, split, target_kind=kind, classes=classes, log=lines.append)
    assert isinstance(dataset, Dataset)
    return dataset, lines


def refusal(data, kind=CLASSES):
    """The message, whether it comes at opening or at reading."""
    with pytest.raises(DataError) as caught:
        opened(data, kind=kind)[0][0]
    return str(caught.value)


@pytest.fixture
def digits(tmp_path):
    """Four gray pictures of 3 x 2 in two classes; picture i is filled with the value 51 * i."""
    for index, name in enumerate(["train/one/a.png", "train/one/b.png", "train/two/c.png", "test/two/d.png"]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (3, 2), 51 * index).save(tmp_path / name)
    return DataConfig(
        input_type=DataType.IMAGES,
        target_type=DataType.LABELS,
        input_path=at(tmp_path / "train"),
        test_input_path=at(tmp_path / "test"),
        input_grayscale=True,
    )


@pytest.mark.parametrize("preload", [False, True])
def test_images_in_class_directories(digits, preload):
    dataset, _ = opened(digits.model_copy(update={"preload": preload}), kind=CLASSES)
    assert len(dataset) == 3
    assert dataset.names == ("one/a.png", "one/b.png", "two/c.png")
    assert dataset.classes == ("one", "two")
    assert dataset.kind == "images"
    for index, label in enumerate([0, 0, 1]):
        image, target = dataset[index]
        assert target is not None
        assert (image.dtype, target.dtype) == (torch.float32, torch.int64)
        torch.testing.assert_close(image, torch.full((1, 2, 3), 0.2 * index))
        assert target.tolist() == label


def test_an_index_beyond_the_end_is_an_index_error(digits):
    dataset, _ = opened(digits, kind=CLASSES)
    with pytest.raises(IndexError):
        dataset[3]


def test_the_test_data_has_the_classes_of_the_training_data(digits):
    dataset, lines = opened(digits, Split.TEST, CLASSES, classes=("one", "two"))
    assert dataset.classes == ("one", "two")
    assert dataset[0][1] == torch.tensor(1)
    assert lines == ["Discovering test input images...", "Discovering test labels...", "Number of class labels: 1"]


def test_the_log_tells_what_is_looked_for_and_loaded(digits):
    _, lines = opened(digits.model_copy(update={"preload": True}), kind=CLASSES)
    assert lines == [
        "Discovering training input images...",
        "Pre-loading training input images...",
        "Discovering training labels...",
        "Number of class labels: 2",
    ]


def test_a_target_path_beside_labels_warns(digits, caplog):
    opened(digits.model_copy(update={"target_path": InputPath("./seg", Path("seg"))}), kind=CLASSES)
    assert caplog.messages == ["./seg is not read: labels are the directories of the inputs"]


def test_a_split_without_inputs_has_no_data_set(digits):
    data = digits.model_copy(update={"test_input_path": None})
    assert open_dataset(data, Split.TEST, target_kind=CLASSES, classes=None, log=print) is None


def test_images_with_images(digits, tmp_path):
    data = digits.model_copy(update={"target_type": DataType.IMAGES, "target_path": at(tmp_path / "train")})
    dataset, lines = opened(data)
    image, target = dataset[2]
    assert target is not None
    assert (image.shape, target.shape) == ((1, 2, 3), (3, 2, 3))
    torch.testing.assert_close(target, torch.full((3, 2, 3), 0.4))
    assert dataset.classes is None
    assert lines == ["Discovering training input images...", "Discovering training target images..."]


def test_inputs_without_targets(digits):
    dataset, _ = opened(digits.model_copy(update={"target_type": None}))
    assert dataset[0][1] is None


def save_arrays(folder, arrays):
    folder.mkdir()
    for index, array in enumerate(arrays):
        np.save(folder / f"{index}.npy", array)
    return at(folder)


def arrays_config(tmp_path, inputs, targets, **more):
    return DataConfig(
        input_type=DataType.NUMPY,
        target_type=DataType.NUMPY,
        input_path=save_arrays(tmp_path / "x", inputs),
        target_path=save_arrays(tmp_path / "y", targets),
        **more,
    )


@pytest.mark.parametrize("preload", [False, True])
def test_arrays_with_arrays(tmp_path, preload):
    cubes = np.arange(2 * 1 * 2 * 3 * 4, dtype=np.float64).reshape(2, 1, 2, 3, 4)
    dataset, lines = opened(arrays_config(tmp_path, cubes, cubes.astype(np.int16) + 1, preload=preload))
    assert dataset.kind == "samples"
    for index, cube in enumerate(cubes):
        inputs, targets = dataset[index]
        torch.testing.assert_close(inputs, torch.tensor(cube, dtype=torch.float32))
        torch.testing.assert_close(targets, torch.tensor(cube + 1, dtype=torch.float32))
    preloading = ["Pre-loading training input NumPy arrays...", "Pre-loading training target NumPy arrays..."]
    assert [line for line in lines if line.startswith("Pre")] == (preloading if preload else [])
    assert "Discovering training target NumPy samples..." in lines


def test_a_lone_file_is_named_as_it_was_written(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((1, 2)))
    data = DataConfig(input_type=DataType.NUMPY, input_path=InputPath("./a.npy", tmp_path / "a.npy"))
    assert opened(data)[1] == ["Discovering training input NumPy samples...", "Loading file: ./a.npy"]


CLASS_MAPS = {  # shape of an input, of a target, of the class map
    "no channel axis": ((3, 4, 5), (4, 5), (4, 5)),
    "a channel axis of 1 is dropped": ((3, 4, 5), (1, 4, 5), (4, 5)),
    "an image of one row keeps its row": ((3, 1, 5), (1, 5), (1, 5)),
    "one label": ((3, 4, 5), (), ()),
    "one label in an array": ((3, 4, 5), (1,), ()),
    "one label of a vector": ((3,), (1,), ()),
}


@pytest.mark.parametrize("preload", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
@pytest.mark.parametrize(("shape", "target_shape", "expected"), CLASS_MAPS.values(), ids=CLASS_MAPS)
def test_arrays_as_class_indices(tmp_path, shape, target_shape, expected, dtype, preload):
    values = np.arange(np.prod(target_shape, dtype=int), dtype=dtype).reshape(target_shape)
    data = arrays_config(tmp_path, [np.zeros(shape)] * 2, [values, values], preload=preload)
    dataset, _ = opened(data, kind=CLASSES)
    _, target = dataset[1]
    torch.testing.assert_close(target, torch.from_numpy(values.astype(np.int64).reshape(expected)))


@pytest.mark.parametrize("value", [0.5, np.nan])
def test_a_class_index_that_is_not_whole_is_told(tmp_path, value):
    message = refusal(arrays_config(tmp_path, [np.zeros((1, 2))], [np.array([0, value])]))
    assert message == f"{tmp_path}/y/0.npy: holds {value} where a class index is needed\n  Give whole numbers."


def mask_config(tmp_path, pixels, **more):
    (tmp_path / "m").mkdir()
    image = Image.new("L", (2, 1))
    image.putdata(pixels)
    image.save(tmp_path / "m" / "0.png")
    return DataConfig(
        input_type=DataType.IMAGES,
        target_type=DataType.IMAGES,
        input_path=at(tmp_path / "m"),
        target_path=at(tmp_path / "m"),
        **more,
    )


def test_a_black_and_white_mask_is_classes_0_and_1(tmp_path):
    dataset, _ = opened(mask_config(tmp_path, [255, 0], target_grayscale=True), kind=CLASSES)
    assert dataset[0][1] is not None
    assert dataset[0][1].tolist() == [[1, 0]]  # type: ignore[union-attr]


def test_a_mask_of_small_numbers_is_told_apart_from_classes(tmp_path):
    assert refusal(mask_config(tmp_path, [0, 1], target_grayscale=True)) == (
        f"{tmp_path}/m/0.png: holds 0.003922 where a class index is needed\n"
        "  Pixels are divided by 255: give masks of 0 and 255 for classes 0 and 1, or .npy class maps."
    )


def test_a_mask_needs_one_channel(tmp_path):
    assert refusal(mask_config(tmp_path, [0, 255])) == (
        f"{tmp_path}/m: these images have three channels where class indices are needed\n"
        "  Set data.target_grayscale to true."
    )


def test_unequal_counts_are_told(tmp_path):
    zeros = np.zeros((1, 2))
    assert refusal(arrays_config(tmp_path, [zeros] * 3, [zeros] * 2), VALUES) == (
        f"{tmp_path}/y: there are 2 targets here for 3 inputs in {tmp_path}/x\n  Give one target for each input."
    )


def test_unlike_names_warn_once(tmp_path, caplog):
    data = arrays_config(tmp_path, [np.zeros((1, 2))] * 3, [np.zeros((1, 2))] * 3)
    (tmp_path / "y" / "0.npy").rename(tmp_path / "y" / "0_mask.npy")
    opened(data)
    assert caplog.messages == []
    (tmp_path / "y" / "2.npy").rename(tmp_path / "y" / "1z.npy")
    (tmp_path / "y" / "1.npy").rename(tmp_path / "y" / "0z.npy")
    opened(data)
    assert caplog.messages == [
        f"{tmp_path / 'y'}: inputs and targets are paired in sorted order, "
        "and 2 pairs have unlike names, such as 1.npy with 0z.npy"
    ]
