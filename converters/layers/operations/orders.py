"""Operations that put the entries of an axis in order, or ask for their place in one."""

import math

import numpy as np
import onnx_ir as ir

from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments
from converters.layers.operations.reductions import reduced
from converters.layers.operations.registry import operation
from converters.layers.operations.shapes import expanded
from converters.layers.tensor import Layout, Tensor

__all__ = ["argsort", "digitize", "median", "percentile", "quantile", "sort", "top_k"]


@operation("keras.ops.Sort", "tf.sort", parameters="x|values axis direction")
def sort(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The elements along one axis in rising order."""
    return _sorted(arguments, layer)[0]


@operation("keras.ops.Argsort", "tf.argsort", parameters="x|values axis direction stable")
def argsort(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The positions of the elements along one axis, in rising order of the elements."""
    arguments.value("stable")
    return _sorted(arguments, layer)[1]


def _sorted(arguments: Arguments, layer: LayerBuilder) -> tuple[Tensor, Tensor]:
    x = arguments.tensor("x")
    axis = x.stored_axis(arguments.axis("axis", x, -1))
    descending = arguments.choice("direction", {"ascending": False, "descending": True}, "ascending")
    return _first_of_order(x, axis, layer.known_size(x, axis), descending, layer)


@operation("keras.ops.TopK", "tf.math.top_k", parameters="x|input k sorted")
def top_k(arguments: Arguments, layer: LayerBuilder) -> tuple[Tensor, ...]:
    """The k largest channels of each cell in falling order, and their positions."""
    x = arguments.tensor("x")
    arguments.flag("sorted", default=True)  # an order is no mistake where none is asked for
    axis, count = x.stored_axis(x.rank - 1), arguments.integer("k", 1)
    if count > layer.known_size(x, axis):
        raise arguments.refusal("k", f"no more than the {x.shape[-1]} elements of the last axis")
    return _first_of_order(x, axis, count, True, layer)


def _first_of_order(
    x: Tensor, stored_axis: int, count: int, descending: bool, layer: LayerBuilder
) -> tuple[Tensor, Tensor]:
    """So many elements along an axis, in order, and their positions."""
    k = layer.constant("k", np.array([count], np.int64))
    values, places = layer.op_outputs("TopK", [x.value, k], 2, axis=stored_axis, largest=int(descending))
    return Tensor(values, x.layout), Tensor(places, x.layout)


QUANTILE = "x q axis method keepdims"


@operation("keras.ops.Quantile", parameters=QUANTILE)
def quantile(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The number that a share q of the elements over axes is not above, interpolated between neighbours."""
    return _quantile(arguments.number("q"), arguments, layer)


@operation("keras.ops.Percentile", parameters=QUANTILE)
def percentile(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """As a quantile, with q in percent."""
    return _quantile(arguments.number("q") / 100, arguments, layer)


@operation("keras.ops.Median", parameters=QUANTILE)
def median(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The element in the middle of the order over axes, or the mean of two."""
    return _quantile(0.5, arguments, layer)


def _quantile(share: float, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    x = layer.keras_order(arguments.tensor("x"))
    axes, keepdims = arguments.axes("axis", x), arguments.flag("keepdims", default=False)
    arguments.refuse_unless("method", "linear", "neighbours are interpolated between here")
    if not 0 <= share <= 1 or not axes:
        raise arguments.refusal(
            "q" if axes else "axis", "a share of all, from none of them to all" if axes else "an axis"
        )
    others = [axis for axis in range(x.rank) if axis not in axes]
    sizes = [layer.known_size(x, axis) for axis in others[1:]]
    count = math.prod(layer.known_size(x, axis) for axis in axes)
    last = layer.transposed(x.value, [*others, *axes])
    flat = layer.op("Reshape", [last, layer.constant("shape", np.array([0, *sizes, count], np.int64))])
    ordered, _places = _first_of_order(Tensor(flat, Layout.KERAS), len(others), count, False, layer)
    y = Tensor(_between(ordered.value, len(others), share * (count - 1), layer), Layout.KERAS)
    for axis in sorted(axes) if keepdims else ():
        y = expanded(y, axis, layer)
    return y


def _between(ordered: ir.Value, axis: int, place: float, layer: LayerBuilder) -> ir.Value:
    """What stands at a place of an axis, or between two."""
    below = math.floor(place)
    low = layer.op("Gather", [ordered, layer.constant("below", np.array(below, np.int64))], axis=axis)
    if below == place:
        return low
    high = layer.op("Gather", [ordered, layer.constant("above", np.array(below + 1, np.int64))], axis=axis)
    step = layer.op("Mul", [layer.op("Sub", [high, low]), layer.scalar("share", place - below)])
    return layer.op("Add", [low, step])


@operation("keras.ops.Digitize", parameters="x bins")
def digitize(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """How many of the borders, which rise, each element is not below."""
    x = layer.keras_order(arguments.tensor("x"))
    return counted_borders(x, arguments.array("bins", 1), layer)


def counted_borders(
    x: Tensor, borders: np.ndarray[tuple[int, ...], np.dtype[np.float32]], layer: LayerBuilder
) -> Tensor:
    """How many of some numbers each element of x, in Keras' order, is not below: an integer."""
    cells = expanded(x, x.rank, layer)
    passed = layer.op("GreaterOrEqual", [cells.value, layer.constant("borders", borders)])
    return reduced(
        "ReduceSum", layer.cast(Tensor(passed, Layout.KERAS), ir.DataType.INT64), [x.rank], layer, keepdims=False
    )
