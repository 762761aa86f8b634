"""Operations that give tensors without a batch, or repeat them for it: ranges, numbers in a shape, tiles."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import onnx_ir as ir

from converters.json_arrays import Array
from converters.layers.extents import vector
from converters.layers.graph_builder import BATCH
from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments
from converters.layers.operations.elementwise import read_dtype
from converters.layers.operations.numbers import as_type, joined, numbers_of
from converters.layers.operations.operands import TYPES
from converters.layers.operations.registry import operation
from converters.layers.tensor import Extent, Layout, Numbers, Shared, Size, Tensor, shown

__all__ = ["broadcast_to", "range_", "tile", "tiled"]

FLOAT, INT64 = ir.DataType.FLOAT, ir.DataType.INT64

MAX_ENTRIES = 2**22
"""Of what is computed while converting: more would be a mistake."""


@operation("tf.range", parameters="start limit delta dtype")
def range_(arguments: Arguments, layer: LayerBuilder) -> Shared:
    """The numbers from a first one on, 0 if none is given, up to a limit, without it.

    Raises ConversionError if there are none, or as many as the batch has samples.
    """
    first, limit = ("start", "limit") if arguments.has("limit") else ("limit", "start")
    names = {first: 0, limit: None, "delta": 1}
    bounds = [_bound(name, default, arguments, layer) for name, default in names.items()]
    dtype = read_dtype(arguments, FLOAT if FLOAT in [bound.dtype for bound in bounds] else INT64)
    items = [bound.items[0] for bound in bounds]
    known = [item for item in items if isinstance(item, int | float)]
    if len(known) == len(items):
        return _known_range(known, limit, dtype, arguments, layer)
    if FLOAT in [bound.dtype for bound in bounds] or layer.is_batch(items[1]):
        raise arguments.refusal(limit, "whole numbers, of which none is the size of the batch")
    place = layer.constant("place", np.array(0, np.int64))
    y = layer.op("Range", [layer.op("Gather", [bound.value, place]) for bound in bounds])
    layer.declare(y, [items[1] if isinstance(items[1], str) and (items[0], items[2]) == (0, 1) else None])
    return Shared(layer.cast(Shared(y, Layout.KERAS), dtype).value, Layout.KERAS)


def _bound(name: str, default: int | None, arguments: Arguments, layer: LayerBuilder) -> Numbers:
    given = np.array(default) if default is not None and not arguments.has(name) else arguments.given(name)
    if isinstance(given, Tensor) and not isinstance(given, Numbers):
        raise arguments.refusal(name, "a number, or one that was computed from a shape")
    numbers = numbers_of(given, layer)
    if len(numbers.items) != 1:
        raise arguments.refusal(name, "one number")
    return numbers


def _known_range(
    bounds: Sequence[float], limit: str, dtype: ir.DataType, arguments: Arguments, layer: LayerBuilder
) -> Shared:
    start, stop, step = bounds
    if step == 0 or not 0 < (stop - start) / step <= MAX_ENTRIES:
        raise arguments.refusal(limit, f"a limit that is reached after 1 to {MAX_ENTRIES} numbers")
    return Shared(layer.constant("range", np.arange(start, stop, step).astype(TYPES[dtype])), Layout.KERAS)


def _filled(number: float | None, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """A number, the same for all elements, in a shape that is computed from others.

    Raises ConversionError if the size of the batch is another than the first.
    """
    sizes = _sizes("shape", arguments, layer)
    dtype = read_dtype(arguments, FLOAT)
    value = arguments.number("value") if number is None else number
    y = layer.op("Expand", [layer.constant("number", np.array(value).astype(TYPES[dtype])), sizes.value])
    return _declared(y, sizes.items, layer)


operation("tf.fill", parameters="shape|dims value dtype layout")(partial(_filled, None))
operation("tf.zeros", parameters="shape dtype layout")(partial(_filled, 0.0))
operation("tf.ones", parameters="shape dtype layout")(partial(_filled, 1.0))


def _sizes(name: str, arguments: Arguments, layer: LayerBuilder) -> Numbers:
    """Sizes, some of them computed from a shape; the batch's, which may only be the first, is so."""
    operands = arguments.operands_or_numbers(name)
    known = not any(isinstance(x, Tensor) and not isinstance(x, Numbers) for x in operands)
    sizes = as_type(joined(operands, layer), INT64, layer) if known else None
    if sizes is None or BATCH in sizes.items[1:] or any(isinstance(size, int) and size < 1 for size in sizes.items):
        raise arguments.refusal(name, "sizes, some computed from the shape of a tensor; the batch's can be the first")
    return sizes


