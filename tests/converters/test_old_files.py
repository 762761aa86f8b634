"""Forms that files of TensorFlow 2.0 to 2.9 and packages of their time have: each converts as the plain form does."""

import copy
import json
from pathlib import Path
from typing import Any

import keras
import onnx_ir as ir
import pytest

import converters
from converters.record import RECORD_DIGEST_KEY, RECORD_KEY

ZEROS = {"class_name": "Zeros", "config": {}}
UNIFORM = {"class_name": "VarianceScaling", "config": {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform"}}


def layer(class_name: str, name: str, source: str | None, **config: Any) -> dict[str, Any]:
    called = [] if source is None else [[[source, 0, 0, {}]]]
    return {"class_name": class_name, "name": name, "config": {"name": name, **config}, "inbound_nodes": called}


PLAIN: dict[str, Any] = {
    "class_name": "Functional",
    "keras_version": "2.4.0",
    "backend": "tensorflow",
    "config": {
        "name": "net",
        "layers": [
            layer("InputLayer", "x", None, batch_input_shape=[None, 8, 12, 3], dtype="float32", sparse=False),
            layer("Conv2D", "conv", "x", filters=4, kernel_size=[3, 5], dilation_rate=[2, 1], activation="swish"),
            layer("BatchNormalization", "norm", "conv", axis=[3], gamma_initializer="ones"),
            layer("ZeroPadding2D", "pad", "norm", padding=[[1, 0], [0, 2]]),
            layer("Dropout", "drop", "pad", rate=0.2, noise_shape=[None, 1, 1, 1]),
            layer("Reshape", "rows", "drop", target_shape=[-1, 4]),
            layer("Dense", "dense", "rows", units=3, kernel_initializer="glorot_uniform", bias_initializer="zeros"),
        ],
        "input_layers": [["x", 0, 0]],
        "output_layers": [["dense", 0, 0]],
    },
}


def wrapped(class_name: str, *items: Any) -> dict[str, Any]:
    return {"class_name": class_name, "items": list(items)}


CHANGES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "tuples in objects": [
        ("conv", {"kernel_size": wrapped("__tuple__", 3, 5), "dilation_rate": wrapped("__tuple__", 2, 1)}),
        ("pad", {"padding": wrapped("__tuple__", wrapped("__tuple__", 1, 0), wrapped("__tuple__", 0, 2))}),
        ("rows", {"target_shape": wrapped("__tuple__", -1, 4)}),
        ("drop", {"noise_shape": wrapped("__tuple__", None, 1, 1, 1)}),
    ],
    "lists in objects": [("norm", {"axis": wrapped("ListWrapper", 3)})],
    "shapes in objects": [("x", {"batch_input_shape": wrapped("TensorShape", None, 8, 12, 3)})],
    "a policy of data types": [("conv", {"dtype": {"class_name": "Policy", "config": {"name": "float32"}}})],
    "a policy of TensorFlow 2.1 to 2.3": [
        ("conv", {"dtype": {"class_name": "PolicyV1", "config": {"name": "float32", "loss_scale": None}}})
    ],
    "initializers as functions": [
        (
            "dense",
            {"kernel_initializer": {"class_name": "glorot_uniform", "config": {"seed": None, "dtype": "float32"}}},
        )
    ],
    "initializers of Keras 2.1": [("dense", {"kernel_initializer": UNIFORM, "bias_initializer": ZEROS})],
    "an activation as a function": [("conv", {"activation": {"class_name": "function", "config": "swish"}})],
}


def changed(changes: list[tuple[str, dict[str, Any]]]) -> Any:
    network = copy.deepcopy(PLAIN)
    for name, config in changes:
        (found,) = [layer for layer in network["config"]["layers"] if layer["name"] == name]
        found["config"] |= config
    return network


def converted(network: Any, folder: Path) -> bytes:
    """The bytes of the model, without the network that it keeps, which is as the file writes it."""
    (folder / "net.json").write_text(json.dumps(network))
    model = converters.convert(folder / "net.json")
    del model.metadata_props[RECORD_KEY], model.metadata_props[RECORD_DIGEST_KEY]
    data: bytes = ir.to_proto(model).SerializeToString()
    return data


def given_back(network: Any, folder: Path) -> Any:
    (folder / "net.json").write_text(json.dumps(network))
    return json.loads(converters.to_keras_json(converters.convert(folder / "net.json")))


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_another_form_is_given_back_as_a_network_that_keras_loads(
    changes: list[tuple[str, dict[str, Any]]], tmp_path: Path
) -> None:
    description = given_back(changed(changes), tmp_path)
    layers, plain = (
        {layer["name"]: layer["class_name"] for layer in described["config"]["layers"]}
        for described in (description, given_back(PLAIN, tmp_path))
    )
    assert layers == plain
    keras.models.model_from_json(json.dumps(description))


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_another_form_gives_the_same_bytes(changes: list[tuple[str, dict[str, Any]]], tmp_path: Path) -> None:
    assert converted(changed(changes), tmp_path) == converted(PLAIN, tmp_path)


@pytest.mark.parametrize("version", ["2.1.5", "2.2.4-tf", "2.3.0-tf", "2.9.0"])
def test_a_model_of_each_version_gives_the_same_bytes(version: str, tmp_path: Path) -> None:
    network = PLAIN | {"class_name": "Model", "keras_version": version}
    assert converted(network, tmp_path) == converted(PLAIN, tmp_path)
