"""Operations that compute each element of one tensor by itself."""

import math
from functools import partial

import numpy as np
import onnx_ir as ir

from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments
from converters.layers.operations.numbers import applied, as_type
from converters.layers.operations.operands import aligned
from converters.layers.operations.registry import operation
from converters.layers.tensor import Numbers, Tensor

__all__ = [
    "angle",
    "cast",
    "cbrt",
    "clip",
    "erfc",
    "expm1",
    "identity",
    "log1p",
    "nan_to_num",
    "read_dtype",
    "round_",
    "rsqrt",
    "sinc",
    "square",
    "stop_gradient",
    "truncate",
]

FLOAT_OPERATORS: dict[str, tuple[str, ...]] = {
    "Acos": ("keras.ops.Arccos", "tf.math.acos"),
    "Acosh": ("keras.ops.Arccosh", "tf.math.acosh"),
    "Asin": ("keras.ops.Arcsin", "tf.math.asin"),
    "Asinh": ("keras.ops.Arcsinh", "tf.math.asinh"),
    "Atan": ("keras.ops.Arctan", "tf.math.atan"),
    "Atanh": ("keras.ops.Arctanh", "tf.math.atanh"),
    "Ceil": ("keras.ops.Ceil", "tf.math.ceil"),
    "Cos": ("keras.ops.Cos", "tf.math.cos"),
    "Cosh": ("keras.ops.Cosh", "tf.math.cosh"),
    "Erf": ("keras.ops.Erf", "tf.math.erf"),
    "Exp": ("keras.ops.Exp", "tf.math.exp"),
    "Floor": ("keras.ops.Floor", "tf.math.floor"),
    "Log": ("keras.ops.Log", "tf.math.log"),
    "Reciprocal": ("keras.ops.Reciprocal", "tf.math.reciprocal"),
    "Sin": ("keras.ops.Sin", "tf.math.sin"),
    "Sinh": ("keras.ops.Sinh", "tf.math.sinh"),
    "Sqrt": ("keras.ops.Sqrt", "tf.math.sqrt"),
    "Tan": ("keras.ops.Tan", "tf.math.tan"),
}
"""ONNX operator -> operations that are it, and give floats."""

OPERATORS: dict[str, tuple[str, ...]] = {
    "Abs": ("keras.ops.Absolute", "keras.ops.Abs", "keras.ops.Fabs", "tf.math.abs"),
    "Neg": ("keras.ops.Negative", "tf.math.negative"),
    "Sign": ("keras.ops.Sign", "tf.math.sign"),
}
"""ONNX operator -> operations that are it, and give integers for integers."""


