"""Which Keras wrote a file: what says so, and which of two that disagree is believed. `hard_sigmoid` tells the two."""

import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers as kl

import converters
from converters.json_text import parse_json
from converters.keras_json import network_from_json
from converters.keras_version import major_version

SLOPES = {2: 0.2, 3: pytest.approx(1 / 6)}
"""Major version -> the slope of `hard_sigmoid` in its middle."""

DTYPE_POLICY = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": None}


def network(model: dict[str, Any] | None = None, layer: dict[str, Any] | None = None, **config: Any) -> Any:
    """A network of one `hard_sigmoid`; `model` and `layer` are what stands around the layers, and around the config."""
    layers = [
        {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 4], "dtype": "float32"}},
        {"class_name": "Activation", "config": {"name": "a", "activation": "hard_sigmoid", **config}, **(layer or {})},
    ]
    return layers if model is None else {"class_name": "Sequential", "config": {"layers": layers}, **model}


def named_as_in_keras_2(file: Any) -> Any:
    """A file whose input's shape is called as in Keras 2."""
    return json.loads(json.dumps(file).replace('"batch_shape"', '"batch_input_shape"'))


IN_KERAS_3 = {"module": "keras.layers", "registered_name": None}

FILES: dict[str, tuple[Any, int]] = {
    "the version, 2": (network({"keras_version": "2.15.0", "backend": "tensorflow"}), 2),
    "the version, of TensorFlow's own Keras": (network({"keras_version": "2.2.4-tf"}), 2),
    "the version, 1": (network({"keras_version": "1.2.2"}), 2),
    "the version, 3": (network({"keras_version": "3.5.0"}), 3),
    "the version, not the layers' modules, which Keras 2.13 writes too": (
        network({"keras_version": "2.13.1"}, IN_KERAS_3),
        2,
    ),
    "the version, not the type's form, as Keras 3.0 still gave a name": (
        network({"keras_version": "3.0.5"}, dtype="float32"),
        3,
    ),
    "the model's module, of Keras 2": (network({"module": "keras.src.engine.sequential"}, IN_KERAS_3), 2),
    "the model's module, of Keras 2.12": (network({"module": "keras.engine.sequential"}, IN_KERAS_3), 2),
    "the model's module, of Keras 3": (network({"module": "keras.src.models.sequential"}, dtype="float32"), 3),
    "the model's module, which says nothing": (network({"module": "keras"}, dtype="float32"), 2),
    "a layer's module": (network({}, {"module": "keras.layers"}, dtype="float32"), 3),
    "a layer's registered name": (network({}, {"registered_name": None}, dtype="float32"), 3),
    "the type as a name": (network({}, dtype="float32"), 2),
    "the type as an object": (network({}, dtype=DTYPE_POLICY), 3),
    "the type of the input alone, which both write alike": (network({}), 3),
    "nothing in a bare list": (network(), 3),
    "the type in a bare list": (network(dtype="float32"), 2),
    "the name of the input's shape": (named_as_in_keras_2(network({})), 2),
    "the name of the input's shape, though layers say where they live": (
        named_as_in_keras_2(network({}, IN_KERAS_3)),
        2,
    ),
    "the name of the input's shape in a bare list": (named_as_in_keras_2(network()), 2),
    "the type as an object, though the input's shape was renamed": (
        named_as_in_keras_2(network({}, IN_KERAS_3, dtype=DTYPE_POLICY)),
        3,
    ),
    "the version beside a model of TensorFlow.js": (
        {"modelTopology": {"keras_version": "2.15.0", "model_config": network({}, IN_KERAS_3)}},
        2,
    ),
    "the version in a model of TensorFlow.js": ({"modelTopology": network({"keras_version": "2.15.0"})}, 2),
    "no version": (network({"keras_version": None}, dtype="float32"), 2),
    "a version that is none": (network({"keras_version": "tensorflow"}, dtype="float32"), 2),
    "a version of digits without end": (network({"keras_version": "2" * 5000}, dtype="float32"), 2),
}


def slope(path: Path) -> float:
    (node,) = converters.convert(path).graph
    assert node.op_type == "HardSigmoid"
    return node.attributes["alpha"].as_float()


@pytest.mark.parametrize(("file", "version"), FILES.values(), ids=FILES)
def test_the_version_is_found_in(file: Any, version: int, tmp_path: Path) -> None:
    (tmp_path / "net.json").write_text(json.dumps(file))
    assert slope(tmp_path / "net.json") == SLOPES[version]


def test_a_model_within_a_model_was_written_by_the_same_keras() -> None:
    inner = network({"name": "inner"}, IN_KERAS_3)
    outer = {"class_name": "Sequential", "keras_version": "2.13.1", "config": {"layers": [inner]}}
    assert network_from_json(parse_json(json.dumps(outer), "net.json"), "net.json").keras_version == 2


@pytest.mark.parametrize(
    ("metadata", "version"),
    [
        ('{"keras_version": "2.15.0"}', 2),
        ('{"keras_version": "3.5.0"}', 3),
        ("{}", 3),
        ("[]", 3),
        ("{", 3),
        ("[" * 100_000, 3),
        (None, 3),
        (" " * 2**17, 3),
    ],
)
def test_an_archive_says_it_beside_the_network(metadata: str | None, version: int, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as file:
        file.writestr("config.json", json.dumps(network({}, IN_KERAS_3)))
        if metadata is not None:
            file.writestr("metadata.json", metadata)
    assert slope(tmp_path / "net.keras") == SLOPES[version]


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of torch, while Keras saves
def test_keras_itself_writes_keras_3(tmp_path: Path) -> None:
    inputs = keras.Input((4,), name="x")
    model = keras.Model(inputs, kl.Activation("hard_sigmoid")(inputs))
    (tmp_path / "net.json").write_text(model.to_json())
    model.save(tmp_path / "net.keras")
    assert slope(tmp_path / "net.json") == slope(tmp_path / "net.keras") == SLOPES[3]


def test_a_file_that_keras_2_wrote_is_one() -> None:
    text = (Path(__file__).parent / "data" / "keras2_sequential.json").read_text()
    assert network_from_json(parse_json(text, "net.json"), "net.json").keras_version == 2


def test_a_version_begins_with_a_number() -> None:
    assert [major_version(text) for text in ("3", "3.1", "2.2.4-tf", "3a", "", None, 3)] == [3, 3, 2, *[None] * 4]
