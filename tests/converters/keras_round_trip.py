"""A converted model given back to Keras, as a user does it: its JSON is loaded, then the weights that belong to it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from converters.to_keras import to_keras
from converters.weights import Writing, write_weights
from converters.weights.onnx import initializer_weights
from tests.converters.keras_oracle import RELATIVE_TOLERANCE


def given_back(converted: ir.Model, folder: Path, custom_objects: dict[str, type] | None = None) -> keras.Model:
    """The Keras model that a converted one becomes, its weights loaded; Keras lists its layers as the JSON does.

    Args:
        custom_objects: classes that take the place of Keras' own of these names.
    """
    model = loaded_back(converted, folder, custom_objects)
    assert [operation.name for operation in model.operations] == names(to_keras(converted, "net.onnx").json)
    return model


def loaded_back(converted: ir.Model, folder: Path, custom_objects: dict[str, type] | None = None) -> keras.Model:
    """As `given_back`, where Keras adds operations of its own to those of the JSON: masks of a network of Keras 2."""
    network = to_keras(converted, "net.onnx")
    description = json.loads(network.json)
    for layer in description["config"]["layers"]:
        if layer["class_name"] in (custom_objects or {}):
            layer |= {"module": None, "registered_name": layer["class_name"]}
    model = keras.models.model_from_json(json.dumps(description), custom_objects=custom_objects)
    write_weights(
        folder / "back.weights.h5", initializer_weights(converted, "net.onnx"), Writing(network=network.layers)
    )
    model.load_weights(folder / "back.weights.h5")
    return model


def names(text: str) -> list[str]:
    """The names of the layers of a network's JSON."""
    return [layer["name"] for layer in json.loads(text)["config"]["layers"]]


def predictions(model: keras.Model, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    outputs = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    return [np.asarray(y.detach()) for y in (outputs if isinstance(outputs, list | tuple) else [outputs])]


def assert_predicts_the_same(
    back: keras.Model,
    outputs: Sequence[np.ndarray],
    inputs: Sequence[np.ndarray],
    tolerance: float = RELATIVE_TOLERANCE,
) -> None:
    """Nothing, if a model gives these outputs, to a part of the largest."""
    for output, want in zip(predictions(back, inputs), outputs, strict=True):
        assert output.shape == want.shape
        np.testing.assert_allclose(output, want, rtol=0, atol=tolerance * np.abs(want).max())


def layer_config(text: str, name: str) -> dict[str, Any]:
    """The class, the module and the config of a layer of a network's JSON, without its name."""
    (layer,) = (layer for layer in json.loads(text)["config"]["layers"] if layer["name"] == name)
    config = {key: value for key, value in layer["config"].items() if key != "name"}
    return {"class_name": layer["class_name"], "module": layer["module"], "config": config}
