"""The check of a converted model: that it passes what is right, and does not pass what is wrong."""

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

import converters
from converters.batchnorm_folding import fold_batch_normalization
from converters.layers.graph_builder import IoLayout
from converters.port_layout import PortLayout, state_layout
from converters.record import RECORD_DIGEST_KEY
from onnxgrid.check import CheckReport, check_model
from onnxgrid.errors import WorkFailed


@pytest.fixture
def network(tmp_path: Path) -> Path:
    inputs = keras.Input((8, 11, 3), name="x")
    x = kl.DepthwiseConv2D(3, depth_multiplier=2, name="depth")(inputs)
    x = kl.BatchNormalization(name="norm")(kl.Conv2D(4, 3, padding="same", name="conv")(x))
    path = tmp_path / "net.json"
    path.write_text(keras.Model(inputs, kl.Dense(5, name="head")(x)).to_json())
    return path


def test_a_right_model_equals_keras(network: Path) -> None:
    report = check_model(converters.convert(network), network)
    assert report.reason == ""
    assert report.difference is not None
    assert report.difference < 1e-5
    assert report.lines()[0].startswith("check: runs in ONNX Runtime ")
    assert report.lines()[1] == f"check: equals Keras to {report.difference:.1e} of the largest output"


def set_values(model: ir.Model, name: str, value: float) -> None:
    initializer = model.graph.initializers[name]
    assert initializer.const_value is not None
    values = np.full(initializer.const_value.shape.numpy(), value, np.float32)
    initializer.const_value = ir.Tensor(values, name=name)


def test_numbers_that_are_not_finite_fail(network: Path) -> None:
    model = converters.convert(network)
    set_values(model, "head.bias", float("inf"))
    with pytest.raises(WorkFailed) as error:
        check_model(model, network)
    assert str(error.value) == (
        "the check failed: output 'head' holds numbers that are not finite\n"
        "  Check the weights; with untrained ones, another --seed may do."
    )


def test_another_network_fails(network: Path) -> None:
    model = converters.convert(network)
    description = json.loads(network.read_text())
    (conv,) = (layer for layer in description["config"]["layers"] if layer["class_name"] == "Conv2D")
    conv["config"]["activation"] = "relu"
    network.write_text(json.dumps(description))
    with pytest.raises(WorkFailed, match="the check failed: the model differs from Keras on torch by"):
        check_model(model, network)


def cube(folder: Path, io_layout: IoLayout) -> tuple[ir.Model, Path]:
    """A network whose inputs and outputs have the same sizes whichever way their axes lie."""
    x = keras.Input((4, 4, 4), name="x")
    (folder / "cube.json").write_text(keras.Model(x, kl.Conv2D(4, 3, padding="same", name="conv")(x)).to_json())
    return converters.convert(folder / "cube.json", io_layout=io_layout), folder / "cube.json"


@pytest.mark.parametrize("io_layout", IoLayout)
def test_axes_of_equal_sizes_are_compared_as_the_model_states_them(io_layout: IoLayout, tmp_path: Path) -> None:
    model, path = cube(tmp_path, io_layout)
    report = check_model(model, path)
    assert report.difference is not None
    assert report.difference < 1e-5


SWAPPED = {IoLayout.CHANNELS_FIRST: PortLayout.KERAS, IoLayout.CHANNELS_LAST: PortLayout.CHANNELS_FIRST}


@pytest.mark.parametrize("end", ["input", "output"])
@pytest.mark.parametrize("io_layout", IoLayout)
def test_an_order_of_axes_that_is_stated_wrongly_fails_though_the_sizes_agree(
    io_layout: IoLayout, end: str, tmp_path: Path
) -> None:
    model, path = cube(tmp_path, io_layout)
    state_layout((model.graph.inputs if end == "input" else model.graph.outputs)[0], SWAPPED[io_layout])
    with pytest.raises(WorkFailed, match="the check failed: the model differs from Keras on torch by"):
        check_model(model, path)


REPORT = "  Please report it with the network's JSON: a converted network should equal Keras to 1e-5."


def test_a_weight_that_keras_has_and_the_model_lacks_fails(network: Path) -> None:
    model = converters.convert(network)
    model.graph.initializers["conv.bias"].name = "conv.shift"
    with pytest.raises(WorkFailed) as error:
        check_model(model, network)
    assert str(error.value) == (
        "the check failed: Keras' variable 'conv/bias' has no counterpart among the model's initializers\n" + REPORT
    )


