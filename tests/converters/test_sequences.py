"""Networks of sequences as wholes: what they can be asked for, and what their parameters are called."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnx.reference
import onnx_ir as ir
import pytest
from keras import layers as kl

import converters
from converters.layers.graph_builder import IoLayout
from converters.layers.opsets import MAX_OPSET, MIN_OPSET
from converters.roles import Role, initializer_roles
from tests.converters.keras_oracle import put_weights, randomize, run_onnx, with_hidden_steps
from tests.converters.test_options import ORT_MAX_OPSET

SHAPE = (7, 6)


def tagger(steps: int | None = SHAPE[0], *, masked: bool = False) -> keras.Model:
    """Some of every kind of layer of sequences."""
    x = inputs = keras.Input((steps, SHAPE[1]), name="x")
    if masked:
        x = kl.Masking(name="mask")(x)
    x = kl.Bidirectional(kl.LSTM(4, return_sequences=True), name="both")(x)
    x = kl.TimeDistributed(kl.Dense(6, activation="relu"), name="each")(x)
    x = kl.Add(name="sum")([x, kl.MultiHeadAttention(2, 3, name="heads")(x, x, use_causal_mask=True)])
    x = kl.GRU(5, return_sequences=True, go_backwards=True, name="back")(kl.LayerNormalization(name="norm")(x))
    x = kl.Attention(use_scale=True, name="look")([x, x])
    x = kl.RNN(kl.StackedRNNCells([kl.SimpleRNNCell(3), kl.LSTMCell(4)]), return_sequences=True, name="stack")(x)
    tags = kl.Dense(5, name="tags") if masked else kl.EinsumDense("abc,cd->abd", (None, 5), name="tags")
    return keras.Model(inputs, [tags(x), kl.GRU(2, name="end")(x)])


def converted(model: keras.Model, folder: Path, **options: Any) -> ir.Model:
    randomize(model)
    (folder / "net.json").write_text(model.to_json())
    result = converters.convert(folder / "net.json", **options)
    put_weights(result, model)
    return result


def sentences() -> np.ndarray:
    return np.random.default_rng(2).standard_normal((2, *SHAPE)).astype(np.float32)


def assert_close(outputs: Any, model: keras.Model, x: np.ndarray) -> None:
    for output, want in zip(outputs, model(x, training=False), strict=True):
        expected = np.asarray(want.detach())
        assert output.shape == expected.shape
        np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("opset", range(MIN_OPSET, MAX_OPSET + 1))
def test_every_opset_gives_the_same(opset: int, tmp_path: Path) -> None:
    model = tagger()
    result = converted(model, tmp_path, opset=opset)
    x = sentences()
    if opset <= ORT_MAX_OPSET:
        outputs = run_onnx(result, x, raw_outputs=True)
    else:
        proto = ir.to_proto(result)
        onnx.checker.check_model(proto, full_check=True)
        outputs = onnx.reference.ReferenceEvaluator(proto).run(None, {"x": np.moveaxis(x, -1, 1)})
    assert_close(outputs, model, x)


@pytest.mark.parametrize("opset", range(MIN_OPSET, ORT_MAX_OPSET + 1))
def test_every_opset_knows_masks(opset: int, tmp_path: Path) -> None:
    model = tagger(masked=True)
    x = with_hidden_steps(sentences())
    assert_close(run_onnx(converted(model, tmp_path, opset=opset), x, raw_outputs=True), model, x)


def test_steps_may_stand_before_features_at_the_border(tmp_path: Path) -> None:
    model = tagger()
    result = converted(model, tmp_path, io_layout=IoLayout.CHANNELS_LAST)
    assert [str(size) for size in result.graph.inputs[0].shape or ()] == ["N", "7", "6"]
    assert_close(run_onnx(result, sentences(), raw_inputs=True, raw_outputs=True), model, sentences())


@pytest.mark.parametrize("masked", [False, True])
def test_any_number_of_steps_can_be_given(masked: bool, tmp_path: Path) -> None:
    model = tagger(masked=masked)
    result = converted(model, tmp_path, dynamic_spatial=True)
    assert [str(size) for size in result.graph.inputs[0].shape or ()] == ["N", "6", "L"]
    assert [str(size) for size in result.graph.outputs[0].shape or ()] == ["N", "L", "5"]
    longer = tagger(11, masked=masked)
    for variable, other in zip(longer.weights, model.weights, strict=True):
        variable.assign(other)
    for expected, steps in ((model, 7), (longer, 11)):
        x = np.random.default_rng(steps).standard_normal((2, steps, 6)).astype(np.float32)
        x = with_hidden_steps(x) if masked else x
        assert_close(run_onnx(result, x, raw_outputs=True), expected, x)


@pytest.mark.parametrize("steps", [7, None])
def test_no_shape_is_unknown(steps: int | None, tmp_path: Path) -> None:
    for node in converted(tagger(steps, masked=True), tmp_path).graph:
        for value in node.outputs:
            assert value.name == "" or value.dtype is not None
            sizes = [] if not value.name else [size if isinstance(size, int) else size.value for size in value.shape]
            assert None not in sizes, value


def test_parameters_have_the_names_that_are_promised_and_keras_counts_as_many(tmp_path: Path) -> None:
    model = tagger()
    result = converted(model, tmp_path)
    counted = [name for name, role in initializer_roles(result).items() if role.kind is Role.PARAMETER]
    assert counted == [
        *("both.forward.weight_ih", "both.forward.weight_hh", "both.forward.bias"),
        *("both.backward.weight_ih", "both.backward.weight_hh", "both.backward.bias"),
        *("each.weight", "each.bias"),
        *("heads.query.weight", "heads.query.bias", "heads.key.weight", "heads.key.bias"),
        *("heads.value.weight", "heads.value.bias", "heads.output.weight", "heads.output.bias"),
        *("norm.weight", "norm.bias"),
        *("back.weight_ih", "back.weight_hh", "back.bias"),
        "look.scale",
        *("stack.0.weight_ih", "stack.0.weight_hh", "stack.0.bias"),
        *("stack.1.weight_ih", "stack.1.weight_hh", "stack.1.bias"),
        "tags.weight",
        *("end.weight_ih", "end.weight_hh", "end.bias"),
    ]
    sizes = [np.prod(result.graph.initializers[name].shape.numpy()) for name in counted]
    assert sum(sizes) == model.count_params()


def test_a_network_in_time_distributed_has_the_names_of_its_layers(tmp_path: Path) -> None:
    inside = keras.Input((8, 9, 3))
    eye = keras.Model(inside, kl.Flatten(name="flat")(kl.Conv2D(4, 3, name="conv")(inside)), name="eye")
    frames = keras.Input((5, 8, 9, 3))
    x = kl.TimeDistributed(eye, name="frames")(frames)
    result = converted(keras.Model(frames, kl.TimeDistributed(kl.Dense(3), name="head")(x)), tmp_path)
    assert {name for name in result.graph.initializers if "/" not in name} == {
        *("frames.conv.weight", "frames.conv.bias", "head.weight", "head.bias")
    }
    classes = {node.metadata_props["onnxgrid.layer"]: node.metadata_props for node in result.graph}
    assert classes["frames.conv"]["onnxgrid.class_name"] == "Conv2D"
    assert classes["frames.conv"]["onnxgrid.time_distributed"] == "1"
    assert classes["frames.conv"]["onnxgrid.in_distributed_model"] == "true"
    assert "onnxgrid.in_distributed_model" not in classes["head"]


def test_layers_that_hold_others_say_their_classes(tmp_path: Path) -> None:
    result = converted(tagger(), tmp_path)
    held = {
        node.metadata_props["onnxgrid.layer"]: node.metadata_props["onnxgrid.inner_classes"]
        for node in result.graph
        if "onnxgrid.inner_classes" in node.metadata_props
    }
    assert held == {"both": "LSTM,LSTM", "stack": "StackedRNNCells(SimpleRNNCell,LSTMCell)"}


def first_values(layer: kl.Layer, folder: Path) -> dict[str, np.ndarray]:
    inputs = keras.Input(SHAPE)
    heads = isinstance(layer, kl.MultiHeadAttention)
    (folder / "net.json").write_text(keras.Model(inputs, layer(inputs, inputs) if heads else layer(inputs)).to_json())
    values = converters.convert(folder / "net.json").graph.initializers
    return {name: value.const_value.numpy() for name, value in values.items() if "/" not in name and value.const_value}


def test_the_forget_gate_of_an_lstm_starts_open(tmp_path: Path) -> None:
    bias = first_values(kl.LSTM(2, bias_initializer=keras.initializers.Constant(0.5), name="a"), tmp_path)["a.bias"]
    np.testing.assert_array_equal(bias, [[0.5, 0.5, 0.5, 0.5, 1, 1, 0.5, 0.5]])  # input, output, forget, cell
    closed = first_values(kl.LSTM(2, unit_forget_bias=False, name="a"), tmp_path)["a.bias"]
    np.testing.assert_array_equal(closed, np.zeros((1, 8)))


def test_recurrent_kernels_start_orthogonal(tmp_path: Path) -> None:
    kernel = first_values(kl.GRU(40, name="a"), tmp_path)["a.weight_hh"][0]  # (3 * units, units)
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(40), atol=1e-5)


def test_kernels_of_heads_start_in_the_spread_of_all_heads(tmp_path: Path) -> None:
    values = first_values(kl.MultiHeadAttention(20, 30, name="a"), tmp_path)
    for name, fans in (("query", (6, 600)), ("output", (600, 6))):
        limit = np.sqrt(6 / sum(fans))
        largest = np.abs(values[f"a.{name}.weight"]).max()
        assert 0.98 * limit < largest <= limit
