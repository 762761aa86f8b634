"""Weights that Keras wrote, in each of its formats: the converted network that holds them computes what Keras does."""

import logging
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
from keras import layers
from keras.src.applications.convnext import LayerScale

import converters
from converters.keras_json import CONTAINERS
from converters.layers import LAYERS, find_layer
from converters.roles import Role, initializer_roles
from converters.weights import Weights, network_layers, read_weights
from converters.weights.keras_variables import COMMON_WITHOUT_VARIABLES, KERAS_VARIABLES
from converters.weights.onnx import write_initializers
from tests.converters.keras_oracle import RELATIVE_TOLERANCE, functional, random_inputs, randomize, run_onnx

# Keras' torch backend copies its variables for saving in a way that NumPy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

DATA = Path(__file__).parents[1] / "data" / "keras2"

WRITERS: dict[str, Callable[[keras.Model, Path], None]] = {
    ".weights.h5": lambda model, path: model.save_weights(path),
    ".keras": lambda model, path: model.save(path),
    "model.h5": lambda model, path: model.save(path),
}
"""End of a file's name -> what writes it."""


def filled(model: ir.Model, weights: Weights) -> ir.Model:
    """The model with all its weights taken from a file that holds just them."""
    wanted = {name for name, role in initializer_roles(model).items() if role.kind is not Role.CONSTANT}
    assert set(weights) == wanted
    return write_initializers(model, {name: weight.read() for name, weight in weights.items()})


def convert_and_fill(description: str, path: Path, folder: Path) -> ir.Model:
    (folder / "net.json").write_text(description)
    model = converters.convert(folder / "net.json")
    return filled(model, read_weights(path, network_layers(model)))


def assert_predicts(
    model: ir.Model, inputs: Sequence[np.ndarray], wanted: Sequence[np.ndarray], *, raw_outputs: bool = False
) -> None:
    for output, want in zip(run_onnx(model, *inputs, raw_outputs=raw_outputs), wanted, strict=True):
        np.testing.assert_allclose(output, want, rtol=0, atol=RELATIVE_TOLERANCE * np.abs(want).max())


KERAS2_FILES = [
    "attention.weights_legacy.h5",
    "cudnn.weights_legacy.h5",
    "masked.weights_legacy.h5",
    "nested.weights_legacy.h5",
    "nested.model_legacy.h5",
    "seq.weights_legacy.h5",
    "sequences.weights_legacy.h5",
    "unet.weights_legacy.h5",
    "unet.model_legacy.h5",
    "vol.weights_legacy.h5",
    "multi.weights_legacy.h5",
]


ENDING_IN_SEQUENCES = {"attention", "masked"}


@pytest.mark.parametrize("name", KERAS2_FILES)
def test_a_network_with_the_weights_of_keras_2_predicts_what_keras_2_did(name: str, tmp_path: Path) -> None:
    network = name.partition(".")[0]
    record = np.load(DATA / f"{network}.io.npz")
    model = convert_and_fill((DATA / f"{network}.json").read_text(), DATA / name, tmp_path)
    inputs = [record[key] for key in sorted(record) if key.startswith("input")]
    wanted = [record[key] for key in sorted(record) if key.startswith("output")]
    assert_predicts(model, inputs, wanted, raw_outputs=network in ENDING_IN_SEQUENCES)


Build = Callable[[], keras.Model]


def nested() -> keras.Model:
    inside = keras.Input((6, 5, 4))
    x = layers.PReLU(shared_axes=[1, 2], name="slope")(layers.Conv2D(4, 1, name="conv")(inside))
    inner = keras.Model(inside, x, name="inner")
    row = keras.Sequential([layers.Dense(7, name="wide"), layers.Dropout(0.5), layers.Dense(2)], name="row")
    return functional([layers.Conv2D(4, 3, name="conv"), inner, layers.Flatten(), row], (8, 7, 3))


def attending(*made: layers.Layer) -> keras.Model:
    """A model of attention layers, each of a sequence to itself; some take their inputs in a list."""
    x = inputs = keras.Input((7, 6))
    for layer in made:
        x = layer([x, x]) if isinstance(layer, layers.Attention) else layer(x, x)
    return keras.Model(inputs, x, name="attending")


def stack() -> layers.Layer:
    return layers.StackedRNNCells([layers.LSTMCell(3), layers.GRUCell(4, use_bias=False), layers.LSTMCell(5)])


