"""Numbers that a network computes from the shape of a tensor, to reshape, repeat or resize others by.

They are worked out while converting as far as sizes are known; nodes are left for the rest.
"""

import math
import operator
from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from converters.json_arrays import Array
from converters.layers.extents import part_of
from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments
from converters.layers.operations.operands import TYPES
from converters.layers.operations.registry import operation
from converters.layers.tensor import Layout, Numbers, Tensor

__all__ = ["applied", "as_type", "combined", "joined", "numbers_of", "only_numbers", "product", "shape", "single"]

INT64, FLOAT = ir.DataType.INT64, ir.DataType.FLOAT

LARGEST = 2**53
"""Beyond it no product of sizes means anything."""

Item = float | str | None

FUNCTIONS: dict[str, Callable[[float, float], float]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Max": max,
    "Min": min,
    "Div": operator.truediv,
    "Pow": operator.pow,
}
"""ONNX operator -> what it computes."""

FUNCTIONS_OF_ONE: dict[str, Callable[[float], float]] = {
    "Ceil": math.ceil,
    "Exp": math.exp,
    "Floor": math.floor,
    "Log": math.log,
    "Reciprocal": lambda x: 1 / x,
    "Sqrt": math.sqrt,
}
"""ONNX operator -> what it computes, a float."""


def only_numbers(operands: Sequence[Tensor | Array]) -> bool:
    """Whether operands are computed from shapes, or constants, but not all constants."""
    return any(isinstance(x, Numbers) for x in operands) and not any(
        isinstance(x, Tensor) and not isinstance(x, Numbers) for x in operands
    )


@operation("tf.shape", "tf.compat.v1.shape", parameters="x|input out_type optimize")
def shape(arguments: Arguments, layer: LayerBuilder) -> Numbers:
    """The sizes of x in Keras' order."""
    x = arguments.tensor_of_any_type("x")
    _require_integers(arguments)
    sizes = layer.op("Shape", [x.value])
    if x.layout is Layout.CHANNELS_FIRST:
        order = [x.stored_axis(axis) for axis in range(x.rank)]
        sizes = layer.op("Gather", [sizes, layer.constant("order", np.array(order, np.int64))])
    return Numbers(sizes, Layout.KERAS, items=x.shape, scalar=False)


@operation("tf.size", "tf.compat.v1.size", parameters="x|input out_type optimize")
def size(arguments: Arguments, layer: LayerBuilder) -> Numbers:
    """How many elements x has."""
    return product(shape(arguments, layer), layer)


@operation("tf.rank", parameters="x|input")
def rank(arguments: Arguments, layer: LayerBuilder) -> Numbers:
    """How many axes x has."""
    return _known([arguments.tensor_of_any_type("x").rank], layer, scalar=True)


def _require_integers(arguments: Arguments) -> None:
    if arguments.value("out_type", "int32") not in ("int32", "int64"):
        raise arguments.refusal("out_type", '"int32" or "int64"')
    arguments.value("optimize")  # how it is computed, not what


def _known(items: Sequence[float], layer: LayerBuilder, *, scalar: bool, dtype: ir.DataType = INT64) -> Numbers:
    """Numbers that are all known, as a constant."""
    if not all(math.isfinite(item) and abs(item) < LARGEST for item in items):
        raise layer.error("computes a number that is no size", "Compute with sizes of tensors, and small numbers.")
    return Numbers(
        layer.constant("numbers", np.array(items, TYPES[dtype])), Layout.KERAS, items=tuple(items), scalar=scalar
    )


def numbers_of(operand: Tensor | Array, layer: LayerBuilder) -> Numbers:
    """Numbers that were computed from a shape, or a number or vector, as `Numbers`.

    Raises:
        ConversionError: if it is an array of more axes, or of booleans.
    """
    if isinstance(operand, Numbers):
        return operand
    assert isinstance(operand, np.ndarray), "arguments hold no tensor with a batch among numbers"
    if operand.ndim > 1 or operand.dtype == np.bool_:
        raise layer.error("computes with a shape and an array that is no vector", "Give a number or a list of them.")
    dtype = INT64 if operand.dtype == np.int64 else FLOAT
    return _known(operand.reshape(-1).tolist(), layer, scalar=operand.ndim == 0, dtype=dtype)


