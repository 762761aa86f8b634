"""Operations that reduce axes: sums, means, extremes, norms, positions, and sums along an axis."""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import onnx_ir as ir

from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments
from converters.layers.operations.numbers import product
from converters.layers.operations.registry import operation
from converters.layers.tensor import Numbers, Tensor

__all__ = [
    "average",
    "count_nonzero",
    "cumsum",
    "moments",
    "nan_mean",
    "peak_to_peak",
    "reduced",
    "standard_deviation",
    "trapezoid",
    "variance",
]

FLOAT, INT64, BOOL = ir.DataType.FLOAT, ir.DataType.INT64, ir.DataType.BOOL

REDUCTION = "x|input_tensor|input axis|axes|reduction_indices keepdims|keep_dims"

OPERATORS = {
    "ReduceMax": ("keras.ops.Max", "keras.ops.Amax", "tf.math.reduce_max"),
    "ReduceMin": ("keras.ops.Min", "keras.ops.Amin", "tf.math.reduce_min"),
    "ReduceProd": ("keras.ops.Prod", "tf.math.reduce_prod"),
    "ReduceSum": ("keras.ops.Sum", "tf.math.reduce_sum"),
}
"""ONNX operator -> operations that are it, and give integers for integers."""

FLOAT_OPERATORS = {
    "ReduceL2": ("tf.math.reduce_euclidean_norm",),
    "ReduceLogSumExp": ("keras.ops.Logsumexp", "tf.math.reduce_logsumexp"),
    "ReduceMean": ("keras.ops.Mean", "tf.math.reduce_mean"),
}
"""ONNX operator -> operations that are it, and give floats."""

CONNECTIVES = {
    "ReduceMax": ("keras.ops.Any", "tf.math.reduce_any"),
    "ReduceMin": ("keras.ops.All", "tf.math.reduce_all"),
}
"""ONNX operator on 0 and 1 -> operations on false and true."""


def reduced(op_type: str, x: Tensor, keras_axes: Sequence[int], layer: LayerBuilder, *, keepdims: bool) -> Tensor:
    """x reduced over axes, counted from 0, which stay with size 1 if `keepdims` says so."""
    if not keras_axes:
        return x
    stored = sorted(x.stored_axis(axis) for axis in keras_axes)
    y = layer.op(op_type, [x.value], axes=stored, keepdims=int(keepdims))
    return Tensor(y, x.layout if keepdims else x.layout_without(keras_axes))


def _axes_and_keepdims(arguments: Arguments, x: Tensor) -> tuple[tuple[int, ...], bool]:
    return arguments.axes("axis", x), arguments.flag("keepdims", default=False)


