"""A converted network against Keras itself: same weights, same input, same output."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort

import converters
from converters.port_layout import PortLayout, layouts_of
from tests.converters.keras_parameters import NOT_CONVERTED, parameters

RELATIVE_TOLERANCE = 1e-5
"""Of the largest output, in float32."""

BATCH = 2

Edit = Callable[[dict[str, Any]], None]


def functional(
    layers: keras.layers.Layer | Sequence[keras.layers.Layer], *shapes: tuple[int | None, ...]
) -> keras.Model:
    """A Keras model of one layer, or of several in a row, over inputs of these shapes (without batch)."""
    row = [layers] if isinstance(layers, keras.layers.Layer) else layers
    inputs = [keras.Input(shape, name=f"in_{i}") for i, shape in enumerate(shapes)]
    x = inputs if len(inputs) > 1 else inputs[0]
    for layer in row:
        x = layer(x)
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], x, name="net")


def randomize(model: keras.Model, seed: int = 0) -> None:
    """Give every weight of the model a random value; variances are positive."""
    random = np.random.default_rng(seed)
    for variable in model.weights:
        if variable.name in NOT_CONVERTED:
            continue
        values = random.standard_normal(variable.shape).astype(np.float32) * 0.5
        variable.assign(np.abs(values) + 0.1 if "variance" in variable.name else values)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def convert_keras(model: keras.Model, folder: Path, edit: Edit | None = None) -> ir.Model:
    """The ONNX model of a Keras model's JSON, holding the Keras model's weights.

    Args:
        edit: changes the parsed JSON before it is written, for what Keras itself would not write.
    """
    description = json.loads(model.to_json())
    if edit is not None:
        edit(description)
    path = folder / "net.json"
    path.write_text(json.dumps(description, indent=1))
    converted = converters.convert(path)
    assert_every_size_is_known(converted)
    put_weights(converted, model)
    return converted


def assert_every_size_is_known(model: ir.Model) -> None:
    """Every value has a rank; sizes are numbers but for the batch, and names where an input leaves some open."""
    declared = [size for value in model.graph.inputs for size in value.shape[1:]]
    names_follow = any(not isinstance(size, int) for size in declared)
    for value in (value for node in model.graph for value in node.outputs if value.name):
        assert value.shape is not None, f"{value.name} has no rank"
        for size in value.shape:
            if not isinstance(size, int):
                assert size.value, f"{value.name} has a size without a name: {value.shape}"
                assert names_follow or size.value.startswith("N"), f"{value.name} has an open size: {value.shape}"


def put_weights(converted: ir.Model, model: keras.Model, prefix: str = "") -> None:
    for name, values in parameters(model, prefix.removesuffix(".")):
        initializer = converted.graph.initializers[name]
        assert initializer.shape == values.shape, name
        initializer.const_value = ir.Tensor(np.ascontiguousarray(values), name=name)


def channels_first(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(array, -1, 1)) if array.ndim > 2 else array


def run_onnx(
    model: ir.Model, *inputs: np.ndarray, raw_inputs: bool = False, raw_outputs: bool = False
) -> list[np.ndarray]:
    """The outputs of an ONNX model in ONNX Runtime, inputs and outputs channels last unless they are raw."""
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {
        meta.name: x if raw_inputs else channels_first(x) for meta, x in zip(session.get_inputs(), inputs, strict=True)
    }
    return [np.moveaxis(y, 1, -1) if y.ndim > 2 and not raw_outputs else y for y in session.run(None, feeds)]


def random_inputs(shapes: Sequence[tuple[int, ...]], seed: int = 1) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [2 * random.standard_normal((BATCH, *shape)).astype(np.float32) for shape in shapes]


def with_hidden_steps(x: np.ndarray) -> np.ndarray:
    """Sequences (N, T, features) of which some steps are zeros: in the first sample the last ones."""
    hidden = np.random.default_rng(2).random(x.shape[:2]) < 0.4
    hidden[0] = np.arange(x.shape[1]) >= x.shape[1] // 2
    hidden[:, 0] = False  # a mean of no step is no number
    return np.where(hidden[..., np.newaxis], np.float32(0), x)


def random_numbers(shape: tuple[int, ...], below: int) -> np.ndarray:
    """Whole numbers from 0 on, as the floats that our graphs take."""
    return np.random.default_rng(1).integers(below, size=(BATCH, *shape)).astype(np.float32)


def assert_equals_keras(
    model: keras.Model,
    folder: Path,
    *,
    edit: Edit | None = None,
    sizes: Sequence[tuple[int, ...]] | None = None,
    numbers_below: int | None = None,
    raw_inputs: bool = False,
    raw_outputs: bool = False,
    fill: Callable[[keras.Model], None] = randomize,
    compute: Callable[..., Any] | None = None,
    hidden_steps: bool = False,
) -> ir.Model:
    """The converted model, once its outputs were found equal to Keras' in value, shape and dtype.

    Args:
        fill: gives the model its weights.
        sizes: of the inputs, without batch, where the model leaves them open.
        numbers_below: the inputs are whole numbers below this one.
        raw_inputs: the graph's inputs have their axes in Keras' order.
        raw_outputs: so have its outputs.
        compute: what computes the outputs, where Keras' model itself does not.
        hidden_steps: some steps of the sequences that go in are zeros.
    """
    fill(model)
    shapes = sizes or [tuple(x.shape[1:]) for x in model.inputs]
    if numbers_below is None:
        inputs = random_inputs(shapes)
        if hidden_steps:
            inputs = [with_hidden_steps(x) if x.ndim == 3 else x for x in inputs]
    else:
        inputs = [random_numbers(shape, numbers_below) for shape in shapes]
    if compute is None:
        expected = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    else:
        expected = compute(*map(keras.ops.convert_to_tensor, inputs))
    converted = convert_keras(model, folder, edit)
    assert_states_layouts(converted.graph.inputs, raw=raw_inputs)
    assert_states_layouts(converted.graph.outputs, raw=raw_outputs)
    outputs = run_onnx(converted, *inputs, raw_inputs=raw_inputs, raw_outputs=raw_outputs)
    wanted = [np.asarray(y.detach()) for y in (expected if isinstance(expected, list | tuple) else [expected])]
    for output, want, value in zip(outputs, wanted, converted.graph.outputs, strict=True):
        assert output.dtype == want.dtype == np.float32
        assert output.shape == want.shape
        np.testing.assert_allclose(output, want, rtol=0, atol=RELATIVE_TOLERANCE * np.abs(want).max())
        assert_declares(value, want.shape if raw_outputs else channels_first(want).shape)
    return converted


def assert_states_layouts(values: Sequence[ir.Value], *, raw: bool) -> None:
    """Inputs or outputs say of themselves that their axes lie as they were found to lie."""
    as_in_keras = [raw or len(value.shape) < 3 for value in values]
    want = [PortLayout.KERAS if same else PortLayout.CHANNELS_FIRST for same in as_in_keras]
    assert layouts_of(values) == want


def assert_declares(value: ir.Value, shape: tuple[int, ...]) -> None:
    """The declared shape of a graph output is the one it has; unknown sizes fit anything."""
    assert value.shape is not None
    assert len(value.shape) == len(shape)
    declared = tuple(size if isinstance(size, int) else None for size in value.shape)
    assert all(d in (None, s) for d, s in zip(declared, shape, strict=True)), (declared, shape)
