"""Shapes that a file states within a network: what contradicts the computed ones is refused where Keras refuses it."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as kl

import converters
from converters.errors import ConversionError

Description = dict[str, Any]
Layer = Callable[[], keras.layers.Layer]

SHAPE = (8, 8, 4)


def functional(layer: keras.layers.Layer, shape: tuple[int, ...] = SHAPE) -> keras.Model:
    x = keras.Input(shape, name="x")
    return keras.Model(x, layer(x))


def within(layer: keras.layers.Layer) -> keras.Model:
    """A model `m` of one layer, within a model."""
    i, x = keras.Input(SHAPE, name="i"), keras.Input(SHAPE, name="x")
    return keras.Model(x, keras.Model(i, layer(i), name="m")(x))


def described(model: keras.Model) -> Description:
    description: Description = json.loads(model.to_json())
    return description


def layers_of(description: Description, name: str = "") -> list[Description]:
    """The layers of a network, or of a model in it."""
    listed: list[Description] = description["config"]["layers"]
    return layers_of(next(layer for layer in listed if layer["name"] == name)) if name else listed


def converted(description: Description, folder: Path, **options: Any) -> str:
    """The refusal of a network, without its place but for the column; empty if it converts."""
    (folder / "net.json").write_text(json.dumps(description))
    try:
        converters.convert(folder / "net.json", **options)
    except ConversionError as error:
        return str(error)
    return ""


def place(description: Description, text: str, folder: Path) -> str:
    """Where a part of the file stands that occurs in it once, but for its first character's column."""
    written = json.dumps(description)
    assert written.count(text) == 1
    return f"{folder / 'net.json'}:1:{written.index(text) + 1}"


def keras_takes(description: Description, shape: tuple[int, ...]) -> bool:
    """Whether Keras loads and calls a network."""
    try:
        model = keras.models.model_from_json(json.dumps(description))
        model(np.zeros((2, *shape), np.float32))
    except (ValueError, RuntimeError):
        return False
    return True


IMAGES: dict[str, Layer] = {
    "Conv2D": lambda: kl.Conv2D(4, 3),
    "Conv2DTranspose": lambda: kl.Conv2DTranspose(4, 3),
    "DepthwiseConv2D": lambda: kl.DepthwiseConv2D(3),
    "SeparableConv2D": lambda: kl.SeparableConv2D(4, 3),
    "Dense": lambda: kl.Dense(3),
    "BatchNormalization": lambda: kl.BatchNormalization(),
    "LayerNormalization": lambda: kl.LayerNormalization(),
    "GroupNormalization": lambda: kl.GroupNormalization(2),
    "PReLU": lambda: kl.PReLU(),
    "PReLU of channels": lambda: kl.PReLU(shared_axes=[1, 2]),
    "EinsumDense": lambda: kl.EinsumDense("bijc,cd->bijd", (8, 8, 5)),
    "Activation": lambda: kl.Activation("relu"),
    "Flatten": lambda: kl.Flatten(),
    "Reshape": lambda: kl.Reshape((-1, 4)),
    "MaxPooling2D": lambda: kl.MaxPooling2D(),
}

SEQUENCES: dict[str, Layer] = {
    "LSTM": lambda: kl.LSTM(3),
    "Embedding": lambda: kl.Embedding(10, 3),
    "TimeDistributed": lambda: kl.TimeDistributed(kl.Dense(3)),
    "Bidirectional": lambda: kl.Bidirectional(kl.GRU(2)),
}

STATED = {
    "the same": lambda shape: [None, *shape],
    "open": lambda shape: [None, *[None] * (len(shape) - 1), shape[-1]],
    "other channels": lambda shape: [None, *shape[:-1], 6],
    "other spatial sizes": lambda shape: [None, 2 * shape[0], *shape[1:]],
}


BUILT = [
    pytest.param(layer, shape, stated(shape), id=f"{name}-{what}")
    for shape, layers in ((SHAPE, IMAGES), ((7, 4), SEQUENCES))
    for name, layer in layers.items()
    for what, stated in STATED.items()
    if not (what == "open" and name in ("EinsumDense", "PReLU"))  # which have no weights then at all
]