def combined(op_type: str, operands: Sequence[Tensor | Array], layer: LayerBuilder) -> Numbers:
    """Two operands, of which one is computed from a shape, item by item; `FloorDiv` stands for a whole quotient.

    Raises:
        ConversionError: if they are of different lengths, or the operator is none of `FUNCTIONS`.
    """
    a, b = (numbers_of(operand, layer) for operand in operands)
    lengths = len(a.items), len(b.items)
    if op_type not in (*FUNCTIONS, "FloorDiv") or (lengths[0] != lengths[1] and 1 not in lengths):
        raise layer.error(
            f"computes {op_type} of {lengths[0]} and {lengths[1]} numbers of a shape", "Use known sizes instead."
        )
    floats = op_type == "Div" or FLOAT in (a.dtype, b.dtype)
    a, b = (as_type(x, FLOAT if floats else INT64, layer) for x in (a, b))
    count, scalar = max(len(a.items), len(b.items)), a.scalar and b.scalar
    pairs = zip(_repeated(a.items, count), _repeated(b.items, count), strict=True)
    items = [_computed(op_type, m, n, layer) for m, n in pairs]
    known = [item for item in items if isinstance(item, int | float)]
    if len(known) == len(items):
        return _known(known, layer, scalar=scalar, dtype=FLOAT if floats else INT64)
    values = [a.value, b.value]
    if op_type == "FloorDiv" and not floats:
        values[0] = layer.op("Sub", [a.value, layer.op("Mod", values)])
    y = layer.op("Div" if op_type == "FloorDiv" else op_type, values)
    y = layer.op("Floor", [y]) if op_type == "FloorDiv" and floats else y
    return Numbers(y, Layout.KERAS, items=tuple(items), scalar=scalar)


def _repeated(items: Sequence[Item], count: int) -> list[Item]:
    return list(items) * (count if len(items) == 1 else 1)


def _computed(op_type: str, a: Item, b: Item, layer: LayerBuilder) -> Item:
    if not isinstance(a, int | float) or not isinstance(b, int | float):
        return None
    if op_type in ("Div", "FloorDiv") and b == 0:
        raise layer.error("divides a size by 0", "Give another number.")
    if op_type == "Pow" and not (0 < a < LARGEST and abs(b) < LARGEST_POWER):
        raise layer.error(f"raises {a} to the power of {b}", "Raise sizes to small powers.")
    return a // b if op_type == "FloorDiv" else FUNCTIONS[op_type](a, b)


LARGEST_POWER = 16
"""Beyond it no power of a size is one."""


def applied(op_type: str, numbers: Numbers, layer: LayerBuilder) -> Numbers:
    """A function of each number, as floats.

    Raises:
        ConversionError: if the operator is none of `FUNCTIONS_OF_ONE`, or a number has no such function.
    """
    if op_type not in FUNCTIONS_OF_ONE:
        raise layer.error(f"computes {op_type} of numbers that are computed from a shape", "Use known sizes instead.")
    numbers = as_type(numbers, FLOAT, layer)
    known = [item for item in numbers.items if isinstance(item, int | float)]
    if len(known) < len(numbers.items):
        y = layer.op(op_type, [numbers.value])
        return Numbers(y, Layout.KERAS, items=(None,) * len(numbers.items), scalar=numbers.scalar)
    try:
        items = [float(FUNCTIONS_OF_ONE[op_type](item)) for item in known]
    except (ArithmeticError, ValueError):
        raise layer.error(f"computes {op_type} of {known}", "Compute with sizes of tensors.") from None
    return _known(items, layer, scalar=numbers.scalar, dtype=FLOAT)


def as_type(numbers: Numbers, dtype: ir.DataType, layer: LayerBuilder) -> Numbers:
    """The numbers as integers, without what stands behind the point, or as floats."""
    if numbers.dtype is dtype:
        return numbers
    items = tuple(
        (int(item) if dtype is INT64 else float(item)) if isinstance(item, int | float) else item
        for item in numbers.items
    )
    return Numbers(layer.cast(numbers, dtype).value, Layout.KERAS, items=items, scalar=numbers.scalar)


def product(numbers: Numbers, layer: LayerBuilder) -> Numbers:
    """All of the numbers multiplied."""
    known = [item for item in numbers.items if isinstance(item, int | float)]
    if len(known) == len(numbers.items):
        return _known([math.prod(known)], layer, scalar=True, dtype=numbers.dtype)
    y = layer.op("ReduceProd", [numbers.value], axes=[0], keepdims=1)
    return Numbers(y, Layout.KERAS, items=(None,), scalar=True)


def single(numbers: Numbers, place: int, layer: LayerBuilder) -> Numbers:
    """One of the numbers, counted from 0, or negative from the end.

    Raises:
        ConversionError: if there are fewer.
    """
    if not -len(numbers.items) <= place < len(numbers.items):
        raise layer.error(f"takes number {place} of {len(numbers.items)}", "Take one that is there.")
    return part_of(numbers, [place % len(numbers.items)], layer, scalar=True)


def joined(operands: Sequence[Tensor | Array], layer: LayerBuilder) -> Numbers:
    """Numbers and vectors of them, one after the other, as integers unless there are floats."""
    parts = [numbers_of(operand, layer) for operand in operands]
    dtype = FLOAT if any(part.dtype is FLOAT for part in parts) else INT64
    parts = [as_type(part, dtype, layer) for part in parts]
    y = layer.op("Concat", [part.value for part in parts], axis=0)
    return Numbers(y, Layout.KERAS, items=tuple(item for part in parts for item in part.items), scalar=False)
