"""The types of tensors: comparisons and positions are no floats, and become some where a layer takes them."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest
from keras import layers as kl
from keras import ops

from tests.converters.keras_oracle import convert_keras, random_inputs, run_onnx

SHAPE = (8, 6, 3)


def converted(computed: Any, x: Any, folder: Path) -> ir.Model:
    return convert_keras(keras.Model(x, computed), folder)


TYPES: dict[str, tuple[Any, ir.DataType, list[str]]] = {
    "a comparison": (lambda x: x > 0.5, ir.DataType.BOOL, ["Greater"]),
    "a position": (lambda x: ops.argmax(x, axis=-1), ir.DataType.INT64, ["ArgMax"]),
    "a comparison in a layer": (lambda x: kl.ReLU()(x > 0.5), ir.DataType.FLOAT, ["Greater", "Cast", "Relu"]),
    "a comparison as a number": (lambda x: ops.cast(x > 0.5, "float32"), ir.DataType.FLOAT, ["Greater", "Cast"]),
    "there and back": (
        lambda x: ops.logical_not(ops.cast(ops.cast(x > 0.5, "int32"), "float32")),
        ir.DataType.BOOL,
        ["Greater", "Not"],
    ),
    "integers of floats, and floats again": (
        lambda x: ops.cast(ops.cast(x, "int32"), "float32"),
        ir.DataType.FLOAT,
        ["Cast", "Cast"],
    ),
    "positions in an embedding": (
        lambda x: kl.Embedding(4, 2)(ops.argmax(x, axis=-1)),
        ir.DataType.FLOAT,
        ["ArgMax", "Gather"],
    ),
}


@pytest.mark.parametrize(("compute", "dtype", "op_types"), TYPES.values(), ids=TYPES)
def test_a_tensor_has_its_type(compute: Any, dtype: ir.DataType, op_types: list[str], tmp_path: Path) -> None:
    x = keras.Input(SHAPE, name="x")
    model = converted(compute(x), x, tmp_path)
    assert model.graph.outputs[0].dtype is dtype
    assert [node.op_type for node in model.graph] == op_types


@pytest.mark.parametrize("compute", [lambda x: x > 0.5, lambda x: ops.argmax(x, axis=1)], ids=["bool", "integers"])
def test_an_output_that_is_no_float_equals_keras(compute: Any, tmp_path: Path) -> None:
    x = keras.Input(SHAPE, name="x")
    model = keras.Model(x, compute(x))
    (values,) = random_inputs([SHAPE])
    (output,) = run_onnx(convert_keras(model, tmp_path), values)
    want = np.asarray(model(values).detach())
    assert (output.dtype.kind, output.shape) == (want.dtype.kind, want.shape)
    np.testing.assert_array_equal(output, want)
