"""Operations that put the entries of an axis in order, or ask for their place in one."""

import math

import numpy as np
import onnx_ir as ir

from converters.layers.attention_masks import place_numbers
from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments
from converters.layers.operations.reductions import reduced
from converters.layers.operations.registry import operation
from converters.layers.operations.shapes import expanded
from converters.layers.tensor import Layout, Tensor

__all__ = ["argsort", "digitize", "median", "percentile", "quantile", "search_sorted", "sort", "sparsemax", "top_k"]


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
    return _first_of_order(x, axis, _size(x, axis, layer), descending, layer)


@operation("keras.ops.TopK", "tf.math.top_k", parameters="x|input k sorted")
def top_k(arguments: Arguments, layer: LayerBuilder) -> tuple[Tensor, ...]:
    """The k largest channels of each cell in falling order, and their positions."""
    x = arguments.tensor("x")
    arguments.flag("sorted", default=True)  # an order is no mistake where none is asked for
    axis, count = x.stored_axis(x.rank - 1), arguments.integer("k", 1)
    if count > layer.known_size(x, axis):
        raise arguments.refusal("k", f"no more than the {x.shape[-1]} elements of the last axis")
    return _first_of_order(x, axis, count, True, layer)


def _size(x: Tensor, stored_axis: int, layer: LayerBuilder) -> int | ir.Value:
    """How many elements an axis has: (1,), where that is known only when the graph runs."""
    size = x.stored_shape[stored_axis]
    if isinstance(size, int):
        return size
    axis = layer.constant("axis", np.array([stored_axis], np.int64))
    return layer.op("Gather", [layer.op("Shape", [x.value]), axis])


def _first_of_order(
    x: Tensor, stored_axis: int, count: int | ir.Value, descending: bool, layer: LayerBuilder
) -> tuple[Tensor, Tensor]:
    """So many elements along an axis, in order, and their positions."""
    k = layer.constant("k", np.array([count], np.int64)) if isinstance(count, int) else count
    values, places = layer.op_outputs("TopK", [x.value, k], 2, axis=stored_axis, largest=int(descending))
    if not isinstance(count, int):
        for value in (values, places):
            layer.declare(value, x.stored_shape)
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
    last = layer.transposed(x.value, [*others, *axes])
    sizes = [x.shape[axis] for axis in axes]
    known = [size for size in sizes if isinstance(size, int)]
    count = math.prod(known) if len(known) == len(sizes) else -1
    flat = Tensor(
        layer.op("Reshape", [last, layer.constant("shape", np.array([*[0] * len(others), count]))]), Layout.KERAS
    )
    entries = _size(flat, len(others), layer)
    ordered, _places = _first_of_order(flat, len(others), entries, False, layer)
    y = Tensor(_at_share(ordered.value, len(others), entries, share, layer), Layout.KERAS)
    for axis in sorted(axes) if keepdims else ():
        y = expanded(y, axis, layer)
    return y


def _at_share(ordered: ir.Value, axis: int, count: int | ir.Value, share: float, layer: LayerBuilder) -> ir.Value:
    """What stands at a share of the way along an axis of so many elements, or between two."""
    if isinstance(count, int):
        return _between(ordered, axis, share * (count - 1), layer)
    one = layer.constant("one", np.array([1], np.int64))
    last = layer.op("Cast", [layer.op("Sub", [count, one])], to=ir.DataType.FLOAT)
    place = layer.op("Mul", [last, layer.scalar("share", share)])
    rounded = {"Floor": layer.op("Floor", [place]), "Ceil": layer.op("Ceil", [place])}
    first = layer.constant("first", np.array(0, np.int64))
    low, high = (
        layer.op(
            "Gather", [ordered, layer.op("Gather", [layer.op("Cast", [end], to=ir.DataType.INT64), first])], axis=axis
        )
        for end in rounded.values()
    )
    step = layer.op("Sub", [place, rounded["Floor"]])
    return layer.op("Add", [low, layer.op("Mul", [layer.op("Sub", [high, low]), step])])


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


@operation("keras.ops.Sparsemax", parameters="x axis")
def sparsemax(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """What of each element is above a threshold, (the sum of the sums up to the k largest - 1) / k.

    Algorithm 1 of Martins and Astudillo, "From Softmax to Sparsemax", 2016, takes the last of these sums, so that what
    is above the threshold adds up to 1. Keras takes the sum of all, and networks were trained with that.
    Source: `sparsemax` in keras/src/backend/torch/nn.py and its other backends.
    """
    x = layer.keras_order(arguments.tensor("x"))
    axis = arguments.axis("axis", x, -1)
    order = [*(other for other in range(x.rank) if other != axis), axis]
    rows = Tensor(layer.transposed(x.value, order), Layout.KERAS)
    last = x.rank - 1
    ordered, _places = _first_of_order(rows, last, _size(rows, last, layer), True, layer)
    one, zero = layer.scalar("one", 1.0), layer.scalar("zero", 0.0)
    places = place_numbers(layer.op("Shape", [rows.value]), -1, rows.shape[-1], layer)
    counts = layer.op("Add", [layer.op("Cast", [places], to=ir.DataType.FLOAT), one])
    sums = layer.op("CumSum", [ordered.value, layer.constant("axis", np.array(last, np.int64))])
    above = layer.op("Greater", [layer.op("Add", [layer.op("Mul", [ordered.value, counts]), one]), sums])
    kept = Tensor(layer.op("Where", [above, sums, zero]), Layout.KERAS)
    total = reduced("ReduceSum", kept, [last], layer, keepdims=True)
    number = Tensor(layer.op("Cast", [above], to=ir.DataType.FLOAT), Layout.KERAS)
    number = reduced("ReduceSum", number, [last], layer, keepdims=True)
    threshold = layer.op("Div", [layer.op("Sub", [total.value, one]), number.value])
    y = layer.op("Relu", [layer.op("Sub", [rows.value, threshold])])
    return Tensor(layer.transposed(y, [order.index(other) for other in range(x.rank)]), Layout.KERAS)


@operation("keras.ops.SearchSorted", parameters="sorted_sequence values side")
def search_sorted(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Where each value would stand in a rising list: before those that are equal to it, or behind them."""
    operators = {"left": "Greater", "right": "GreaterOrEqual"}
    values = layer.keras_order(arguments.tensor("values"))
    operator = arguments.choice("side", operators, "left")
    return counted_borders(values, arguments.array("sorted_sequence", 1), layer, operator)


def counted_borders(
    x: Tensor,
    borders: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    layer: LayerBuilder,
    operator: str = "GreaterOrEqual",
) -> Tensor:
    """How many of some numbers each element of x, in Keras' order, is not below, or above: an integer."""
    cells = expanded(x, x.rank, layer)
    passed = layer.op(operator, [cells.value, layer.constant("borders", borders)])
    return reduced(
        "ReduceSum", layer.cast(Tensor(passed, Layout.KERAS), ir.DataType.INT64), [x.rank], layer, keepdims=False
    )
