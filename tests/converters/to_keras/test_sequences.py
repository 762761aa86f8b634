"""Networks of sequences given back to Keras: the first states as Keras 3 takes them, and what is refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest
from keras import layers as kl
from keras import ops

import converters
from converters.errors import ConversionError
from converters.to_keras import to_keras_json
from onnxgrid.transplant.files import fill_from_file
from tests.converters.keras_oracle import convert_keras, random_inputs, run_onnx
from tests.converters.keras_round_trip import assert_predicts_the_same, given_back, loaded_back

KERAS2 = Path(__file__).parents[1] / "data" / "keras2"
WEIGHTS_ALONE = "\n  Use the weights alone: --weights-out with a .safetensors, .npz or .pt file."


def refusal(model: ir.Model) -> str:
    with pytest.raises(ConversionError) as caught:
        to_keras_json(model)
    return str(caught.value)


def refusal_of(model: keras.Model, folder: Path) -> str:
    return refusal(convert_keras(model, folder))


def test_the_first_states_that_keras_2_lists_are_an_argument(tmp_path: Path) -> None:
    text = (KERAS2 / "sequences.json").read_text().replace('"hard_sigmoid"', '"sigmoid"')
    (tmp_path / "net.json").write_text(text)
    model = converters.convert(tmp_path / "net.json")
    fill_from_file(KERAS2 / "sequences.weights_legacy.h5", model, "net.onnx", strict=True)
    inputs = random_inputs([(7, 6), (5,), (5,)])
    back = given_back(model, tmp_path)
    assert_predicts_the_same(back, run_onnx(model, *inputs), inputs)
    first = next(layer for layer in json.loads(to_keras_json(model))["config"]["layers"] if layer["name"] == "first")
    (node,) = first["inbound_nodes"]
    assert len(node["args"]) == 1
    assert len(node["kwargs"]["initial_state"]) == 2


@pytest.mark.parametrize("inner", ["LSTM", "RNN"])
def test_the_hard_sigmoid_of_keras_2_is_refused_in_gates(inner: str, tmp_path: Path) -> None:
    """Keras 3 has none such, and what stands behind a layer elsewhere cannot stand behind a gate."""
    cell = {"units": 3, "recurrent_activation": "hard_sigmoid"}
    config = cell if inner == "LSTM" else {"cell": {"class_name": "LSTMCell", "config": cell}}
    network = {
        "class_name": "Sequential",
        "keras_version": "2.15.0",
        "config": {
            "name": "net",
            "layers": [
                {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 7, 6], "name": "x"}},
                {"class_name": inner, "config": {"name": "y", **config}},
            ],
        },
    }
    (tmp_path / "net.json").write_text(json.dumps(network))
    assert refusal(converters.convert(tmp_path / "net.json")) == (
        f"model 'net': layer 'y' ({inner}): cannot be given back: "
        'its "recurrent_activation" is the hard_sigmoid of Keras 2, which Keras 3 does not have' + WEIGHTS_ALONE
    )


def test_masks_that_keras_3_would_pass_on_otherwise_are_refused() -> None:
    assert refusal(converters.convert(KERAS2 / "masked.json")) == (
        "model 'model_2': layer 'embedding' (Embedding): cannot be given back: it masks steps, and the network is not "
        "one row of layers, without TimeDistributed, in which the masks of Keras 2 act in Keras 3 too" + WEIGHTS_ALONE
    )


def test_masks_of_keras_2_that_act_alike_come_back(tmp_path: Path) -> None:
    layers = [kl.Masking(), kl.Dropout(0.1), kl.Bidirectional(kl.LSTM(3, return_sequences=True)), kl.GRU(4)]
    model = keras.Sequential([keras.Input((7, 6)), *layers])

    def of_keras_2(network: dict[str, Any]) -> None:
        network["keras_version"] = "2.15.0"

    converted = convert_keras(model, tmp_path, of_keras_2)
    inputs = random_inputs([(7, 6)])
    inputs[0][1, 3:] = 0
    assert_predicts_the_same(loaded_back(converted, tmp_path), run_onnx(converted, *inputs), inputs)


def in_model(build: Callable[[Any], Any], *, words: bool = False) -> keras.Model:
    """A model of what `build` makes of each of four steps, in TimeDistributed."""
    shape: tuple[int, ...] = (7,) if words else (7, 6)
    inside, inputs = keras.Input(shape), keras.Input((4, *shape))
    return keras.Model(inputs, kl.TimeDistributed(keras.Model(inside, build(inside), name="step"), name="each")(inputs))


def test_an_operation_in_time_distributed_is_refused(tmp_path: Path) -> None:
    text = refusal_of(in_model(lambda x: ops.multiply(x, 2.0)), tmp_path)
    assert text.partition(" (keras.ops.Multiply): ")[2] == (
        "cannot be given back: the operation Multiply stands in TimeDistributed, which takes layers alone\n"
        "  Write the network without it, and convert again."
    )


def test_a_layer_of_several_inputs_in_time_distributed_is_refused(tmp_path: Path) -> None:
    text = refusal_of(in_model(lambda x: kl.Attention()([x, x])), tmp_path)
    assert text.partition(" (Attention): ")[2] == (
        "cannot be given back: it takes several inputs, and stands in TimeDistributed, which takes layers of one"
        + WEIGHTS_ALONE
    )


def test_a_mask_in_a_model_in_time_distributed_is_refused(tmp_path: Path) -> None:
    embedding = kl.Embedding(9, 3, mask_zero=True, name="words")
    text = refusal_of(in_model(lambda x: kl.LSTM(3)(embedding(x)), words=True), tmp_path)
    assert re.sub(r"not_equal\w*", "not_equal", text.partition(": ")[2]) == (
        "2 layers cannot be given back\n"
        "  layer 'each.words' (Embedding): cannot be given back: it masks steps within a model in TimeDistributed, "
        "whose layers are given back each in one of its own\n"
        "    Use the weights alone: --weights-out with a .safetensors, .npz or .pt file.\n"
        "  layer 'each.not_equal' (keras.ops.NotEqual): cannot be given back: "
        "the operation NotEqual stands in TimeDistributed, which takes layers alone\n"
        "    Write the network without it, and convert again.\n"
        "  Nothing was written."
    )


@pytest.mark.parametrize(
    "build",
    [
        lambda x: kl.Add()([x, kl.Dense(6)(x)]),
        lambda x: kl.Concatenate(axis=1)([x, x]),
        lambda x: kl.Concatenate()([x, kl.Dense(2)(x)]),
    ],
    ids=["a sum", "more steps", "more features"],
)
def test_layers_of_several_inputs_that_do_the_same_to_all_steps_come_back(
    build: Callable[[Any], Any], tmp_path: Path
) -> None:
    model = in_model(build)
    converted = convert_keras(model, tmp_path)
    inputs = [np.random.default_rng(0).standard_normal((2, 4, 7, 6)).astype(np.float32)]
    want = [np.asarray(model(inputs[0]).detach())]
    assert_predicts_the_same(given_back(converted, tmp_path), want, inputs)