def eye() -> keras.Model:
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Dense(6, name="second")(layers.Dense(4, name="first")(inputs)), name="eye")


SEQUENCE = (7, 6)

LAYERS_WITH_WEIGHTS: dict[str, tuple[Callable[[], list[keras.layers.Layer]], tuple[int, ...]]] = {
    "Dense": (lambda: [layers.Dense(5), layers.Dense(3, use_bias=False)], (4,)),
    "Conv1D": (lambda: [layers.Conv1D(4, 3), layers.Conv1D(6, 2, groups=2, use_bias=False)], (9, 3)),
    "Conv2D": (lambda: [layers.Conv2D(4, (3, 2), activation="relu"), layers.Conv2D(3, 1)], (9, 8, 3)),
    "Conv3D": (lambda: [layers.Conv3D(4, (3, 2, 1))], (6, 5, 4, 2)),
    "Conv1DTranspose": (lambda: [layers.Conv1DTranspose(4, 3)], (9, 3)),
    "Conv2DTranspose": (lambda: [layers.Conv2DTranspose(4, (3, 2), strides=2)], (5, 4, 3)),
    "Conv3DTranspose": (lambda: [layers.Conv3DTranspose(4, (3, 2, 1))], (4, 3, 5, 2)),
    "DepthwiseConv1D": (lambda: [layers.DepthwiseConv1D(3, depth_multiplier=2)], (9, 3)),
    "DepthwiseConv2D": (
        lambda: [layers.DepthwiseConv2D((3, 2), depth_multiplier=2), layers.DepthwiseConv2D(2, use_bias=False)],
        (9, 8, 3),
    ),
    "SeparableConv1D": (lambda: [layers.SeparableConv1D(4, 3, depth_multiplier=2)], (9, 3)),
    "SeparableConv2D": (lambda: [layers.SeparableConv2D(4, (3, 2), depth_multiplier=2)], (9, 8, 3)),
    "BatchNormalization": (
        lambda: [
            layers.BatchNormalization(),
            layers.BatchNormalization(scale=False),
            layers.BatchNormalization(center=False),
            layers.BatchNormalization(scale=False, center=False),
        ],
        (5, 4, 3),
    ),
    "GroupNormalization": (lambda: [layers.GroupNormalization(2), layers.GroupNormalization(2, scale=False)], (5, 6)),
    "LayerNormalization": (
        lambda: [
            layers.LayerNormalization(),
            layers.LayerNormalization(axis=[1, 2, 3]),
            layers.LayerNormalization(scale=False),
            layers.LayerNormalization(center=False),
        ],
        (5, 4, 3),
    ),
    "RMSNormalization": (lambda: [layers.RMSNormalization()], (5, 4)),
    "Normalization": (lambda: [layers.Normalization()], (5, 4, 3)),
    "PReLU": (lambda: [layers.PReLU(shared_axes=[1]), layers.PReLU()], (5, 4, 3)),
    "PReLU where axes are in Keras' order": (
        lambda: [layers.Reshape((4, 4, 4)), layers.PReLU(), layers.Flatten()],
        (64,),
    ),
    "LSTM": (
        lambda: [
            layers.LSTM(5, return_sequences=True),
            layers.LSTM(4, return_sequences=True, use_bias=False),
            layers.LSTM(3, dropout=0.2),
        ],
        SEQUENCE,
    ),
    "GRU": (
        lambda: [
            layers.GRU(5, return_sequences=True),
            layers.GRU(4, return_sequences=True, use_bias=False),
            layers.GRU(3, reset_after=False),
        ],
        SEQUENCE,
    ),
    "SimpleRNN": (lambda: [layers.SimpleRNN(5, return_sequences=True), layers.SimpleRNN(4, use_bias=False)], SEQUENCE),
    "LSTM in Bidirectional": (
        lambda: [
            layers.Bidirectional(layers.LSTM(5, return_sequences=True)),
            layers.Bidirectional(layers.GRU(4, return_sequences=True, use_bias=False)),
            layers.Bidirectional(
                layers.LSTM(3, return_sequences=True, name="there"),
                backward_layer=layers.SimpleRNN(2, return_sequences=True, go_backwards=True, name="back"),
            ),
            layers.Flatten(),
        ],
        SEQUENCE,
    ),
    "LSTM cells in Bidirectional": (lambda: [layers.Bidirectional(layers.RNN(stack()))], SEQUENCE),
    "LSTM cells": (
        lambda: [
            layers.RNN(stack(), return_sequences=True),
            layers.RNN(layers.GRUCell(4), return_sequences=True),
            layers.RNN(layers.StackedRNNCells([layers.SimpleRNNCell(3)])),
        ],
        SEQUENCE,
    ),
    "Dense in TimeDistributed": (
        lambda: [
            layers.TimeDistributed(layers.Dense(6)),
            layers.TimeDistributed(layers.BatchNormalization(scale=False)),
            layers.TimeDistributed(eye(), name="looking"),
            layers.TimeDistributed(keras.Sequential([keras.Input((6,)), layers.Dense(5)])),
            layers.Dense(4),
            layers.Flatten(),
        ],
        SEQUENCE,
    ),
    "Attention": (
        lambda: [attending(layers.Attention(use_scale=True, score_mode="concat")), layers.Flatten()],
        SEQUENCE,
    ),
    "AdditiveAttention": (
        lambda: [attending(layers.AdditiveAttention(), layers.AdditiveAttention(use_scale=False)), layers.Flatten()],
        SEQUENCE,
    ),
    "EinsumDense": (
        lambda: [
            layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de"),
            layers.EinsumDense("abcd,cde->abe", (None, 5)),
            layers.Flatten(),
        ],
        SEQUENCE,
    ),
    "MultiHeadAttention": (
        lambda: [
            attending(
                layers.MultiHeadAttention(2, 3, value_dim=4),
                layers.MultiHeadAttention(2, 3, use_bias=False),
                layers.MultiHeadAttention(2, 3, use_gate=True),
            ),
            layers.Flatten(),
        ],
        SEQUENCE,
    ),
    "GroupQueryAttention": (
        lambda: [
            attending(
                layers.GroupQueryAttention(3, 4, 2),
                layers.GroupQueryAttention(3, 2, 1, use_bias=False),
                layers.GroupQueryAttention(3, 4, 2, use_gate=True),
            ),
            layers.Flatten(),
        ],
        SEQUENCE,
    ),
}
"""Classes with weights -> layers in all the forms that differ in their variables, and what goes into them."""


