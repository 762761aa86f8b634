"""Calls that ask for what a layer does in training: told of where Keras 2 heeds them, without effect in Keras 3."""

import json
from pathlib import Path
from typing import Any

import keras
import onnx_ir as ir
import pytest
from keras import layers as kl

import converters
from converters.to_keras import to_keras_json
from tests.converters.keras_oracle import assert_equals_keras

BY_BATCH = "normalizes by the statistics of each batch"
AT_RANDOM = "changes values at random"


def network(layers: list[dict[str, Any]], keras_version: str = "2.15.0") -> dict[str, Any]:
    inputs = {"class_name": "InputLayer", "config": {"name": "x", "batch_input_shape": [None, 7, 6]}}
    return {
        "class_name": "Functional",
        "keras_version": keras_version,
        "config": {
            "name": "net",
            "layers": [{**inputs, "inbound_nodes": []}, *layers],
            "input_layers": [["x", 0, 0]],
            "output_layers": [[layers[-1]["config"]["name"], 0, 0]],
        },
    }


def called(class_name: str, training: Any = True, **config: Any) -> dict[str, Any]:
    arguments = {} if training is None else {"training": training}
    nodes = [[["x", 0, 0, arguments]]]
    return {"class_name": class_name, "config": {"name": "y", **config}, "inbound_nodes": nodes}


def model_of(*layers: dict[str, Any], training: Any) -> dict[str, Any]:
    first = {"class_name": "InputLayer", "config": {"name": "i", "batch_input_shape": [None, 7, 6]}}
    return called("Sequential", training, layers=[first, *layers])


def inner(class_name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": {"name": "inner", **config}}


NORM = inner("BatchNormalization")
DROPPING = inner("LSTM", units=3, dropout=0.1)

HEEDED: dict[str, tuple[dict[str, Any], str, str]] = {
    "batch statistics": (called("BatchNormalization"), "'y' (BatchNormalization)", BY_BATCH),
    "a number for true": (called("BatchNormalization", 1), "'y' (BatchNormalization)", BY_BATCH),
    "dropout": (called("Dropout", rate=0.5), "'y' (Dropout)", AT_RANDOM),
    "dropout of channels": (called("SpatialDropout1D", rate=0.5), "'y' (SpatialDropout1D)", AT_RANDOM),
    "noise": (called("GaussianNoise", stddev=0.5), "'y' (GaussianNoise)", AT_RANDOM),
    "noise that multiplies": (called("GaussianDropout", rate=0.5), "'y' (GaussianDropout)", AT_RANDOM),
    "augmentation": (called("RandomFlip"), "'y' (RandomFlip)", AT_RANDOM),
    "dropout of a cell": (called("GRU", units=3, recurrent_dropout=0.5), "'y' (GRU)", AT_RANDOM),
    "dropout both ways": (called("Bidirectional", layer=DROPPING), "'y' (Bidirectional)", AT_RANDOM),
    "on each step": (called("TimeDistributed", layer=NORM), "'y' (BatchNormalization)", BY_BATCH),
    "a model that holds one": (model_of(NORM, training=True), "'y.inner' (BatchNormalization)", BY_BATCH),
}


@pytest.mark.parametrize(("layer", "who", "effect"), HEEDED.values(), ids=HEEDED)
def test_what_keras_2_does_in_training_is_told(
    layer: dict[str, Any], who: str, effect: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "net.json"
    path.write_text(json.dumps(network([layer])))
    model = converters.convert(path)
    (message,) = [message for message in caplog.messages if '"training"' in message]
    assert message.partition(": ")[2] == (
        f'layer {who}: is called with "training": true, itself or with a model that holds it, and Keras 2 {effect} '
        "then, also when it predicts; the model predicts without that, as Keras 3 does"
    )
    without = json.loads(
        path.read_text().replace('"training": true', '"training": false').replace('"training": 1', '"training": 0')
    )
    path.write_text(json.dumps(without))
    assert ir.to_proto(model).graph.node == ir.to_proto(converters.convert(path)).graph.node


ACCEPTED = {
    "not in training": called("BatchNormalization", training=False),
    "nothing said": called("BatchNormalization", training=None),
    "frozen, which Keras 2 never normalizes by the batch": called("BatchNormalization", trainable=False),
    "nothing to drop": called("Dropout", rate=0.0),
    "a cell that drops nothing": called("LSTM", units=3, dropout=0.0),
    "a model that says otherwise of its layer": model_of(
        {**NORM, "inbound_nodes": [[["i", 0, 0, {"training": False}]]]}, training=True
    ),
    "a model not in training": model_of(NORM, training=False),
}


@pytest.mark.parametrize("layer", ACCEPTED.values(), ids=ACCEPTED)
def test_what_does_the_same_in_training_converts_without_a_word(
    layer: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "net.json"
    path.write_text(json.dumps(network([layer])))
    given_back = json.loads(to_keras_json(converters.convert(path)))
    assert '"training"' not in json.dumps(given_back) + caplog.text


def test_keras_3_predicts_without_it(tmp_path: Path) -> None:
    inputs = keras.Input((7, 6))
    inner_input = keras.Input((7, 6))
    model = keras.Model(inner_input, kl.BatchNormalization()(inner_input))
    x = kl.Dropout(0.5)(kl.BatchNormalization()(inputs, training=True), training=True)
    converted = assert_equals_keras(keras.Model(inputs, model(x, training=True)), tmp_path)
    assert '"training"' not in to_keras_json(converted)