def _float_operator(op_type: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The operator applied to each element of x."""
    numbers = arguments.operand_or_numbers("x")
    if isinstance(numbers, Numbers):
        return applied(op_type, numbers, layer)
    x = arguments.tensor("x")
    return Tensor(layer.op(op_type, [x.value]), x.layout)


def _operator(op_type: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The operator applied to each element of x, in the type of x."""
    x = arguments.tensor_of_any_type("x")
    if x.dtype is ir.DataType.BOOL:
        x = layer.cast(x, ir.DataType.INT64)
    return Tensor(layer.op(op_type, [x.value]), x.layout)


for _op_type, _names in FLOAT_OPERATORS.items():
    operation(*_names, parameters="x", needs_batch=False)(partial(_float_operator, _op_type))

for _op_type, _names in OPERATORS.items():
    operation(*_names, parameters="x", needs_batch=False)(partial(_operator, _op_type))


SCALED: dict[tuple[str, float], tuple[str, ...]] = {
    ("Log", 1 / math.log(2)): ("keras.ops.Log2",),
    ("Log", 1 / math.log(10)): ("keras.ops.Log10",),
    ("", math.pi / 180): ("keras.ops.Deg2rad",),
    ("", 180 / math.pi): ("keras.ops.Rad2deg",),
}
"""ONNX operator, or none, and the number that its result is multiplied by -> operations."""


def _scaled(op_type: str, factor: float, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    x = arguments.tensor("x")
    y = layer.op(op_type, [x.value]) if op_type else x.value
    return Tensor(layer.op("Mul", [y, layer.scalar("factor", factor)]), x.layout)


for (_op_type, _factor), _names in SCALED.items():
    operation(*_names, parameters="x", needs_batch=False)(partial(_scaled, _op_type, _factor))


@operation("keras.ops.Square", "tf.math.square", parameters="x", needs_batch=False)
def square(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x * x."""
    x = arguments.tensor_of_any_type("x")
    if x.dtype is ir.DataType.BOOL:
        x = layer.cast(x, ir.DataType.INT64)
    return Tensor(layer.op("Mul", [x.value, x.value]), x.layout)


@operation("keras.ops.Rsqrt", "tf.math.rsqrt", parameters="x", needs_batch=False)
def rsqrt(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """1 / sqrt(x)."""
    numbers = arguments.operand_or_numbers("x")
    if isinstance(numbers, Numbers):
        return applied("Reciprocal", applied("Sqrt", numbers, layer), layer)
    x = arguments.tensor("x")
    return Tensor(layer.op("Reciprocal", [layer.op("Sqrt", [x.value])]), x.layout)


@operation("keras.ops.Exp2", parameters="x", needs_batch=False)
def exp2(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """2 to the power of x, as exp(x log(2))."""
    x = arguments.tensor("x")
    return Tensor(layer.op("Exp", [layer.op("Mul", [x.value, layer.scalar("log_2", math.log(2))])]), x.layout)


@operation("keras.ops.Expm1", "tf.math.expm1", parameters="x", needs_batch=False)
def expm1(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """exp(x) - 1, as tanh(x / 2) * (exp(x) + 1): near 0 the difference would lose its digits."""
    x = arguments.tensor("x")
    half = layer.op("Mul", [x.value, layer.scalar("half", 0.5)])
    more = layer.op("Add", [layer.op("Exp", [x.value]), layer.scalar("one", 1.0)])
    return Tensor(layer.op("Mul", [layer.op("Tanh", [half]), more]), x.layout)


@operation("keras.ops.Log1p", "tf.math.log1p", parameters="x", needs_batch=False)
def log1p(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """log(1 + x). The sum is rounded first, so that the result is only as exact as 1 + x is: to 6e-8."""
    x = arguments.tensor("x")
    return Tensor(layer.op("Log", [layer.op("Add", [x.value, layer.scalar("one", 1.0)])]), x.layout)


@operation("keras.ops.Cbrt", parameters="x", needs_batch=False)
def cbrt(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The cube root, negative where x is."""
    x = arguments.tensor("x")
    root = layer.op("Pow", [layer.op("Abs", [x.value]), layer.scalar("third", 1 / 3)])
    return Tensor(layer.op("Mul", [layer.op("Sign", [x.value]), root]), x.layout)


@operation("keras.ops.Trunc", parameters="x", needs_batch=False)
def truncate(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x without what stands behind the point."""
    x = arguments.tensor("x")
    whole = layer.op("Floor", [layer.op("Abs", [x.value])])
    return Tensor(layer.op("Mul", [layer.op("Sign", [x.value]), whole]), x.layout)


@operation("keras.ops.Round", "tf.math.rint", "tf.math.round", parameters="x decimals", needs_batch=False)
def round_(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x rounded to a number of decimals, halves to the even neighbour."""
    x = arguments.tensor_of_any_type("x")
    decimals = arguments.integer("decimals", 0, minimum=-MAX_DECIMALS)
    if decimals > MAX_DECIMALS:
        raise arguments.refusal("decimals", f"an integer from {-MAX_DECIMALS} to {MAX_DECIMALS}")
    if x.dtype is not ir.DataType.FLOAT and decimals >= 0:
        return x
    value = layer.cast(x, ir.DataType.FLOAT).value
    if decimals == 0:
        return Tensor(layer.op("Round", [value]), x.layout)
    scale = layer.scalar("scale", 10.0**decimals)
    return Tensor(layer.op("Div", [layer.op("Round", [layer.op("Mul", [value, scale])]), scale]), x.layout)


MAX_DECIMALS = 30
"""float32 holds numbers up to 3e38."""


@operation("keras.ops.Erfc", "tf.math.erfc", parameters="x", needs_batch=False)
def erfc(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """1 - erf(x)."""
    x = arguments.tensor("x")
    return Tensor(layer.op("Sub", [layer.scalar("one", 1.0), layer.op("Erf", [x.value])]), x.layout)


@operation("keras.ops.Sinc", parameters="x", needs_batch=False)
def sinc(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """sin(pi x) / (pi x), and 1 where x is 0."""
    x = arguments.tensor("x")
    one = layer.scalar("one", 1.0)
    at_zero = layer.op("Equal", [x.value, layer.scalar("zero", 0.0)])
    angles = layer.op("Mul", [layer.op("Where", [at_zero, one, x.value]), layer.scalar("pi", math.pi)])
    wave = layer.op("Div", [layer.op("Sin", [angles]), angles])
    return Tensor(layer.op("Where", [at_zero, one, wave]), x.layout)


@operation("keras.ops.Angle", parameters="x", needs_batch=False)
def angle(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The angle of a number in the plane of complex numbers: pi where x is negative, else 0."""
    x = arguments.tensor("x")
    negative = layer.op("Less", [x.value, layer.scalar("zero", 0.0)])
    half_turn = layer.op("Mul", [layer.op("Cast", [negative], to=ir.DataType.FLOAT), layer.scalar("pi", math.pi)])
    return Tensor(half_turn, x.layout)


@operation("keras.ops.NanToNum", parameters="x nan posinf neginf", needs_batch=False)
def nan_to_num(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x with numbers in place of what is not a number, and of the infinities: those of float32 if none are given."""
    x = arguments.tensor("x")
    largest = float(np.finfo(np.float32).max)
    y = x.value
    infinite = {"posinf": (largest, {"detect_negative": 0}), "neginf": (-largest, {"detect_positive": 0})}
    for name, (default, sign) in infinite.items():
        found = layer.op("IsInf", [x.value], **sign)
        y = layer.op("Where", [found, layer.scalar(name, arguments.number(name, default)), y])
    missing = layer.op("IsNaN", [x.value])
    return Tensor(layer.op("Where", [missing, layer.scalar("nan", arguments.number("nan", 0.0)), y]), x.layout)


@operation(
    "keras.ops.Clip",
    "tf.clip_by_value",
    parameters="x|t x_min|min|clip_value_min x_max|max|clip_value_max",
    needs_batch=False,
)
def clip(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x, no less than one number and no more than another; a bound may also be an array or a tensor."""
    x = arguments.tensor("x")
    bounds = [arguments.operand(name) for name in ("x_min", "x_max")]
    if all(isinstance(bound, np.ndarray) and bound.ndim == 0 for bound in bounds):
        limits = [layer.scalar(name, arguments.number(f"x_{name}")) for name in ("min", "max")]
        return Tensor(layer.op("Clip", [x.value, *limits]), x.layout)
    (value, least, most), layout = aligned([x, *bounds], ir.DataType.FLOAT, layer)
    return Tensor(layer.op("Min", [layer.op("Max", [value, least]), most]), layout)


DTYPES = {
    "float32": ir.DataType.FLOAT,
    "int32": ir.DataType.INT64,
    "int64": ir.DataType.INT64,
    "bool": ir.DataType.BOOL,
}
"""Keras' name of a type -> ours."""


@operation("keras.ops.Cast", "tf.cast", parameters="x dtype", needs_batch=False)
def cast(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x in another type; integers are 64 bits wide here, whatever width is asked for."""
    x, dtype = arguments.operand_or_numbers("x"), read_dtype(arguments, None)
    if isinstance(x, Numbers) and dtype is not ir.DataType.BOOL:
        return as_type(x, dtype, layer)
    return layer.cast(arguments.tensor_of_any_type("x"), dtype)


def read_dtype(arguments: Arguments, default: ir.DataType | None) -> ir.DataType:
    """The type that the argument `dtype` names.

    Raises:
        ConversionError: if it names none of ours, or nothing and there is no default.
    """
    name = arguments.value("dtype")
    if name is None and default is not None:
        return default
    if not isinstance(name, str) or name not in DTYPES:
        raise arguments.refusal("dtype", f"one of the types that are computed in: {', '.join(DTYPES)}")
    return DTYPES[name]


@operation(
    "keras.ops.Copy",
    "keras.ops.ConvertToTensor",
    "keras.ops.Identity",
    "keras.ops.Conj",
    "keras.ops.Conjugate",
    "keras.ops.Real",
    "tf.identity",
    parameters="x|input dtype sparse ragged",
    needs_batch=False,
)
def identity(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x itself."""
    for name in ("sparse", "ragged"):
        arguments.refuse_unless(name, False, "tensors are dense here")
    return cast(arguments, layer) if arguments.has("dtype") else arguments.tensor_of_any_type("x")


@operation("keras.ops.StopGradient", "tf.stop_gradient", parameters="x|variable|input", needs_batch=False)
def stop_gradient(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x itself: ONNX has no word for what training must not differentiate."""
    arguments.notice("stop_gradient", "has no effect: training differentiates what stands before it, too")
    return arguments.tensor_of_any_type("x")


@operation("tf.ensure_shape", "tf.debugging.check_numerics", parameters="x|tensor shape message", needs_batch=False)
def checked(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x itself: what is checked about it changes nothing."""
    for name in ("shape", "message"):
        arguments.value(name)
    return arguments.tensor_of_any_type("x")