def _reduction(op_type: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x reduced over axes, in the type of x; true counts as 1."""
    numbers = arguments.operand_or_numbers("x")
    if isinstance(numbers, Numbers) and op_type == "ReduceProd" and arguments.integers("axis", (0,)) == (0,):
        return product(numbers, layer)
    x = arguments.tensor_of_any_type("x")
    x = layer.cast(x, INT64) if x.dtype is BOOL else x
    axes, keepdims = _axes_and_keepdims(arguments, x)
    arguments.refuse_unless("dtype", "float32" if x.dtype is FLOAT else "int32", "the result has the type of x")
    y = reduced(op_type, x, axes, layer, keepdims=keepdims)
    if not arguments.has("initial"):
        return y
    if op_type not in ("ReduceMax", "ReduceMin"):
        raise arguments.refusal("initial", "none")
    initial = layer.scalar("initial", arguments.number("initial"))
    return Tensor(layer.op(op_type.removeprefix("Reduce"), [layer.cast(y, FLOAT).value, initial]), y.layout)


for _op_type, _names in OPERATORS.items():
    operation(*_names, parameters=REDUCTION, needs_batch=False)(partial(_reduction, _op_type))


def _float_reduction(op_type: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x reduced over axes; TensorFlow's mean of integers is one, without what stands behind the point."""
    given = arguments.tensor_of_any_type("x")
    if op_type == "ReduceMean" and given.dtype is INT64 and arguments.of_tensorflow:
        return _mean_of_integers(given, arguments, layer)
    x = arguments.tensor("x")
    axes, keepdims = _axes_and_keepdims(arguments, x)
    return reduced(op_type, x, axes, layer, keepdims=keepdims)


def _mean_of_integers(x: Tensor, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    axes, keepdims = _axes_and_keepdims(arguments, x)
    total = reduced("ReduceSum", x, axes, layer, keepdims=keepdims)
    count = layer.constant("count", np.array(math.prod(layer.known_size(x, x.stored_axis(axis)) for axis in axes)))
    return Tensor(layer.op("Div", [total.value, count]), total.layout)


for _op_type, _names in FLOAT_OPERATORS.items():
    operation(*_names, parameters=REDUCTION, needs_batch=False)(partial(_float_reduction, _op_type))


def _connective(op_type: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Whether any or all elements are true, over axes."""
    x = layer.cast(arguments.tensor_of_any_type("x"), BOOL)
    axes, keepdims = _axes_and_keepdims(arguments, x)
    return layer.cast(reduced(op_type, layer.cast(x, FLOAT), axes, layer, keepdims=keepdims), BOOL)


for _op_type, _names in CONNECTIVES.items():
    operation(*_names, parameters=REDUCTION, needs_batch=False)(partial(_connective, _op_type))


@operation("keras.ops.Var", "tf.math.reduce_variance", parameters=REDUCTION, needs_batch=False)
def variance(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The mean of the squared distances from the mean, over axes."""
    x = arguments.tensor("x")
    axes, keepdims = _axes_and_keepdims(arguments, x)
    return _variance(x, axes, layer, keepdims=keepdims)


@operation("keras.ops.Std", "tf.math.reduce_std", parameters=REDUCTION, needs_batch=False)
def standard_deviation(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The square root of the variance, over axes."""
    y = variance(arguments, layer)
    return Tensor(layer.op("Sqrt", [y.value]), y.layout)


def _variance(x: Tensor, axes: Sequence[int], layer: LayerBuilder, *, keepdims: bool) -> Tensor:
    mean = reduced("ReduceMean", x, axes, layer, keepdims=True)
    distance = layer.op("Sub", [x.value, mean.value])
    square = Tensor(layer.op("Mul", [distance, distance]), x.layout)
    return reduced("ReduceMean", square, axes, layer, keepdims=keepdims)


@operation("keras.ops.Moments", parameters=REDUCTION, needs_batch=False)
def moments(arguments: Arguments, layer: LayerBuilder) -> tuple[Tensor, ...]:
    """Mean and variance over axes."""
    x = arguments.tensor("x")
    axes, keepdims = _axes_and_keepdims(arguments, x)
    arguments.refuse_unless("synchronized", False, "there is one device here")
    return reduced("ReduceMean", x, axes, layer, keepdims=keepdims), _variance(x, axes, layer, keepdims=keepdims)


@operation("keras.ops.CountNonzero", "tf.math.count_nonzero", parameters=REDUCTION, needs_batch=False)
def count_nonzero(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """How many elements are not 0, over axes."""
    x = layer.cast(layer.cast(arguments.tensor_of_any_type("x"), BOOL), INT64)
    axes, keepdims = _axes_and_keepdims(arguments, x)
    arguments.refuse_unless("dtype", "int64", "what is counted is an integer")
    return reduced("ReduceSum", x, axes, layer, keepdims=keepdims)


@operation("keras.ops.Ptp", parameters=REDUCTION, needs_batch=False)
def peak_to_peak(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The largest element less the smallest, over axes."""
    x = arguments.tensor("x")
    axes, keepdims = _axes_and_keepdims(arguments, x)
    most, least = (reduced(op_type, x, axes, layer, keepdims=keepdims) for op_type in ("ReduceMax", "ReduceMin"))
    return Tensor(layer.op("Sub", [most.value, least.value]), most.layout)


@operation("keras.ops.Average", parameters="x weights axis")
def average(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The mean over axes; with weights, over one axis, each of whose entries counts as often as its weight says."""
    x = arguments.tensor("x")
    axes = arguments.axes("axis", x)
    if not arguments.has("weights"):
        return reduced("ReduceMean", x, axes, layer, keepdims=False)
    weights = arguments.array("weights", 1)
    if len(axes) != 1 or x.shape[axes[0]] not in (len(weights), None) or not weights.sum():
        raise arguments.refusal("weights", "a weight for each entry of one axis, whose sum is not 0")
    stored = x.stored_axis(axes[0])
    shares = (weights / weights.sum()).reshape([-1 if axis == stored else 1 for axis in range(x.rank)])
    weighted = Tensor(layer.op("Mul", [x.value, layer.constant("weights", shares)]), x.layout)
    return reduced("ReduceSum", weighted, axes, layer, keepdims=False)


def _position(op_type: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The position of the largest or smallest element along one axis, the first of several: an integer."""
    x = arguments.tensor("x")
    axis, keepdims = arguments.axis("axis", x), arguments.flag("keepdims", default=False)
    if arguments.value("output_type", "int64") not in ("int32", "int64"):
        raise arguments.refusal("output_type", '"int32" or "int64"')
    y = layer.op(op_type, [x.value], axis=x.stored_axis(axis), keepdims=int(keepdims))
    return Tensor(y, x.layout if keepdims else x.layout_without([axis]))


for _op_type, _names in {
    "ArgMax": ("keras.ops.Argmax", "tf.math.argmax"),
    "ArgMin": ("keras.ops.Argmin", "tf.math.argmin"),
}.items():
    operation(*_names, parameters="x|input axis keepdims output_type", needs_batch=False)(partial(_position, _op_type))


@operation("keras.ops.Cumsum", "tf.math.cumsum", parameters="x axis exclusive reverse", needs_batch=False)
def cumsum(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The sum of all elements of an axis up to each; without it if `exclusive`, from it on if `reverse`."""
    x = arguments.tensor_of_any_type("x")
    x = layer.cast(x, INT64) if x.dtype is BOOL else x
    axis = layer.constant("axis", np.array(x.stored_axis(arguments.axis("axis", x)), np.int64))
    flags = {name: int(arguments.flag(name, default=False)) for name in ("exclusive", "reverse")}
    arguments.refuse_unless("dtype", "float32" if x.dtype is FLOAT else "int32", "the result has the type of x")
    return Tensor(layer.op("CumSum", [x.value, axis], **flags), x.layout)


@operation("keras.ops.Diff", parameters="a n axis")
def diff(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Each element of an axis less the one before it, n times over.

    Raises ConversionError if nothing would be left.
    """
    x = arguments.tensor("a")
    axis, times = arguments.axis("axis", x, -1), arguments.integer("n", 1, minimum=0)
    size = x.shape[axis]
    if isinstance(size, int) and times >= size:
        raise arguments.refusal("n", f"less than the {x.shape[axis]} elements of the axis")
    for _time in range(times):
        later, earlier = _neighbours(x, axis, layer)
        x = Tensor(layer.op("Sub", [later, earlier]), x.layout)
    return x


@operation("keras.ops.Trapezoid", parameters="y x dx axis")
def trapezoid(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The area under y along an axis: the sum of the means of neighbours, each times dx."""
    y = arguments.tensor("y")
    arguments.refuse_unless("x", None, "points at equal distances, dx, are all that we know")
    axis, step = arguments.axis("axis", y, -1), arguments.number("dx", 1.0)
    later, earlier = _neighbours(y, axis, layer)
    twice = reduced("ReduceSum", Tensor(layer.op("Add", [later, earlier]), y.layout), [axis], layer, keepdims=False)
    return Tensor(layer.op("Mul", [twice.value, layer.scalar("half_step", step / 2)]), twice.layout)


def _neighbours(x: Tensor, axis: int, layer: LayerBuilder) -> tuple[ir.Value, ir.Value]:
    """All elements of an axis but the first, and all but the last."""
    axes = layer.constant("axes", np.array([x.stored_axis(axis)], np.int64))
    first, last = (layer.constant(name, np.array([place], np.int64)) for name, place in (("one", 1), ("last", -1)))
    start, end = (
        layer.constant(name, np.array([place], np.int64))
        for name, place in (("zero", 0), ("end", np.iinfo(np.int64).max))
    )
    return layer.op("Slice", [x.value, first, end, axes]), layer.op("Slice", [x.value, start, last, axes])


@operation(
    "keras.ops.Norm",
    "tf.compat.v1.norm",
    "tf.norm",
    parameters="x|tensor ord axis keepdims|keep_dims",
    needs_batch=False,
)
def norm(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The length of vectors along one axis, or with the default order of matrices along two.

    Source: keras.io/api/ops/linalg; the orders are those of numpy.linalg.norm.
    """
    x, order = arguments.tensor("x"), arguments.value("ord", "euclidean")
    axes, keepdims = arguments.axes("axis", x), arguments.value("keepdims", False) is True
    if order in ("euclidean", "fro", 2) and not isinstance(order, bool) and (order != 2 or len(axes) == 1):
        return reduced("ReduceL2", x, axes, layer, keepdims=keepdims)
    power = arguments.number("ord")
    if len(axes) != 1:
        raise arguments.refusal("ord", 'the default, or "fro": of a matrix we know no other norm')
    return _vector_norm(x, power, axes, layer, keepdims=keepdims)


def _vector_norm(x: Tensor, power: float, axes: Sequence[int], layer: LayerBuilder, *, keepdims: bool) -> Tensor:
    """The sum of the sizes to a power, and of that the root; with power 0, the number of elements that are not 0."""
    if power == 1:
        return reduced("ReduceL1", x, axes, layer, keepdims=keepdims)
    if power == 0:
        counted = layer.cast(layer.cast(x, BOOL), FLOAT)
        return reduced("ReduceSum", counted, axes, layer, keepdims=keepdims)
    raised = layer.op("Pow", [layer.op("Abs", [x.value]), layer.scalar("power", power)])
    total = reduced("ReduceSum", Tensor(raised, x.layout), axes, layer, keepdims=keepdims)
    return Tensor(layer.op("Pow", [total.value, layer.scalar("root", 1 / power)]), total.layout)


SMALLEST_LENGTH = 1e-7
"""Keras' `backend.epsilon()`."""


@operation("keras.ops.Normalize", parameters="x axis order epsilon", needs_batch=False)
def normalize(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x divided by its length along axes, or by a small number if that is larger."""
    x = arguments.tensor("x")
    axes, order = arguments.axes("axis", x, (-1,)), arguments.integer("order", 2, minimum=1)
    smallest = layer.scalar("smallest", arguments.number("epsilon", SMALLEST_LENGTH))
    if order != 2 and len(axes) != 1:
        raise arguments.refusal("order", "2, or name one axis")
    length = (
        reduced("ReduceL2", x, axes, layer, keepdims=True)
        if order == 2
        else _vector_norm(x, float(order), axes, layer, keepdims=True)
    )
    return Tensor(layer.op("Div", [x.value, layer.op("Max", [length.value, smallest])]), x.layout)


@operation("tf.math.l2_normalize", parameters="x axis|dim epsilon", needs_batch=False)
def l2_normalize(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x divided by the root of its squares' sum along axes, or of a small number if that is larger."""
    x = arguments.tensor("x")
    axes = arguments.axes("axis", x)
    squares = Tensor(layer.op("Mul", [x.value, x.value]), x.layout)
    total = reduced("ReduceSum", squares, axes, layer, keepdims=True)
    least = layer.op("Max", [total.value, layer.scalar("smallest", arguments.number("epsilon", 1e-12))])
    return Tensor(layer.op("Div", [x.value, layer.op("Sqrt", [least])]), x.layout)


NAN_REDUCTIONS: dict[str, tuple[str, float]] = {
    "keras.ops.Nansum": ("ReduceSum", 0.0),
    "keras.ops.Nanprod": ("ReduceProd", 1.0),
    "keras.ops.Nanmax": ("ReduceMax", -math.inf),
    "keras.ops.Nanmin": ("ReduceMin", math.inf),
}
"""Operation -> ONNX operator, and what stands for what is no number."""


def _without_nan(op_type: str, stand_in: float, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x reduced over axes, what is no number left out; an extreme of no numbers is none."""
    x = arguments.tensor("x")
    axes, keepdims = _axes_and_keepdims(arguments, x)
    y = reduced(op_type, _nan_replaced(x, stand_in, layer), axes, layer, keepdims=keepdims)
    if math.isfinite(stand_in):
        return y
    none_left = layer.op("Equal", [_numbers_left(x, axes, keepdims, layer).value, layer.scalar("none", 0.0)])
    return Tensor(layer.op("Where", [none_left, layer.scalar("nan", math.nan), y.value]), y.layout)


for _name, (_op_type, _stand_in) in NAN_REDUCTIONS.items():
    operation(_name, parameters="x axis keepdims")(partial(_without_nan, _op_type, _stand_in))


@operation("keras.ops.Nanmean", parameters="x axis keepdims")
def nan_mean(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The mean over axes, what is no number left out."""
    x = arguments.tensor("x")
    axes, keepdims = _axes_and_keepdims(arguments, x)
    total = reduced("ReduceSum", _nan_replaced(x, 0.0, layer), axes, layer, keepdims=keepdims)
    return Tensor(layer.op("Div", [total.value, _numbers_left(x, axes, keepdims, layer).value]), total.layout)


def _nan_replaced(x: Tensor, stand_in: float, layer: LayerBuilder) -> Tensor:
    missing = layer.op("IsNaN", [x.value])
    return Tensor(layer.op("Where", [missing, layer.scalar("stand_in", stand_in), x.value]), x.layout)


def _numbers_left(x: Tensor, axes: Sequence[int], keepdims: bool, layer: LayerBuilder) -> Tensor:
    """How many elements are numbers, over axes."""
    numbers = Tensor(layer.op("Not", [layer.op("IsNaN", [x.value])]), x.layout)
    return reduced("ReduceSum", layer.cast(numbers, FLOAT), axes, layer, keepdims=keepdims)
