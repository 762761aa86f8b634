"""Operations on matrices, the last two axes of a tensor: triangles, bands, diagonals, traces.

Where the sizes of the matrices are not known, the places of their elements are counted as the graph runs.
"""

from functools import partial

import numpy as np
import onnx_ir as ir

from converters.layers.attention_masks import all_of, place_numbers
from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments
from converters.layers.operations.operands import TYPES
from converters.layers.operations.reductions import reduced
from converters.layers.operations.registry import operation
from converters.layers.operations.shapes import expanded, reordered
from converters.layers.tensor import Layout, Shared, Tensor, shown

__all__ = ["MAX_ENTRIES", "band", "band_part", "cumprod", "diagonal", "diagonal_matrix", "diagonal_part", "trace"]

MAX_ENTRIES = 2**22
"""Of a mask that is made while converting: more would be a mistake."""


def band(x: Tensor, axes: tuple[int, int], low: int | None, high: int | None, layer: LayerBuilder) -> ir.Value:
    """(rows, columns) of booleans, as many as axes of the stored x have places: whether low <= column - row <= high.

    Raises:
        ConversionError: if there are too many.
    """
    sizes = [x.stored_shape[axis] for axis in axes]
    rows, columns = sizes
    if isinstance(rows, int) and isinstance(columns, int):
        if rows * columns > MAX_ENTRIES:
            raise layer.error(f"keeps part of matrices of {rows} x {columns}", f"Use less than {MAX_ENTRIES} elements.")
        distances = np.arange(columns) - np.arange(rows)[:, None]
        kept = (distances >= (-rows if low is None else low)) & (distances <= (columns if high is None else high))
        return layer.constant("mask", kept)
    shape = layer.op("Shape", [x.value])
    of_row, of_column = (place_numbers(shape, axis, size, layer) for axis, size in zip(axes, sizes, strict=True))
    of_row = layer.op("Unsqueeze", [of_row, layer.constant("last_axis", np.array([-1], np.int64))])
    distance = layer.op("Sub", [of_column, of_row])
    # Not GreaterOrEqual, of which no shape is inferred below opset 16.
    limits = {"low": ("Less", low), "high": ("Greater", high)}
    within = [
        layer.op("Not", [layer.op(beyond, [distance, layer.constant(name, np.array(limit, np.int64))])])
        for name, (beyond, limit) in limits.items()
        if limit is not None
    ]
    return all_of(within, layer) or layer.constant("mask", np.ones((1, 1), np.bool_))


def _banded(x: Tensor, low: int | None, high: int | None, layer: LayerBuilder) -> Tensor:
    """x in Keras' order, with 0 outside a band."""
    x = _matrices(x, layer)
    number = layer.constant("zero", np.array(0, TYPES[x.dtype]))
    return Tensor(layer.op("Where", [band(x, (-2, -1), low, high, layer), x.value, number]), Layout.KERAS)


def _matrices(x: Tensor, layer: LayerBuilder) -> Tensor:
    """x in Keras' order, numbers in place of booleans."""
    if x.rank < (2 if isinstance(x, Shared) else 3):
        raise layer.error(f"keeps part of matrices, and its input is {shown(x.shape)}", "Give a tensor of matrices.")
    return layer.keras_order(layer.cast(x, ir.DataType.INT64) if x.dtype is ir.DataType.BOOL else x)