@pytest.mark.parametrize(("layer", "shape", "stated"), BUILT)
def test_a_layer_built_for_another_shape_is_refused_where_keras_refuses_it(
    layer: Layer, shape: tuple[int, ...], stated: list[int | None], tmp_path: Path
) -> None:
    description = described(functional(layer(), shape))
    layers_of(description)[1]["build_config"] = {"input_shape": stated}
    assert (converted(description, tmp_path) == "") is keras_takes(description, shape)


NO_SHAPES = ([], [None], [None, None], [0, 0, 0], [None, -1, -4], [None, 7, 4, 4, 4, 4])


@pytest.mark.parametrize("stated", NO_SHAPES, ids=str)
@pytest.mark.parametrize("layer", SEQUENCES.values(), ids=SEQUENCES)
def test_a_layer_built_for_what_is_hardly_a_shape_converts_or_is_refused(
    layer: Layer, stated: list[int | None], tmp_path: Path
) -> None:
    description = described(functional(layer(), (7, 4)))
    layers_of(description)[1]["build_config"] = {"input_shape": stated}
    message = converted(description, tmp_path)
    assert message == "" or 'Correct "build_config", or leave it out.' in message


def test_weights_of_another_shape_are_named(tmp_path: Path) -> None:
    description = described(functional(kl.Conv2D(4, 3, name="conv")))
    layers_of(description)[1]["build_config"] = {"input_shape": [None, 8, 8, 6]}
    found = place(description, '{"input_shape": [null, 8, 8, 6]}', tmp_path)
    assert converted(description, tmp_path) == (
        f"{found}: layer 'conv' (Conv2D): \"build_config\" says (N, 8, 8, 6), and its input is (N, 8, 8, 4): "
        "'conv.weight' would be (4, 6, 3, 3), and is to be (4, 4, 3, 3)\n"
        '  Correct "build_config", or leave it out.'
    )


def test_a_shape_for_which_there_is_no_such_layer_is_named(tmp_path: Path) -> None:
    description = described(functional(kl.Conv2D(4, 3, name="conv")))
    layers_of(description)[1]["build_config"] = {"input_shape": [None, 8, 4]}
    found = place(description, '{"input_shape": [null, 8, 4]}', tmp_path)
    assert converted(description, tmp_path) == (
        f"{found}: layer 'conv' (Conv2D): \"build_config\" says (N, 8, 4), and its input is (N, 8, 8, 4): "
        "the layer has no weights for the former\n"
        '  Correct "build_config", or leave it out.'
    )


def test_keras_2_does_not_read_what_a_layer_was_built_for(tmp_path: Path) -> None:
    description = described(functional(kl.Conv2D(4, 3))) | {"keras_version": "2.15.0", "module": "keras.src.engine"}
    layers_of(description)[1]["build_config"] = {"input_shape": [None, 8, 8, 6]}
    assert converted(description, tmp_path) == ""


@pytest.mark.parametrize("options", [{"input_shape": (4, 16, 16)}, {"dynamic_spatial": True}])
def test_sizes_that_are_asked_for_contradict_nothing(options: Any, tmp_path: Path) -> None:
    model = within(kl.PReLU(shared_axes=[1, 2]))
    assert converted(described(model), tmp_path, **options) == ""


INNER = {
    "channels": [None, 8, 8, 6],
    "spatial sizes": [None, 16, 8, 4],
    "another number of axes": [None, 8, 4],
    "open": [None, None, None, 4],
    "another batch": [3, 8, 8, 4],
}


@pytest.mark.parametrize("shape", INNER.values(), ids=INNER)
@pytest.mark.parametrize("sequential", [False, True])
def test_a_model_called_on_another_shape_is_refused_where_keras_refuses_it(
    shape: list[int | None], sequential: bool, tmp_path: Path
) -> None:
    x, row = keras.Input(SHAPE, name="x"), [keras.Input(SHAPE, name="i"), kl.Activation("relu")]
    inner = keras.Sequential(row, name="m") if sequential else keras.Model(row[0], row[1](row[0]), name="m")
    description = described(keras.Model(x, inner(x)))
    layers_of(description, "m")[0]["config"]["batch_shape"] = shape
    assert (converted(description, tmp_path) == "") is keras_takes(description, SHAPE)


