"""Operations that compute each element by itself."""

from functools import partial

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments
from converters.layers.operations.registry import operation
from converters.layers.tensor import Layout, Tensor, shown

__all__ = ["cast", "clip", "rsqrt", "square"]

ARITHMETIC = {
    "Add": ("keras.ops.Add", "tf.math.add", "tf.__operators__.add"),
    "Sub": ("keras.ops.Subtract", "tf.math.subtract", "tf.__operators__.subtract"),
    "Mul": ("keras.ops.Multiply", "tf.math.multiply", "tf.__operators__.multiply"),
    "Div": ("keras.ops.Divide", "keras.ops.TrueDivide", "tf.math.divide", "tf.math.truediv"),
    "Max": ("keras.ops.Maximum", "tf.math.maximum"),
    "Min": ("keras.ops.Minimum", "tf.math.minimum"),
    "Pow": ("keras.ops.Power", "tf.math.pow"),
}
"""ONNX operator -> operations of two operands."""


def _arithmetic(op_type: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The operator applied to two tensors, or to a tensor and numbers; sizes are matched from the last axis on.

    Source: keras.io/api/ops/numpy; ONNX's multidirectional broadcasting.
    """
    a, b = arguments.operand("x1"), arguments.operand("x2")
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.layout is not b.layout or a.rank != b.rank:
            a, b = layer.keras_order(a), layer.keras_order(b)
        layout, values = a.layout, [a.value, b.value]
    else:
        like = a if isinstance(a, Tensor) else b
        if not isinstance(like, Tensor):
            raise layer.error("is given no tensor", "Give one of its arguments as a tensor.")
        layout = like.layout
        values = [x.value if isinstance(x, Tensor) else _stored(x, like, layer) for x in (a, b)]
    shapes = [tuple(value.shape or ()) for value in values]
    sizes = zip(*(reversed(shape) for shape in shapes), strict=False)
    if not all(m == n or 1 in (m, n) or not isinstance(m, int) or not isinstance(n, int) for m, n in sizes):
        given = " and ".join(shown(x.shape) for x in (a, b))
        raise layer.error(f"its arguments do not fit together: {given}", "Make them equal, but for axes of size 1.")
    return Tensor(layer.op(op_type, values), layout)


def _stored(array: npt.NDArray[np.float32], like: Tensor, layer: LayerBuilder) -> ir.Value:
    """An array in Keras' order as a constant that can be joined with the tensor."""
    if array.ndim > like.rank:
        raise layer.error(
            f"is given an array of {array.ndim} axes for a tensor {shown(like.shape)}", "Give one of as many axes."
        )
    if array.ndim and like.layout is Layout.CHANNELS_FIRST:
        array = np.moveaxis(array.reshape((1,) * (like.rank - array.ndim) + array.shape), -1, 1)
    return layer.constant("constant", np.ascontiguousarray(array))


for _op_type, _names in ARITHMETIC.items():
    operation(*_names, parameters="x1|x x2|y")(partial(_arithmetic, _op_type))


ELEMENTWISE = {
    "Abs": ("keras.ops.Absolute", "keras.ops.Abs", "tf.math.abs"),
    "Exp": ("keras.ops.Exp", "tf.math.exp"),
    "Log": ("keras.ops.Log", "tf.math.log"),
    "Neg": ("keras.ops.Negative", "tf.math.negative"),
    "Sqrt": ("keras.ops.Sqrt", "tf.math.sqrt"),
}
"""ONNX operator -> operations of one tensor."""


def _elementwise(op_type: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The operator applied to each element of x."""
    x = arguments.tensor("x")
    return Tensor(layer.op(op_type, [x.value]), x.layout)


for _op_type, _names in ELEMENTWISE.items():
    operation(*_names, parameters="x")(partial(_elementwise, _op_type))


@operation("keras.ops.Square", "tf.math.square", parameters="x")
def square(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x * x."""
    x = arguments.tensor("x")
    return Tensor(layer.op("Mul", [x.value, x.value]), x.layout)


@operation("keras.ops.Rsqrt", "tf.math.rsqrt", parameters="x")
def rsqrt(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """1 / sqrt(x)."""
    x = arguments.tensor("x")
    return Tensor(layer.op("Reciprocal", [layer.op("Sqrt", [x.value])]), x.layout)


@operation("keras.ops.Cast", "keras.ops.Identity", "tf.cast", "tf.identity", parameters="x|input dtype")
def cast(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x itself: all tensors here are float32, and other types are refused."""
    dtype = arguments.value("dtype", "float32")
    if dtype != "float32":
        raise layer.error(f"casts to {dtype}", "Compute in float32.")
    return arguments.tensor("x")


@operation("keras.ops.Clip", "tf.clip_by_value", parameters="x|t x_min|clip_value_min x_max|clip_value_max")
def clip(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x, no less than one number and no more than another."""
    x = arguments.tensor("x")
    bounds = [layer.constant(name, np.array(arguments.number(f"x_{name}"), np.float32)) for name in ("min", "max")]
    return Tensor(layer.op("Clip", [x.value, *bounds]), x.layout)
