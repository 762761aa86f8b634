"""Operations that compute with two operands or more, element by element: tensors, arrays and numbers."""

import math
from functools import partial

import onnx_ir as ir

from converters.json_arrays import Array
from converters.layers.layer_builder import WIDENING, LayerBuilder
from converters.layers.operations.arguments import Arguments
from converters.layers.operations.numbers import combined, only_numbers
from converters.layers.operations.operands import aligned, common_type
from converters.layers.operations.registry import operation
from converters.layers.tensor import Layout, Tensor

__all__ = [
    "add_n",
    "arctan2",
    "divide_no_nan",
    "floor_divide",
    "fmod",
    "heaviside",
    "hypot",
    "logaddexp",
    "logaddexp2",
    "mod",
    "squared_difference",
    "truncate_divide",
]

OPERANDS = "x1|x x2|y"

OPERATORS = {
    "Add": ("keras.ops.Add", "tf.math.add", "tf.__operators__.add"),
    "Sub": ("keras.ops.Subtract", "tf.math.subtract", "tf.__operators__.subtract"),
    "Mul": ("keras.ops.Multiply", "tf.math.multiply", "tf.__operators__.multiply"),
    "Max": ("keras.ops.Maximum", "tf.math.maximum"),
    "Min": ("keras.ops.Minimum", "tf.math.minimum"),
    "Pow": ("keras.ops.Power", "tf.math.pow"),
}
"""ONNX operator -> operations that are it, and give integers for integers."""

DIVISIONS = ("keras.ops.Divide", "keras.ops.TrueDivide", "tf.math.divide", "tf.math.truediv")

FLOAT = ir.DataType.FLOAT


def _pair(arguments: Arguments) -> list[Tensor | Array]:
    return [arguments.operand_or_numbers("x1"), arguments.operand_or_numbers("x2")]


def _floats(arguments: Arguments, layer: LayerBuilder) -> tuple[ir.Value, ir.Value, Layout]:
    """The two operands as float values of one layout, and the layout."""
    (a, b), layout = aligned(_pair(arguments), FLOAT, layer)
    return a, b, layout