def _triangle(lower: bool, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x, and 0 above or below the k-th diagonal of the last two axes."""
    k = arguments.integer("k", 0)
    return _part(arguments, None if lower else k, k if lower else None, layer)


operation("keras.ops.Tril", parameters="x k", needs_batch=False)(partial(_triangle, True))
operation("keras.ops.Triu", parameters="x k", needs_batch=False)(partial(_triangle, False))


@operation("tf.linalg.band_part", parameters="x|input num_lower num_upper", needs_batch=False)
def band_part(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x, and 0 but on so many diagonals of the last two axes below and above the main one; all, where negative."""
    below, above = (arguments.integer(name) for name in ("num_lower", "num_upper"))
    return _part(arguments, None if below < 0 else -below, None if above < 0 else above, layer)


def _part(arguments: Arguments, low: int | None, high: int | None, layer: LayerBuilder) -> Tensor:
    x = arguments.tensor_of_any_type("x")
    return layer.cast(_banded(x, low, high, layer), x.dtype)


MAIN_DIAGONAL = {"k": 0, "num_rows": -1, "num_cols": -1, "padding_value": 0, "align": "RIGHT_LEFT"}
"""Arguments of TensorFlow that say which diagonals are meant, and what stands beside them -> their defaults."""


def _require_main_diagonal(arguments: Arguments) -> None:
    for name, default in MAIN_DIAGONAL.items():
        arguments.refuse_unless(name, default, "the main diagonal of square matrices is meant here")


@operation("tf.linalg.diag", parameters="x|diagonal k num_rows num_cols padding_value align")
def diagonal_matrix(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Matrices with the last axis of x on their diagonal, and 0 elsewhere."""
    _require_main_diagonal(arguments)
    x = layer.keras_order(arguments.tensor("x"))
    columns = expanded(x, x.rank, layer)  # (..., n, 1)
    y = layer.op("Where", [band(x, (-1, -1), 0, 0, layer), columns.value, layer.scalar("zero", 0.0)])
    return Tensor(y, Layout.KERAS)


@operation("tf.linalg.diag_part", parameters="x|input k padding_value align")
def diagonal_part(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The diagonals of the matrices in the last two axes."""
    _require_main_diagonal(arguments)
    x = arguments.tensor_of_any_type("x")
    return _diagonal(x, 0, layer)


@operation("keras.ops.Diagonal", parameters="x offset axis1 axis2")
def diagonal(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The elements whose place on one axis is that on another, and an offset; behind the other axes."""
    return _diagonal(_of_axes(arguments, layer), arguments.integer("offset", 0), layer)


@operation("keras.ops.Trace", "tf.linalg.trace", parameters="x offset axis1 axis2")
def trace(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The sum of a diagonal."""
    x = arguments.tensor_of_any_type("x") if arguments.of_tensorflow else _of_axes(arguments, layer)
    offset = arguments.integer("offset", 0)
    y = _banded(x, offset, offset, layer)
    return reduced("ReduceSum", y, [y.rank - 2, y.rank - 1], layer, keepdims=False)


def _of_axes(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x with the two axes that are named last."""
    x = arguments.tensor_of_any_type("x")
    axes = [arguments.axis(name, x, default) for name, default in (("axis1", 0), ("axis2", 1))]
    if axes[0] == axes[1]:
        raise arguments.refusal("axis2", 'another axis than "axis1"')
    return reordered(x, [*(axis for axis in range(x.rank) if axis not in axes), *axes], layer)


def _diagonal(x: Tensor, offset: int, layer: LayerBuilder) -> Tensor:
    x = _matrices(x, layer)
    rows, columns = x.shape[-2:]
    summed = x.rank - 1 if offset >= 0 else x.rank - 2
    sums = reduced("ReduceSum", _banded(x, offset, offset, layer), [summed], layer, keepdims=False)
    if rows == columns and offset == 0:
        return sums
    sizes = [layer.known_size(x, axis) for axis in (x.rank - 2, x.rank - 1)]
    count = min(sizes[0] + min(offset, 0), sizes[1] - max(offset, 0))
    if count < 1:
        raise layer.error(f"takes a diagonal that {shown(x.shape)} has not", "Choose a smaller offset.")
    bounds = {"starts": 0, "ends": count, "axes": sums.rank - 1}
    constants = [layer.constant(name, np.array([number], np.int64)) for name, number in bounds.items()]
    return Tensor(layer.op("Slice", [sums.value, *constants]), Layout.KERAS)


@operation("keras.ops.Cumprod", "tf.math.cumprod", parameters="x axis exclusive reverse dtype")
def cumprod(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The product of all elements of an axis up to each; without it if `exclusive`, from it on if `reverse`.

    ONNX has no operator for that: each is the product of a row of a matrix, with ones for the elements left out.
    """
    x = arguments.tensor_of_any_type("x")
    x = layer.keras_order(layer.cast(x, ir.DataType.INT64) if x.dtype is ir.DataType.BOOL else x)
    axis = arguments.axis("axis", x)
    without_own, reverse = (int(arguments.flag(name, default=False)) for name in ("exclusive", "reverse"))
    arguments.refuse_unless(
        "dtype", "float32" if x.dtype is ir.DataType.FLOAT else "int32", "the result has the type of x"
    )
    low, high = (without_own, None) if reverse else (None, -without_own)
    last = [*(other for other in range(x.rank) if other != axis), axis]
    rows = Tensor(layer.transposed(x.value, last), Layout.KERAS)
    factors = expanded(rows, x.rank - 1, layer)  # (..., 1, n)
    zero, one = (layer.constant(name, np.array(i, TYPES[x.dtype])) for i, name in enumerate(("zero", "one")))
    within = band(rows, (-1, -1), low, high, layer)
    # Repeated by an addition: ONNX Runtime's gradient of Where does not add up what Where itself repeats.
    nothing = layer.op("Mul", [layer.op("Cast", [within], to=x.dtype), zero])
    repeated = layer.op("Add", [factors.value, nothing])
    chosen = Tensor(layer.op("Where", [within, repeated, one]), Layout.KERAS)
    products = reduced("ReduceProd", chosen, [x.rank], layer, keepdims=False)
    return Tensor(layer.transposed(products.value, [last.index(other) for other in range(x.rank)]), Layout.KERAS)