def test_a_weight_of_another_shape_than_keras_has_fails(network: Path) -> None:
    model = converters.convert(network)
    model.graph.initializers["head.bias"].const_value = ir.Tensor(np.zeros(3, np.float32), name="head.bias")
    with pytest.raises(WorkFailed) as error:
        check_model(model, network)
    assert str(error.value) == (
        "the check failed: Keras' variable 'head/bias' has the shape (5,), and what the model has for it (3,) in "
        "Keras' order\n" + REPORT
    )


def test_an_output_of_another_shape_than_keras_gives_fails(network: Path) -> None:
    model = converters.convert(network)
    state_layout(model.graph.outputs[0], PortLayout.KERAS)
    with pytest.raises(WorkFailed) as error:
        check_model(model, network)
    assert str(error.value) == (
        "the check failed: output 'head' has the shape (2, 5, 6, 9) in Keras' order, and Keras gives (2, 6, 9, 5)\n"
        + REPORT
    )


def test_layers_of_a_model_within_that_no_output_depends_on_need_no_weights(tmp_path: Path) -> None:
    inside, x = keras.Input((5,)), keras.Input((5,))
    both = keras.Model(
        inside, [kl.Dense(3, name="taken")(inside), kl.Dense(4, name="passed_over")(inside)], name="both"
    )
    report = compared(keras.Model(x, both(x)[0]), tmp_path)
    assert not report.given_back
    assert report.difference is not None
    assert report.difference < 1e-5


UNREADABLE: dict[str, Any] = {"from the standard input": None, "not a network that Keras knows": []}


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_keras_cannot_load_is_given_back_to_it(text: Any, network: Path) -> None:
    model = converters.convert(network)
    if text is not None:
        network.write_text(json.dumps(text))
    report = check_model(model, None if text is None else network)
    assert report.given_back
    assert report.difference is not None
    assert report.difference < 1e-5
    assert report.lines()[1] == (
        f"check: equals Keras, with the network as it is given back to it, to {report.difference:.1e} "
        "of the largest output"
    )


@pytest.mark.parametrize("io_layout", IoLayout)
def test_a_model_of_another_size_than_the_file_s_is_compared_at_its_own(io_layout: IoLayout, network: Path) -> None:
    model = converters.convert(network, input_shape=(3, 10, 14), io_layout=io_layout)
    report = check_model(model, network)
    assert report.given_back
    assert report.difference is not None
    assert report.difference < 1e-5


def logistic_map(steps: int) -> keras.Model:
    """4 y (1 - y) again and again, which doubles small differences each time."""
    x = keras.Input((64,))
    y = keras.layers.Activation("sigmoid")(keras.layers.Rescaling(1.0)(x))
    for _ in range(steps):
        y = 4 * y * (1 - y)
    return keras.Model(x, y)