@pytest.mark.parametrize("end", WRITERS)
@pytest.mark.parametrize(("row", "shape"), LAYERS_WITH_WEIGHTS.values(), ids=LAYERS_WITH_WEIGHTS)
def test_the_weights_of_keras_3_are_found_by_layer_and_variable(
    row: Callable[[], list[keras.layers.Layer]], shape: tuple[int, ...], end: str, tmp_path: Path
) -> None:
    assert_survives(functional(row(), shape), end, tmp_path)


@pytest.mark.parametrize("end", WRITERS)
def test_the_weights_of_models_in_a_model_are_found(end: str, tmp_path: Path) -> None:
    assert_survives(nested(), end, tmp_path)


def assert_survives(model: keras.Model, end: str, folder: Path) -> None:
    randomize(model)
    path = folder / f"saved{end}"
    WRITERS[end](model, path)
    inputs = random_inputs([tuple(x.shape[1:]) for x in model.inputs])
    wanted = np.asarray(model(inputs[0], training=False).detach())
    assert_predicts(convert_and_fill(model.to_json(), path, folder), inputs, [wanted])


WITHOUT_WEIGHTS_IN_KERAS_3 = {"DepthwiseConv3D", "InstanceNormalization", "LayerScale", "Embedding"}
"""Classes of other programs, or (Embedding) with inputs that are no floats."""


def test_each_class_with_variables_has_a_case() -> None:
    assert set(KERAS_VARIABLES) - WITHOUT_WEIGHTS_IN_KERAS_3 == {case.partition(" ")[0] for case in LAYERS_WITH_WEIGHTS}
    assert KERAS_VARIABLES.keys() <= LAYERS.keys()


def saved(tmp_path: Path, rows: Sequence[keras.layers.Layer], end: str = ".weights.h5") -> Path:
    model = functional(rows, (6, 5, 3))
    randomize(model)
    WRITERS[end](model, tmp_path / f"saved{end}")
    return tmp_path / f"saved{end}"