def test_the_shape_of_an_inner_input_is_named(tmp_path: Path) -> None:
    description = described(within(kl.Activation("relu")))
    layers_of(description, "m")[0]["config"]["batch_shape"] = [None, 16, 8, 4]
    assert converted(description, tmp_path) == (
        f"{place(description, '[null, 16, 8, 4]', tmp_path)}: layer 'm.i' (InputLayer): \"batch_shape\" says "
        "(N, 16, 8, 4), and its model is called on (N, 8, 8, 4)\n"
        "  Write the shape that it is given, with null for sizes that may be any."
    )


def test_inputs_of_models_in_models_and_of_steps_are_held_against_what_they_are_given(tmp_path: Path) -> None:
    innermost, i, x = keras.Input(SHAPE, name="j"), keras.Input(SHAPE, name="i"), keras.Input((5, *SHAPE), name="x")
    inner = keras.Model(innermost, kl.ReLU(name="r")(innermost), name="inner")
    each = kl.TimeDistributed(keras.Model(i, inner(i), name="middle"), name="each")
    description = described(keras.Model(x, each(x)))
    assert converted(description, tmp_path) == ""
    middle = layers_of(description)[1]["config"]["layer"]
    layers_of(middle, "inner")[0]["config"]["batch_shape"] = [None, 9, 8, 4]
    assert "layer 'each.inner.j' (InputLayer): \"batch_shape\" says (N, 9, 8, 4), and its model is called on" in (
        converted(description, tmp_path)
    )


def of_keras_2(model: keras.Model, shape: list[int | None]) -> Description:
    """The network with a model `m` as Keras 2 writes it, whose input says this shape."""
    description = described(model) | {"keras_version": "2.9.0", "module": "keras.src.engine"}
    first = layers_of(description, "m")[0]
    first["config"]["batch_input_shape"] = shape
    del first["config"]["batch_shape"]
    return description


def test_keras_2_calls_a_model_on_other_spatial_sizes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    description = of_keras_2(within(kl.Activation("relu")), [None, 16, 8, 4])
    with caplog.at_level(logging.WARNING):
        assert converted(description, tmp_path) == ""
    assert [record.getMessage() for record in caplog.records] == [
        f"{place(description, '[null, 16, 8, 4]', tmp_path)}: layer 'm.i' (InputLayer): \"batch_input_shape\" says "
        "(N, 16, 8, 4), and its model is called on (N, 8, 8, 4), which holds"
    ]


def test_keras_2_does_not_call_a_model_on_other_channels(tmp_path: Path) -> None:
    description = of_keras_2(within(kl.Activation("relu")), [None, 8, 8, 6])
    assert '(InputLayer): "batch_input_shape" says (N, 8, 8, 6), and its model is called on (N, 8, 8, 4)\n' in (
        converted(description, tmp_path)
    )


@pytest.mark.parametrize("key", ["batch_input_shape", "input_shape"])
def test_what_a_layer_says_of_its_own_input_is_passed_over_with_a_warning(
    key: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = functional(kl.Conv2D(4, 3, name="conv"))
    description = described(model) | {"keras_version": "2.9.0", "module": "keras.src.engine"}
    stated = [9, 9, 7] if key == "input_shape" else [None, 9, 9, 7]
    config = layers_of(description)[1]["config"]
    config[key] = stated
    with caplog.at_level(logging.WARNING):
        assert converted(description, tmp_path) == ""
    assert [record.getMessage() for record in caplog.records] == [
        f"{place(description, json.dumps(stated), tmp_path)}: layer 'conv' (Conv2D): \"{key}\" says (N, 9, 9, 7), "
        "and its input is (N, 8, 8, 4), which holds"
    ]
    config[key] = list(SHAPE) if key == "input_shape" else [None, *SHAPE]
    caplog.clear()
    assert converted(description, tmp_path) == ""
    assert not caplog.records