def test_a_network_that_magnifies_rounding_is_not_said_to_be_wrong(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    text = logistic_map(60).to_json()
    path.write_text(text)
    model = converters.convert(path)
    assert text.count('"scale": 1.0') == 1
    path.write_text(text.replace('"scale": 1.0', '"scale": 1.000001'))
    report = check_model(model, path)
    assert report.difference is None
    assert re.fullmatch(
        r"with these weights the network magnifies rounding: inputs that change by 4\.8e-07 of themselves "
        r"change its outputs by \d\.\de[+-]0\d of the largest",
        report.reason,
    )


def test_integers_that_become_others_are_no_rounding(tmp_path: Path) -> None:
    """A network that tells 3 from 4 differs from one that tells 2 from 3, however much both jump."""
    path = tmp_path / "net.json"
    x = keras.Input((64,), dtype="int32")
    text = keras.Model(x, keras.ops.cast(keras.ops.equal(x, 3), "float32")).to_json()
    path.write_text(text)
    model = converters.convert(path)
    assert check_model(model, path).difference == 0
    assert text.count('"args": [3]') + text.count(", 3]") >= 1
    path.write_text(text.replace(", 3]", ", 2]"))
    with pytest.raises(WorkFailed, match="the check failed: the model differs from Keras"):
        check_model(model, path)


def pooled(window: int) -> keras.Model:
    """Images of open size, of which a window of so many cells leaves nothing where they are smaller."""
    x = keras.Input((None, None, 1))
    y = keras.layers.AveragePooling2D(window)(x)
    return keras.Model(x, keras.layers.GlobalAveragePooling2D()(y))


def test_open_sizes_are_such_that_something_is_left(tmp_path: Path) -> None:
    report = compared(pooled(100), tmp_path)
    assert report.difference is not None
    assert report.difference < 1e-5


def test_a_network_of_which_no_size_leaves_anything_fails(tmp_path: Path) -> None:
    with pytest.raises(WorkFailed) as failed:
        compared(pooled(300), tmp_path)
    assert str(failed.value) == (
        "the check failed: of images of the sizes 64, 32, 16, 8, 256, a layer leaves nothing\n"
        "  Convert it for the size that it is made for: --input-shape."
    )


def compared(model: keras.Model, folder: Path) -> CheckReport:
    path = folder / "net.json"
    path.write_text(model.to_json())
    return check_model(converters.convert(path), path)


def whole_numbers() -> keras.Model:
    x = keras.Input((4,), dtype="int32")
    return keras.Model(x, [x // 3, x * 2 + 1])


def truth_values() -> keras.Model:
    x, chosen = keras.Input((7, 5)), keras.Input((7, 1), dtype="bool")
    return keras.Model([x, chosen], [x > 0, keras.ops.where(chosen, x, 0.0)])


def states_of_states() -> keras.Model:
    x = keras.Input((7, 5))
    return keras.Model(x, kl.RNN([kl.LSTMCell(4), kl.GRUCell(3)], return_state=True)(x))


def a_table_of_thirty_positions() -> keras.Model:
    words = keras.Input((None,))
    positions = keras.ops.cumsum(keras.ops.ones_like(words), axis=1) - 1
    return keras.Model(words, kl.Embedding(20, 4)(words) + kl.Embedding(30, 4)(positions))


def a_sequential() -> keras.Model:
    return keras.Sequential([keras.Input((5,)), kl.Dense(3)])


NETWORKS = (a_sequential, whole_numbers, truth_values, states_of_states, a_table_of_thirty_positions)


@pytest.mark.parametrize("network_of", NETWORKS)
def test_a_network_is_compared_whatever_goes_in_and_comes_out(
    network_of: Callable[[], keras.Model], tmp_path: Path
) -> None:
    report = compared(network_of(), tmp_path)
    assert report.reason == ""
    assert report.difference is not None
    assert report.difference < 1e-5


def test_half_precision_in_keras_is_compared_as_such(tmp_path: Path) -> None:
    x = keras.Input((8, 8, 3))
    y = kl.Conv2D(4, 3, dtype="mixed_float16", name="conv")(x)
    report = compared(keras.Model(x, kl.GlobalAveragePooling2D(dtype="mixed_float16")(y)), tmp_path)
    assert report.difference is not None
    assert 0 < report.difference < 0.02


def test_a_network_that_keras_cannot_run_is_said_to_be_so(tmp_path: Path) -> None:
    x = keras.Input((7, 3))
    report = compared(keras.Model(x, x[..., ::-1] * 2), tmp_path)
    assert report.reason == "Keras on torch cannot run the network (step must be greater than zero)"


def test_a_network_with_channels_first_in_keras_is_compared(tmp_path: Path) -> None:
    inputs = keras.Input((3, 8, 11))
    x = kl.Conv2D(4, 3, data_format="channels_first")(inputs)
    x = kl.GlobalAveragePooling2D(data_format="channels_first")(kl.BatchNormalization(axis=1)(x))
    path = tmp_path / "first.json"
    path.write_text(keras.Model(inputs, kl.Dense(5)(x)).to_json())
    report = check_model(converters.convert(path), path)
    assert not report.given_back
    assert report.difference is not None
    assert report.difference < 1e-5


def test_a_file_with_an_input_that_nothing_takes_is_compared(tmp_path: Path) -> None:
    x, unused = keras.Input((5,), name="x"), keras.Input((4,), name="unused")
    (tmp_path / "net.json").write_text(keras.Model([x, unused], kl.Dense(3)(x)).to_json())
    report = check_model(converters.convert(tmp_path / "net.json"), tmp_path / "net.json")
    assert report.given_back
    assert report.difference is not None


def test_open_sizes_are_compared_at_those_of_the_file(network: Path) -> None:
    report = check_model(converters.convert(network, dynamic_spatial=True), network)
    assert not report.given_back
    assert report.difference is not None


@pytest.mark.parametrize("name", ["keras2/unet", "keras2/operations"])
def test_a_file_of_keras_2_is_compared(name: str) -> None:
    path = Path(__file__).parents[1] / "converters" / "data" / f"{name}.json"
    report = check_model(converters.convert(path), path)
    assert report.given_back
    assert report.difference is not None
    assert report.difference < 1e-5


def folded(model: ir.Model) -> ir.Model:
    copy = model.clone()
    assert fold_batch_normalization(copy) == 1
    return copy


def test_a_folded_model_is_compared_too(network: Path) -> None:
    model = converters.convert(network)
    report = check_model(folded(model), network, unfolded=model)
    assert report.difference is not None
    assert report.difference < 1e-5


def test_a_model_that_was_folded_wrongly_fails(network: Path) -> None:
    model = converters.convert(network)
    wrong = folded(model)
    set_values(wrong, "conv.bias", 0.5)
    with pytest.raises(WorkFailed, match="the check failed: the model differs from Keras on torch by"):
        check_model(wrong, network, unfolded=model)


def test_what_is_not_compared_says_why_in_a_few_words(network: Path) -> None:
    model = converters.convert(network)
    model.metadata_props[RECORD_DIGEST_KEY] = ""  # so that there is no network to give back
    report = check_model(model, None)
    assert (report.difference, report.reason) == (None, "the network came from the standard input")
    description = json.loads(network.read_text())
    del description["module"]
    network.write_text(json.dumps(description))
    report = check_model(model, network)
    assert report.difference is None
    assert report.reason.startswith("it cannot load the network (Could not locate class 'Functional'.")
    assert report.reason.endswith("...)")
    assert report.lines()[1] == f"check: not compared with Keras: {report.reason}"


def test_an_output_that_no_input_changes_is_said_to_prove_little(network: Path) -> None:
    model = converters.convert(network)
    set_values(model, "head.weight", 0.0)
    report = check_model(model, network)
    assert report.lines()[1] == (
        "check: equals Keras to 0.0e+00 of the largest output, "
        "but gives the same for every input: with these weights that says little"
    )


def test_layers_that_hold_others_have_their_weights_compared(tmp_path: Path) -> None:
    inside = keras.Input((8, 9, 3))
    eye = keras.Model(inside, kl.Flatten()(kl.Conv2D(4, 3, name="conv")(inside)), name="eye")
    frames, words = keras.Input((5, 8, 9, 3), name="frames"), keras.Input((7,), name="words")
    x = kl.Bidirectional(kl.LSTM(4, return_sequences=True), name="both")(kl.TimeDistributed(eye, name="each")(frames))
    y = kl.RNN(kl.StackedRNNCells([kl.GRUCell(3), kl.LSTMCell(4)]), return_sequences=True, name="stack")(
        kl.Embedding(20, 6, mask_zero=True, name="table")(words)
    )
    y = kl.TimeDistributed(kl.Dense(8), name="wide")(y)
    z = kl.MultiHeadAttention(2, 3, name="heads")(x, y)
    path = tmp_path / "net.json"
    path.write_text(keras.Model([frames, words], kl.Attention(use_scale=True, name="late")([z, y])).to_json())
    model = converters.convert(path, seed=3)
    report = check_model(model, path)
    assert report.reason == ""
    assert report.varies
    assert report.difference is not None
    assert report.difference < 1e-5
    set_values(model, "both.backward.weight_ih", 0.7)
    report = check_model(model, path)
    assert report.difference is not None
    assert report.difference < 1e-5


def test_a_masked_sequence_of_a_new_opset_is_said_not_to_be_run(tmp_path: Path) -> None:
    inputs = keras.Input((7, 3))
    path = tmp_path / "net.json"
    path.write_text(keras.Model(inputs, kl.LSTM(4)(kl.Masking()(inputs))).to_json())
    report = check_model(converters.convert(path, opset=22), path)
    assert report.lines() == [
        "check: not compared with Keras: nothing here runs it: ONNX Runtime knows no opset 22, and the reference of "
        "onnx passes over masks"
    ]
    path.write_text(keras.Model(inputs, kl.LSTM(4)(inputs)).to_json())
    report = check_model(converters.convert(path, opset=22), path)
    assert report.difference is not None
    assert report.difference < 1e-5


def test_dictionaries_of_inputs_and_outputs_are_compared(tmp_path: Path) -> None:
    a, b = keras.Input((8, 11, 3), name="a"), keras.Input((5,), name="b")
    outputs = {"second": kl.Dense(4, name="dense")(b), "first": kl.Conv2D(2, 3, name="conv")(a)}
    (tmp_path / "net.json").write_text(keras.Model({"b": b, "a": a}, outputs).to_json())
    report = check_model(converters.convert(tmp_path / "net.json"), tmp_path / "net.json")
    assert (report.reason, report.given_back) == ("", True)
    assert report.difference is not None
    assert report.difference < 1e-5


def test_what_keras_on_torch_averages_otherwise_is_not_compared(tmp_path: Path) -> None:
    inputs = keras.Input((8, 12, 3), name="x")
    model = keras.Model(inputs, kl.AveragePooling2D(3, strides=2, padding="same")(inputs))
    (tmp_path / "net.json").write_text(model.to_json())
    report = check_model(converters.convert(tmp_path / "net.json"), tmp_path / "net.json")
    assert report.difference is None
    assert report.reason == (
        'Keras on torch repeats the border where "same" pads an AveragePooling unevenly; '
        "these are the numbers of Keras on TensorFlow"
    )
