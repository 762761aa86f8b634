"""Comparisons, what is computed with true and false, and choices between tensors."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import onnx_ir as ir

from converters.json_arrays import Array
from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments
from converters.layers.operations.operands import aligned, common_type
from converters.layers.operations.registry import operation
from converters.layers.tensor import Tensor

__all__ = ["is_close", "is_finite", "logical_not", "not_equal", "select", "sign_bit", "where"]

FLOAT, BOOL, INT64 = ir.DataType.FLOAT, ir.DataType.BOOL, ir.DataType.INT64

OPERANDS = "x1|x x2|y"

COMPARISONS: dict[str, tuple[str, ...]] = {
    "Equal": ("keras.ops.Equal", "tf.math.equal"),
    "Greater": ("keras.ops.Greater", "tf.math.greater"),
    "GreaterOrEqual": ("keras.ops.GreaterEqual", "tf.math.greater_equal"),
    "Less": ("keras.ops.Less", "tf.math.less"),
    "LessOrEqual": ("keras.ops.LessEqual", "tf.math.less_equal"),
}
"""ONNX operator -> operations."""

CONNECTIVES: dict[str, tuple[str, ...]] = {
    "And": ("keras.ops.LogicalAnd", "tf.math.logical_and"),
    "Or": ("keras.ops.LogicalOr", "tf.math.logical_or"),
    "Xor": ("keras.ops.LogicalXor",),
}
"""ONNX operator -> operations."""


def _compared(op_type: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Whether each element of x1 stands so to that of x2: true or false."""
    operands = [arguments.operand("x1"), arguments.operand("x2")]
    dtype = common_type(operands)
    values, layout = aligned(operands, INT64 if dtype is BOOL else dtype, layer)
    return Tensor(layer.op(op_type, values), layout)


for _op_type, _names in COMPARISONS.items():
    operation(*_names, parameters=OPERANDS, needs_batch=False)(partial(_compared, _op_type))


def _connected(op_type: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The operator applied to what is true where it is not 0."""
    values, layout = aligned([arguments.operand("x1"), arguments.operand("x2")], BOOL, layer)
    return Tensor(layer.op(op_type, values), layout)


for _op_type, _names in CONNECTIVES.items():
    operation(*_names, parameters=OPERANDS, needs_batch=False)(partial(_connected, _op_type))


@operation("keras.ops.NotEqual", "tf.math.not_equal", parameters=OPERANDS, needs_batch=False)
def not_equal(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Whether each element of x1 is another than that of x2."""
    equal = _compared("Equal", arguments, layer)
    return Tensor(layer.op("Not", [equal.value]), equal.layout)


@operation("keras.ops.LogicalNot", "tf.math.logical_not", parameters="x", needs_batch=False)
def logical_not(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """True where x is 0."""
    x = layer.cast(arguments.tensor_of_any_type("x"), BOOL)
    return Tensor(layer.op("Not", [x.value]), x.layout)


TESTS: dict[str, tuple[Mapping[str, Any], tuple[str, ...]]] = {
    "IsNaN": ({}, ("keras.ops.Isnan", "tf.math.is_nan")),
    "IsInf": ({}, ("keras.ops.Isinf", "tf.math.is_inf")),
}
"""ONNX operator -> attributes, and operations."""


def _tested(op_type: str, attributes: Mapping[str, Any], arguments: Arguments, layer: LayerBuilder) -> Tensor:
    x = arguments.tensor("x")
    return Tensor(layer.op(op_type, [x.value], **attributes), x.layout)


for _op_type, (_attributes, _names) in TESTS.items():
    operation(*_names, parameters="x", needs_batch=False)(partial(_tested, _op_type, _attributes))

operation("keras.ops.Isposinf", parameters="x", needs_batch=False)(partial(_tested, "IsInf", {"detect_negative": 0}))
operation("keras.ops.Isneginf", parameters="x", needs_batch=False)(partial(_tested, "IsInf", {"detect_positive": 0}))


@operation("keras.ops.Isfinite", "tf.math.is_finite", parameters="x", needs_batch=False)
def is_finite(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Whether x is a number, and not infinite."""
    x = arguments.tensor("x")
    found = [layer.op(op_type, [x.value]) for op_type in ("IsNaN", "IsInf")]
    return Tensor(layer.op("Not", [layer.op("Or", found)]), x.layout)


@operation("keras.ops.Isclose", parameters="x1 x2 rtol atol equal_nan")
def is_close(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Whether abs(x1 - x2) <= atol + rtol * abs(x2)."""
    arguments.refuse_unless("equal_nan", False, "what is not a number is close to nothing here")
    rtol, atol = arguments.number("rtol", 1e-5), arguments.number("atol", 1e-8)
    (a, b), layout = aligned([arguments.operand("x1"), arguments.operand("x2")], FLOAT, layer)
    distance = layer.op("Abs", [layer.op("Sub", [a, b])])
    allowed = layer.op("Mul", [layer.op("Abs", [b]), layer.scalar("rtol", rtol)])
    allowed = layer.op("Add", [allowed, layer.scalar("atol", atol)])
    return Tensor(layer.op("LessOrEqual", [distance, allowed]), layout)


@operation("keras.ops.Signbit", parameters="x", needs_batch=False)
def sign_bit(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Whether x is negative; so is the negative zero, which 1 / x tells from the other."""
    x = arguments.tensor("x")
    zero = layer.scalar("zero", 0.0)
    side = layer.op("Where", [layer.op("Equal", [x.value, zero]), layer.op("Reciprocal", [x.value]), x.value])
    return Tensor(layer.op("Less", [side, zero]), x.layout)


@operation("keras.ops.Where", "tf.where", "tf.compat.v1.where", parameters="condition x1|x x2|y", needs_batch=False)
def where(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x1 where the condition is true, else x2."""
    if not arguments.has("x1") and not arguments.has("x2"):
        raise layer.error(
            "is given a condition alone, and gives the places where it is true: how many, depends on the input",
            "Give what to take where it is true, and where it is not.",
        )
    choices = [arguments.operand("x1"), arguments.operand("x2")]
    return _chosen(arguments.operand("condition"), choices[0], choices[1], layer)


@operation("keras.ops.Select", parameters="condlist choicelist default")
def select(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Where the first condition is true the first choice, else where the second is true the second, and so on."""
    conditions, choices = arguments.operands("condlist"), arguments.operands("choicelist")
    if len(conditions) != len(choices):
        raise layer.error(
            f"is given {len(conditions)} conditions and {len(choices)} choices", "Give as many of the ones as others."
        )
    chosen: Tensor | Array = arguments.operand("default")
    for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
        chosen = _chosen(condition, choice, chosen, layer)
    assert isinstance(chosen, Tensor), "there is a choice at least"
    return chosen


def _chosen(condition: Tensor | Array, yes: Tensor | Array, no: Tensor | Array, layer: LayerBuilder) -> Tensor:
    dtype = common_type([yes, no])
    computed = INT64 if dtype is BOOL else dtype  # ONNX Runtime chooses between numbers only
    values, layout = aligned([condition, yes, no], [BOOL, computed, computed], layer)
    return layer.cast(Tensor(layer.op("Where", values), layout), dtype)