def test_a_class_that_is_not_looked_up_is_called_so_by_keras_itself() -> None:
    for name in COMMON_WITHOUT_VARIABLES | set(KERAS_VARIABLES):
        found = find_layer(name)
        assert found is None or found.class_name == name
        assert name not in COMMON_WITHOUT_VARIABLES or hasattr(layers, name) or name in CONTAINERS


def network_of(tmp_path: Path, names: Sequence[str]) -> Any:
    convs = [layers.Conv2D(4, 1, name=name) for name in names]
    (tmp_path / "other.json").write_text(functional(convs, (6, 5, 3)).to_json())
    return network_layers(converters.convert(tmp_path / "other.json"))


@pytest.mark.parametrize("end", WRITERS)
def test_names_that_keras_invented_are_matched_by_order(
    end: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = saved(tmp_path, [layers.Conv2D(4, 1, name="conv2d_7"), layers.Conv2D(4, 1, name="conv2d_8")], end)
    with caplog.at_level(logging.WARNING):
        weights = read_weights(path, network_of(tmp_path, ["first", "second"]))
    assert list(weights) == ["first.weight", "first.bias", "second.weight", "second.bias"]
    messages = [record.getMessage() for record in caplog.records if record.name.startswith("converters")]
    assert messages == [f"{path}: its layers have only the names that Keras invents; matched by class and order"]


@pytest.mark.parametrize("end", WRITERS)
def test_names_that_someone_chose_are_kept(end: str, tmp_path: Path) -> None:
    path = saved(tmp_path, [layers.Conv2D(4, 1, name="first"), layers.Conv2D(4, 1, name="old_head")], end)
    weights = read_weights(path, network_of(tmp_path, ["first", "new_head"]))
    assert list(weights) == ["first.weight", "first.bias", "old_head.weight", "old_head.bias"]


def test_a_file_without_names_is_matched_by_order(tmp_path: Path) -> None:
    path = saved(tmp_path, [layers.Conv2D(4, 1, name="a"), layers.Conv2D(4, 1, name="b")])
    with h5py.File(path, "r+") as file:  # as Keras 3.4 and TensorFlow 2.12 to 2.15 wrote it
        for group in file["layers"].values():
            del group["vars"].attrs["name"]
        file.move("layers", "_layer_checkpoint_dependencies")
    assert list(read_weights(path, network_of(tmp_path, ["x", "y"]))) == ["x.weight", "x.bias", "y.weight", "y.bias"]


def models_in_a_row(*rows: keras.Model) -> keras.Model:
    """One model after the other, a layer behind each."""
    x = inputs = keras.Input((6, 5, 4))
    for number, row in enumerate(rows):
        x = layers.Conv2D(4, 1, name=f"between_{number}")(row(x))
    return keras.Model(inputs, x)


def row_of_two(name: str) -> keras.Model:
    return keras.Sequential([layers.Conv2D(4, 1, name="a"), layers.Conv2D(4, 1, name="b")], name=name)


def graph_of_two(name: str) -> keras.Model:
    inputs = keras.Input((6, 5, 4))
    return keras.Model(inputs, layers.Conv2D(4, 1, name="b")(layers.Conv2D(4, 1, name="a")(inputs)), name=name)


def saved_without_names(model: keras.Model, folder: Path) -> Path:
    """A file as Keras 3.4 and TensorFlow 2.12 to 2.15 wrote it."""
    path = folder / "nameless.weights.h5"
    model.save_weights(path)
    with h5py.File(path, "r+") as file:
        groups: list[h5py.Group] = []
        file.visititems(lambda name, item: groups.append(item) if "name" in item.attrs else None)
        for group in groups:
            del group.attrs["name"]
    return path


def test_models_within_a_model_are_matched_by_order_too(tmp_path: Path) -> None:
    model = models_in_a_row(row_of_two("stem"), row_of_two("down"), keras.Sequential([layers.Dense(4)], name="head"))
    randomize(model)
    x = random_inputs([(6, 5, 4)])
    converted = convert_and_fill(model.to_json(), saved_without_names(model, tmp_path), tmp_path)
    assert_predicts(converted, x, [np.asarray(model(x[0]).detach())])


def test_models_of_two_classes_that_hold_the_same_are_not_guessed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether the row or the graph comes first, the file does not say."""
    model = models_in_a_row(row_of_two("stem"), graph_of_two("down"))
    (tmp_path / "net.json").write_text(model.to_json())
    network = network_layers(converters.convert(tmp_path / "net.json"))
    path = saved_without_names(model, tmp_path)
    with caplog.at_level(logging.WARNING):
        weights = read_weights(path, network)
    layers_of_the_file = {"conv2d", "conv2d_1", "functional/layers/conv2d", "functional/layers/conv2d_1"}
    layers_of_the_file |= {"sequential/layers/conv2d", "sequential/layers/conv2d_1"}
    assert {name.partition(".")[0] for name in weights} == {f"layers/{name}" for name in layers_of_the_file}
    assert caplog.messages == [
        f"{path}: has no names of layers, and other layers than the network; nothing can be matched"
    ]


def test_the_numbers_in_a_file_without_names_are_no_names(tmp_path: Path) -> None:
    """The first convolution of the model stands at `conv2d`, whatever it is called."""
    model = functional([layers.Conv2D(3, 1, name="conv2d_1"), layers.Conv2D(3, 1, name="conv2d")], (6, 5, 3))
    randomize(model)
    x = random_inputs([(6, 5, 3)])
    converted = convert_and_fill(model.to_json(), saved_without_names(model, tmp_path), tmp_path)
    assert_predicts(converted, x, [np.asarray(model(x[0]).detach())])


def test_a_layer_that_lacks_variables_is_matched_by_order(tmp_path: Path) -> None:
    row = [layers.BatchNormalization(scale=False, name="data"), layers.Dropout(0.5), layers.Dense(3, name="end")]
    model = functional(row, (6, 5, 3))
    randomize(model)
    x = random_inputs([(6, 5, 3)])
    converted = convert_and_fill(model.to_json(), saved_without_names(model, tmp_path), tmp_path)
    assert_predicts(converted, x, [np.asarray(model(x[0], training=False).detach())])


def test_layers_that_hold_others_are_matched_by_order(tmp_path: Path) -> None:
    """Their parts keep their own places in the file: `layer`, `forward_layer/cell`, `query_dense`."""
    heads, inputs = layers.MultiHeadAttention(2, 3), keras.Input(SEQUENCE)
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(inputs)
    x = layers.RNN(layers.StackedRNNCells([layers.GRUCell(4), layers.GRUCell(5)]), return_sequences=True)(x)
    x = layers.TimeDistributed(layers.Dense(4))(layers.TimeDistributed(layers.ReLU())(heads(x, x)))
    x = layers.TimeDistributed(keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(2)]))(x)
    model = keras.Model(inputs, layers.LSTM(3)(layers.LSTM(3, return_sequences=True)(x)))
    randomize(model)
    x = random_inputs([SEQUENCE])
    converted = convert_and_fill(model.to_json(), saved_without_names(model, tmp_path), tmp_path)
    assert_predicts(converted, x, [np.asarray(model(x[0], training=False).detach())])


@pytest.mark.parametrize("end", WRITERS)
def test_variables_that_their_layers_do_not_name_are_found(end: str, tmp_path: Path) -> None:
    model = functional([LayerScale(0.1, 3, name=name) for name in ("first", "second")], (6, 5, 3))
    randomize(model)
    WRITERS[end](model, tmp_path / end)
    x = random_inputs([(6, 5, 3)])
    wanted = [np.asarray(model(x[0]).detach())]
    assert_predicts(convert_and_fill(model.to_json(), tmp_path / end, tmp_path), x, wanted)


@pytest.mark.parametrize("end", [".weights.h5", ".h5", ".keras"])
def test_a_file_without_weights_fits_a_network_without_them(end: str, tmp_path: Path) -> None:
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, layers.Flatten()(layers.MaxPooling2D()(inputs)))
    path = tmp_path / f"net{end}"
    model.save_weights(path) if end == ".weights.h5" else model.save(path)
    (tmp_path / "net.json").write_text(model.to_json())
    network = network_layers(converters.convert(tmp_path / "net.json"))
    assert read_weights(path, network) == {}


def test_a_weight_keeps_the_name_that_the_file_gives_it(tmp_path: Path) -> None:
    stored = {name: weight.stored_name for name, weight in read_weights(DATA / "unet.weights_legacy.h5").items()}
    assert stored["enc1/bn.running_var"] == "enc1/bn/moving_variance:0"
    assert stored["sep.pointwise.weight"] == "sep/pointwise_kernel:0"
    path = saved(tmp_path, [layers.Conv2D(4, 1, name="a")])
    assert [w.stored_name for w in read_weights(path).values()] == ["layers/conv2d/vars/0", "layers/conv2d/vars/1"]


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float64"])
def test_each_float_type_keeps_its_bits(name: str, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, dtype=name, name="d")])
    model.save_weights(tmp_path / "a.weights.h5")
    weight = read_weights(tmp_path / "a.weights.h5")["d.weight"]
    assert weight.dtype == np.dtype(getattr(ml_dtypes, name, name))
    kernel = keras.ops.convert_to_numpy(keras.ops.cast(model.layers[0].kernel, "float64"))
    np.testing.assert_array_equal(weight.read().astype(np.float64), kernel.T)


STORED: dict[str, dict[str, Any]] = {
    "in one piece": {},
    "in chunks": {"chunks": (2, 2)},
    "compressed": {"compression": "gzip", "shuffle": True},
    "in the header": {"dcpl": "compact"},
}


def write_dataset(path: Path, values: np.ndarray, options: dict[str, Any]) -> None:
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/dense/vars")
        if "dcpl" not in options:
            group.create_dataset("0", data=values, **options)
            return
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.COMPACT)
        space, kind = h5py.h5s.create_simple(values.shape), h5py.h5t.py_create(values.dtype)
        h5py.h5d.create(group.id, b"0", kind, space, properties).write(h5py.h5s.ALL, h5py.h5s.ALL, values)


@pytest.mark.parametrize("options", STORED.values(), ids=STORED)
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", ">f8"])
def test_an_array_is_the_same_however_it_is_stored(dtype: str, options: dict[str, Any], tmp_path: Path) -> None:
    values = np.linspace(-1, 1, 15).reshape(3, 5).astype(dtype)
    write_dataset(tmp_path / "a.weights.h5", values, options)
    (weight,) = read_weights(tmp_path / "a.weights.h5").values()
    assert weight.dtype == np.dtype(dtype).newbyteorder("=")
    read = weight.read()
    assert read.dtype == weight.dtype
    np.testing.assert_array_equal(read, values.T)


@pytest.mark.parametrize("before", range(4))
def test_an_archive_may_hold_its_weights_at_any_byte(before: int, tmp_path: Path) -> None:
    values = np.linspace(-1, 1, 15).reshape(3, 5).astype(np.float32)
    write_dataset(tmp_path / "model.weights.h5", values, {})
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("x" * (before + 1), b"")
        archive.write(tmp_path / "model.weights.h5", "model.weights.h5")
    (weight,) = read_weights(tmp_path / "a.keras").values()
    assert weight.read().flags.aligned
    np.testing.assert_array_equal(weight.read(), values.T)


def test_a_list_of_layers_that_keras_cut_into_pieces_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names0"], file.attrs["layer_names1"] = [b"a"], [b"b"]
        for layer in "ab":
            file.create_group(layer).attrs["weight_names"] = [f"{layer}/kernel:0".encode()]
            file[layer].create_dataset(f"{layer}/kernel:0", data=np.ones((2, 3), np.float32))
    assert list(read_weights(path)) == ["a.weight", "b.weight"]


def test_a_layer_that_was_renamed_is_found_under_its_new_name(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["new"]
        file.create_group("new").attrs["weight_names"] = ["old/kernel:0", "old/bias:0"]
        file["new"].create_dataset("old/kernel:0", data=np.ones((2, 3), np.float32))
        file["new"].create_dataset("old/bias:0", data=np.ones(3, np.float32))
    assert list(read_weights(path)) == ["new.weight", "new.bias"]


def test_a_file_without_names_says_what_it_lacks_where_no_network_names_its_layers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = saved_without_names(functional([layers.TimeDistributed(layers.Dense(3, name="end"))], (6, 5)), tmp_path)
    assert list(read_weights(path)) == ["time_distributed.0", "time_distributed.1"]
    assert caplog.messages == [
        f"{path}: does not say the names of its layers, nor what those wrap: they are named by their places in the "
        "file; name the model that the weights are of (onnxgrid transplant --source-graph MODEL.onnx)"
    ]
