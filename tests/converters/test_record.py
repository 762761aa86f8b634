"""What a model keeps of its network: the same network again, through whatever changes weights alone, and no longer."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from keras import layers as kl

import converters
from converters.batchnorm_folding import fold_batch_normalization
from converters.errors import ConversionError
from converters.keras_json import read_network
from converters.layers.graph_builder import IoLayout
from converters.layers.opsets import MAX_OPSET, MIN_OPSET
from converters.network import Network
from converters.network_json import network_json
from converters.port_layout import PortLayout, layouts_of, state_layout
from converters.record import FOLDED_KEY, RECORD_DIGEST_KEY, RECORD_KEY, read_record, require_unchanged
from converters.weights.onnx import open_onnx
from onnxgrid import transplant
from tests.converters.keras_oracle import randomize
from tests.converters.test_nested import MODELS
from tests.converters.test_networks import NETWORKS
from tests.small_models import small_model

DATA = Path(__file__).parent / "data"

FILES = [
    *sorted((DATA / "keras2").glob("[mosuv]*.json")),
    *sorted((Path(__file__).parents[2] / "models").glob("digits_*.json")),
]


def described(network: Network) -> list[Any]:
    """A network without places, and without the configs, of which a record keeps a part."""
    layers = [
        (layer.name, layer.class_name, layer.trainable, layer.module, [call.inputs for call in layer.calls])
        for layer in network.layers
    ]
    return [network.name, network.keras_version, network.inputs, network.outputs, *layers]


def assert_kept(path: Path) -> None:
    recorded = read_record(converters.convert(path), "net.onnx")
    network = read_network(path)
    assert described(recorded) == described(network)
    inputs = {ref.layer for ref in network.inputs}
    for layer, kept in zip(network.layers, recorded.layers, strict=True):
        own = {key: value for key, value in kept.config.items() if key != "trainable"}
        if layer.name not in inputs:
            assert own.items() <= layer.config.items()
    configs = {layer.name: layer.config for layer in recorded.layers}
    assert network_json(recorded, configs) == converters.convert(path).metadata_props[RECORD_KEY]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_model_keeps_the_network_of_its_file(path: Path) -> None:
    assert_kept(path)


@pytest.mark.parametrize("build", [*NETWORKS.values(), *(build for build, _layers in MODELS.values())])
def test_a_model_keeps_a_network_of_keras(build: Callable[[], keras.Model], tmp_path: Path) -> None:
    (tmp_path / "net.json").write_text(build().to_json())
    assert_kept(tmp_path / "net.json")


def test_arguments_of_calls_are_kept(tmp_path: Path) -> None:
    x, y = keras.Input((4, 3), name="x"), keras.Input((4, 3), name="y")
    ends = [keras.ops.add(x, x2=y)[:, 1:, ..., None], x * np.array([1.0, 2.0, 3.0], np.float32)]
    (tmp_path / "net.json").write_text(keras.Model([x, y], ends).to_json())
    recorded = read_record(converters.convert(tmp_path / "net.json"), "net.onnx")
    before, after = (
        [(call.arguments, dict(call.keywords)) for layer in network.layers for call in layer.calls]
        for network in (read_network(tmp_path / "net.json"), recorded)
    )
    assert after == before


def image_network() -> keras.Model:
    inputs = keras.Input((8, 12, 3), name="x")
    x = kl.BatchNormalization(name="norm", scale=False)(kl.Conv2D(4, 3, padding="same", name="conv")(inputs))
    return keras.Model(inputs, kl.ReLU(max_value=2.0, name="relu")(x), name="net")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    (tmp_path / "net.json").write_text(image_network().to_json())
    return tmp_path / "net.json"


OPTIONS: dict[str, tuple[dict[str, Any], list[int | None]]] = {
    "none": ({}, [None, 8, 12, 3]),
    "another size": ({"input_shape": (3, 16, 24)}, [None, 16, 24, 3]),
    "another size, channels last": (
        {"input_shape": (3, 16, 24), "io_layout": IoLayout.CHANNELS_LAST},
        [None, 16, 24, 3],
    ),
    "open sizes": ({"dynamic_spatial": True}, [None, None, None, 3]),
    "the oldest opset": ({"opset": MIN_OPSET}, [None, 8, 12, 3]),
    "the newest opset": ({"opset": MAX_OPSET}, [None, 8, 12, 3]),
}


@pytest.mark.parametrize(("options", "shape"), OPTIONS.values(), ids=OPTIONS)
def test_the_json_has_the_shape_that_the_model_has(options: Any, shape: Any, network: Path) -> None:
    text = converters.to_keras_json(converters.convert(network, **options))
    assert json.loads(text)["config"]["layers"][0]["config"]["batch_shape"] == shape
    assert keras.models.model_from_json(text).input_shape == tuple(shape)


def test_a_graph_of_channels_first_comes_back_channels_first(tmp_path: Path) -> None:
    inputs = keras.Input((3, 8, 12), name="x")
    model = keras.Model(inputs, kl.Conv2D(4, 3, data_format="channels_first", name="conv")(inputs))
    (tmp_path / "net.json").write_text(model.to_json())
    back = keras.models.model_from_json(converters.to_keras_json(converters.convert(tmp_path / "net.json")))
    assert back.input_shape == (None, 3, 8, 12)


def test_new_weights_change_nothing(network: Path, tmp_path: Path) -> None:
    want = converters.to_keras_json(converters.convert(network))
    for seed, name in enumerate(("source.onnx", "target.onnx")):
        converters.save_model(converters.convert(network, seed=seed), tmp_path / name)
    transplant(tmp_path / "source.onnx", tmp_path / "target.onnx", tmp_path / "out.onnx", strict=True)
    onnx.save(onnx.load(tmp_path / "out.onnx"), tmp_path / "again.onnx")
    for name in ("target.onnx", "out.onnx", "again.onnx"):
        assert converters.to_keras_json(tmp_path / name) == want
        assert converters.to_keras_json(open_onnx(tmp_path / name)) == want
        model = open_onnx(tmp_path / name)
        assert layouts_of([*model.graph.inputs, *model.graph.outputs]) == [PortLayout.CHANNELS_FIRST] * 2


AGAIN = (
    "  Convert the network again, carry the weights over with onnxgrid transplant, "
    "and give back the model that results."
)
CHANGED = (
    "net.onnx: its graph, or the network in its metadata, was changed after the conversion by more than new weights, "
    "so that they may no longer belong together\n" + AGAIN
)


def change_an_attribute(model: ir.Model) -> None:
    next(node for node in model.graph if node.op_type == "Conv").attributes["pads"] = ir.AttrInt64s("pads", [0] * 4)


def change_a_constant(model: ir.Model) -> None:
    model.graph.initializers["relu/max"].const_value = ir.Tensor(np.array(3.0, np.float32))


def change_what_is_never_trained(model: ir.Model) -> None:
    model.graph.initializers["norm.weight"].const_value = ir.Tensor(np.full(4, 2.0, np.float32))


def change_an_input(model: ir.Model) -> None:
    model.graph.inputs[0].shape = ir.Shape(["N", 3, 8, 16])


def change_an_order_of_axes(model: ir.Model) -> None:
    state_layout(model.graph.outputs[0], PortLayout.KERAS)


def remove_a_layer(model: ir.Model) -> None:
    node = next(node for node in model.graph if node.op_type == "BatchNormalization")
    node.outputs[0].replace_all_uses_with(node.inputs[0])


def change_the_network(model: ir.Model) -> None:
    model.metadata_props[RECORD_KEY] = model.metadata_props[RECORD_KEY].replace('"ReLU"', '"Softmax"')


def remove_the_digest(model: ir.Model) -> None:
    del model.metadata_props[RECORD_DIGEST_KEY]


def change_the_opset(model: ir.Model) -> None:
    model.graph.opset_imports[""] = 20


CHANGES = [
    change_the_opset,
    change_an_attribute,
    change_a_constant,
    change_what_is_never_trained,
    change_an_input,
    change_an_order_of_axes,
    remove_a_layer,
    change_the_network,
    remove_the_digest,
]


def refusal(model: ir.Model) -> str:
    from converters.to_keras import to_keras

    with pytest.raises(ConversionError) as error:
        to_keras(model, "net.onnx")
    return str(error.value)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_model_that_was_changed_is_refused(change: Callable[[ir.Model], None], network: Path) -> None:
    model = converters.convert(network)
    change(model)
    assert refusal(model) == CHANGED


def test_parameters_that_are_not_those_of_the_network_are_named(network: Path) -> None:
    model = converters.convert(network)
    initializers = model.graph.initializers
    initializers["conv.weight"].const_value = ir.Tensor(np.zeros((2, 3, 3, 3), np.float32))
    initializers["conv.bias"].name = "conv.shift"
    assert refusal(model) == (
        "net.onnx: its parameters are no longer those of the network that it was converted from\n"
        "  parameter conv.weight: shape (2, 3, 3, 3), and (4, 3, 3, 3) in its network\n"
        "  parameter conv.bias: not found\n"
        "  parameter conv.shift: not one of its network\n" + AGAIN
    )


def test_a_folded_model_is_refused(network: Path) -> None:
    randomize(image_network())
    model = converters.convert(network)
    assert fold_batch_normalization(model) == 1
    assert set(model.metadata_props) == {"onnxgrid.network", FOLDED_KEY}
    assert refusal(model) == (
        "net.onnx: its normalizations were folded into other layers, "
        "so that it is no longer the graph of its network\n"
        "  Give the model that was converted without --fold-batchnorm."
    )


def test_a_model_in_which_there_was_nothing_to_fold_is_given_back(tmp_path: Path) -> None:
    inputs = keras.Input((4,), name="x")
    (tmp_path / "net.json").write_text(keras.Model(inputs, kl.Dense(3)(inputs)).to_json())
    model = converters.convert(tmp_path / "net.json")
    assert fold_batch_normalization(model) == 0
    require_unchanged(model, "net.onnx")


def test_a_model_that_was_not_converted_is_refused() -> None:
    model = small_model({"conv.weight": np.zeros((2, 2, 1, 1), np.float32)})
    assert refusal(model) == (
        "net.onnx: keeps no network in its metadata ('onnxgrid.network_json'): "
        "an earlier onnxgrid wrote it, or it was lost since\n" + AGAIN
    )
    model.metadata_props.clear()
    assert refusal(model) == (
        "net.onnx: was not converted from a network of Keras, so there is none to give back\n"
        "  Give a model that onnxgrid convert wrote from a network."
    )


PLACE = "net.onnx, metadata 'onnxgrid.network_json'"

DAMAGED = {
    "no JSON": ('{"class_name"', f"{PLACE}:1:14: is damaged (the file ends in the middle of a value"),
    "nothing": ("", f"{PLACE}: is damaged (the file is empty)"),
    "no network": ("{}", f"{PLACE}:1:1: is damaged (a network without a list of layers)"),
    "a layer without a class": ('[{"name": "a"}]', f'{PLACE}:1:2: is damaged (a layer without "class_name")'),
}


@pytest.mark.parametrize(("text", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_network_is_refused(text: str, message: str, network: Path) -> None:
    model = converters.convert(network)
    model.metadata_props[RECORD_KEY] = text
    told = refusal(model)
    assert told.startswith(message)
    assert told.endswith(AGAIN)


def test_a_network_that_cannot_be_converted_is_refused(network: Path) -> None:
    model = converters.convert(network)
    model.metadata_props[RECORD_KEY] = model.metadata_props[RECORD_KEY].replace('"filters":4', '"filters":"four"')
    assert refusal(model) == (
        "net.onnx: its metadata hold a network that cannot be converted "
        '(layer \'conv\' (Conv2D): "filters" is "four", which is not allowed here)\n' + AGAIN
    )


def test_keeping_the_network_says_nothing_twice(network: Path, caplog: pytest.LogCaptureFixture) -> None:
    description = json.loads(network.read_text())
    description["config"]["layers"][1]["config"]["unheard_of"] = 1
    network.write_text(json.dumps(description))
    with caplog.at_level(logging.WARNING):
        converters.to_keras_json(converters.convert(network))
    assert len(caplog.records) == 1