def _declared(value: ir.Value, sizes: Sequence[float | str | None], layer: LayerBuilder) -> Tensor:
    """A value with its sizes, of which the first stands for the batch if that is known by name, or by its number."""
    first, *others = [size if isinstance(size, int | str) else None for size in sizes] or [None]
    has_batch = layer.is_batch(first)
    layer.declare(value, [BATCH if has_batch else first, *others])
    return Tensor(value, Layout.KERAS) if has_batch else Shared(value, Layout.KERAS)


@operation("keras.ops.Tile", "tf.tile", parameters="x|input repeats|multiples", needs_batch=False)
def tile(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x so many times in a row along each axis; numbers that are missing stand for the first axes, and are 1.

    What has no batch, or is an array, may be repeated along its first axis for the batch.
    """
    x = arguments.operand("x")
    if not isinstance(x, Tensor) or isinstance(x, Shared):
        times_or_batch = _sizes("repeats", arguments, layer)
        if len(times_or_batch.items) != len(x.shape) or (times_or_batch.items[0] == BATCH and x.shape[0] != 1):
            expected = f"a number for each axis of {shown(x.shape)}; the batch's for one of size 1"
            raise arguments.refusal("repeats", expected)
        return tiled(x, times_or_batch, layer)
    times = arguments.extents("repeats")
    times = [1] * (x.rank - len(times)) + times
    if len(times) > x.rank or times[0] != 1 or -1 in times:
        raise arguments.refusal("repeats", f"{x.rank} numbers from 1 on, the first of them 1: the batch stays as it is")
    return Tensor(layer.op("Tile", [x.value, vector("repeats", _in_stored_order(times, x), layer)]), x.layout)


def tiled(x: Tensor | Array, times: Numbers, layer: LayerBuilder) -> Tensor:
    """What has no batch, so many times along each axis."""
    y = layer.op("Tile", [_value(x, layer), times.value])
    return _declared(y, [_times(size, count) for size, count in zip(x.shape, times.items, strict=True)], layer)


def _times(size: Size, count: float | str | None) -> float | str | None:
    if isinstance(size, int) and isinstance(count, int):
        return size * count
    return count if size == 1 else size if count == 1 else None


def _value(x: Tensor | Array, layer: LayerBuilder) -> ir.Value:
    if isinstance(x, Tensor):
        return x.value
    return layer.constant("array", np.ascontiguousarray(x))


def _in_stored_order(extents: Sequence[Extent], x: Tensor) -> list[Extent]:
    """One number for each Keras axis, in the order of the ONNX value."""
    return [extents[axis] for axis in sorted(range(x.rank), key=x.stored_axis)]


@operation("keras.ops.BroadcastTo", "tf.broadcast_to", parameters="x|input shape", needs_batch=False)
def broadcast_to(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x with its axes of size 1 repeated; what has no batch, or is an array, gets axes before, too."""
    x = arguments.operand("x")
    if not isinstance(x, Tensor) or isinstance(x, Shared):
        wanted = _sizes("shape", arguments, layer)
        places = len(wanted.items) - len(x.shape)
        pairs = list(zip(x.shape, wanted.items[max(places, 0) :], strict=False))
        if places < 0 or any(m not in (1, n) for m, n in pairs if isinstance(m, int) and isinstance(n, int | str)):
            raise arguments.refusal("shape", f"sizes that {shown(x.shape)} can be repeated to")
        return _declared(layer.op("Expand", [_value(x, layer), wanted.value]), wanted.items, layer)
    sizes = arguments.extents("shape")
    if len(sizes) != x.rank or not (sizes[0] == -1 or layer.is_batch(sizes[0])) or -1 in sizes[1:]:
        raise arguments.refusal("shape", f"{x.rank} sizes, the first of them the batch's")
    known = [(m, n) for m, n in zip(x.shape[1:], sizes[1:], strict=True) if isinstance(m, int) and isinstance(n, int)]
    if any(m not in (1, n) for m, n in known):
        raise layer.error(f"repeats its input {shown(x.shape)} to {shown(sizes)}", "Repeat axes of size 1 only.")
    shape = vector("shape", _in_stored_order([1, *sizes[1:]], x), layer)
    return Tensor(layer.op("Expand", [x.value, shape]), x.layout)