def _computed(op_type: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The operator applied to two operands, in the wider of their types.

    Source: keras.io/api/ops/numpy; ONNX's multidirectional broadcasting.
    """
    operands = _pair(arguments)
    if only_numbers(operands):
        return combined(op_type, operands, layer)
    dtype = common_type(operands)
    if dtype is ir.DataType.BOOL:
        raise layer.error(
            "computes with nothing but true and false", 'Cast to float32, or use "logical_and" and "logical_or".'
        )
    values, layout = aligned(operands, dtype, layer)
    return Tensor(layer.op(op_type, values), layout)


for _op_type, _names in OPERATORS.items():
    operation(*_names, parameters=OPERANDS, needs_batch=False)(partial(_computed, _op_type))


@operation(*DIVISIONS, parameters=OPERANDS, needs_batch=False)
def divide(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x1 / x2, as floats."""
    operands = _pair(arguments)
    if only_numbers(operands):
        return combined("Div", operands, layer)
    (a, b), layout = aligned(operands, FLOAT, layer)
    return Tensor(layer.op("Div", [a, b]), layout)


@operation(
    "keras.ops.FloorDivide", "tf.math.floordiv", "tf.compat.v1.floor_div", parameters=OPERANDS, needs_batch=False
)
def floor_divide(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The largest whole number that is not above x1 / x2."""
    operands = _pair(arguments)
    if only_numbers(operands):
        return combined("FloorDiv", operands, layer)
    dtype = common_type(operands)
    if dtype is FLOAT:
        (a, b), layout = aligned(operands, dtype, layer)
        return Tensor(layer.op("Floor", [layer.op("Div", [a, b])]), layout)
    (a, b), layout = aligned(operands, ir.DataType.INT64, layer)
    divisible = layer.op("Sub", [a, layer.op("Mod", [a, b])])
    return Tensor(layer.op("Div", [divisible, b]), layout)


@operation("keras.ops.Mod", "tf.math.floormod", parameters=OPERANDS, needs_batch=False)
def mod(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """What is left of x1 when as many x2 as fit are taken away; it has the sign of x2."""
    operands = _pair(arguments)
    dtype = common_type(operands)
    if dtype is not FLOAT:
        (a, b), layout = aligned(operands, ir.DataType.INT64, layer)
        return Tensor(layer.op("Mod", [a, b]), layout)
    (a, b), layout = aligned(operands, dtype, layer)
    rest = layer.op("Mod", [a, b], fmod=1)
    other_sign = layer.op("Less", [layer.op("Mul", [rest, b]), layer.scalar("zero", 0.0)])
    return Tensor(layer.op("Where", [other_sign, layer.op("Add", [rest, b]), rest]), layout)


@operation("tf.truncatediv", parameters=OPERANDS, needs_batch=False)
def truncate_divide(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x1 / x2 without what stands behind the point."""
    operands = _pair(arguments)
    dtype = max(common_type(operands), ir.DataType.INT64, key=WIDENING.index)
    (a, b), layout = aligned(operands, dtype, layer)
    quotient = layer.op("Div", [a, b])  # of integers it is whole, and nearer to 0
    if dtype is FLOAT:
        whole = layer.op("Floor", [layer.op("Abs", [quotient])])
        quotient = layer.op("Mul", [layer.op("Sign", [quotient]), whole])
    return Tensor(quotient, layout)


@operation("keras.ops.Fmod", "tf.truncatemod", parameters=OPERANDS, needs_batch=False)
def fmod(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """What is left of x1 when as many x2 as fit are taken away; it has the sign of x1."""
    operands = _pair(arguments)
    dtype = max(common_type(operands), ir.DataType.INT64, key=WIDENING.index)
    (a, b), layout = aligned(operands, dtype, layer)
    return Tensor(layer.op("Mod", [a, b], fmod=1), layout)


@operation("keras.ops.DivideNoNan", "tf.math.divide_no_nan", parameters=OPERANDS, needs_batch=False)
def divide_no_nan(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x1 / x2, and 0 where x2 is 0."""
    a, b, layout = _floats(arguments, layer)
    zero = layer.scalar("zero", 0.0)
    by_zero = layer.op("Equal", [b, zero])
    quotient = layer.op("Div", [a, layer.op("Where", [by_zero, layer.scalar("one", 1.0), b])])
    return Tensor(layer.op("Where", [by_zero, zero, quotient]), layout)


@operation("tf.math.squared_difference", parameters=OPERANDS, needs_batch=False)
def squared_difference(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """(x1 - x2) squared."""
    a, b, layout = _floats(arguments, layer)
    difference = layer.op("Sub", [a, b])
    return Tensor(layer.op("Mul", [difference, difference]), layout)


@operation("keras.ops.Hypot", parameters=OPERANDS, needs_batch=False)
def hypot(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The square root of the sum of two squares."""
    a, b, layout = _floats(arguments, layer)
    squares = [layer.op("Mul", [side, side]) for side in (a, b)]
    return Tensor(layer.op("Sqrt", [layer.op("Add", squares)]), layout)


@operation("keras.ops.Logaddexp", parameters=OPERANDS, needs_batch=False)
def logaddexp(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """log(exp(x1) + exp(x2)), as max(x1, x2) + softplus(-abs(x1 - x2)), which does not overflow."""
    a, b, layout = _floats(arguments, layer)
    return Tensor(_log_of_sum(a, b, layer), layout)


@operation("keras.ops.Logaddexp2", parameters=OPERANDS, needs_batch=False)
def logaddexp2(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """log2(2 to the x1 + 2 to the x2)."""
    a, b, layout = _floats(arguments, layer)
    base = layer.scalar("log_2", math.log(2))
    total = _log_of_sum(layer.op("Mul", [a, base]), layer.op("Mul", [b, base]), layer)
    return Tensor(layer.op("Div", [total, base]), layout)


def _log_of_sum(a: ir.Value, b: ir.Value, layer: LayerBuilder) -> ir.Value:
    distance = layer.op("Abs", [layer.op("Sub", [a, b])])
    more = layer.op("Softplus", [layer.op("Neg", [distance])])
    return layer.op("Add", [layer.op("Max", [a, b]), more])


@operation("keras.ops.Heaviside", parameters=OPERANDS, needs_batch=False)
def heaviside(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """0 where x1 is negative, 1 where it is positive, x2 where it is 0."""
    a, b, layout = _floats(arguments, layer)
    zero = layer.scalar("zero", 0.0)
    positive = layer.op("Cast", [layer.op("Greater", [a, zero])], to=FLOAT)
    return Tensor(layer.op("Where", [layer.op("Equal", [a, zero]), b, positive]), layout)


@operation("keras.ops.Arctan2", "tf.math.atan2", parameters="x1|y x2|x", needs_batch=False)
def arctan2(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The angle of the point (x2, x1) from the first axis, from -pi to pi.

    atan(x1 / x2), and on the left half plane pi more, or less below the axis. At the origin the angle is 0.
    """
    y, x, layout = _floats(arguments, layer)
    zero = layer.scalar("zero", 0.0)
    at_origin = layer.op("And", [layer.op("Equal", [y, zero]), layer.op("Equal", [x, zero])])
    angle = layer.op("Atan", [layer.op("Div", [y, layer.op("Where", [at_origin, layer.scalar("one", 1.0), x])])])
    half_turn = layer.op(
        "Where",
        [layer.op("Less", [y, zero]), layer.scalar("below", -math.pi), layer.scalar("above", math.pi)],
    )
    turned = layer.op("Add", [angle, half_turn])
    return Tensor(layer.op("Where", [layer.op("Less", [x, zero]), turned, angle]), layout)


def _extreme(op_type: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The larger or smaller of two, or the one of them that is a number."""
    a, b, layout = _floats(arguments, layer)
    value = layer.op("Where", [layer.op("IsNaN", [b]), a, layer.op(op_type, [a, b])])
    return Tensor(layer.op("Where", [layer.op("IsNaN", [a]), b, value]), layout)


operation("keras.ops.Fmax", parameters=OPERANDS, needs_batch=False)(partial(_extreme, "Max"))
operation("keras.ops.Fmin", parameters=OPERANDS, needs_batch=False)(partial(_extreme, "Min"))


@operation("tf.math.add_n", parameters="inputs")
def add_n(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The sum of a list of tensors."""
    values, layout = aligned(arguments.operands("inputs"), FLOAT, layer)
    total, *others = values
    for other in others:
        total = layer.op("Add", [total, other])
    return Tensor(total, layout)
