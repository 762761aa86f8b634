"""Operations that give a tensor other axes: reshaped, reordered, put in or taken out."""

import math
from collections.abc import Sequence

import numpy as np

from converters.layers.extents import size_of, vector
from converters.layers.graph_builder import BATCH
from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments, brief
from converters.layers.operations.registry import operation
from converters.layers.tensor import Extent, Layout, Shared, Size, Tensor, Turned, shown

__all__ = [
    "batch_flatten",
    "expand_dims",
    "expanded",
    "move_axis",
    "ravel",
    "reordered",
    "reshape",
    "squeeze",
    "squeezed",
    "swap_axes",
    "transpose",
    "turned",
]


@operation("keras.ops.Reshape", "tf.reshape", parameters="x|tensor newshape|shape", needs_batch=False)
def reshape(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The elements of x, in Keras' order, in another shape.

    The first size stands for the batch, or, if it is -1, for what the others leave: batch and other axes together.
    Raises ConversionError if the elements do not fit, or the batch does not come first.
    Source: keras.io/api/ops/numpy; ONNX Reshape, where 0 keeps a size.
    """
    x = arguments.tensor_of_any_type("x")
    first, *others = arguments.extents("newshape")
    if [first, *others].count(-1) > 1:
        raise arguments.refusal("newshape", "at most one -1")
    if isinstance(x, Shared):
        return _reshaped_without_batch(x, [first, *others], arguments, layer)
    if first != -1 and not layer.is_batch(first):
        raise layer.error(
            f'"newshape" is {shown((first, *others))}, and the batch must stay first',
            "Write -1 first, or the size of the batch.",
        )
    return _reshaped(x, first, _without_open_size(x, first, others, layer), layer)


def _reshaped_without_batch(x: Shared, sizes: list[Extent], arguments: Arguments, layer: LayerBuilder) -> Shared:
    elements, given = _elements(x.shape), _elements([size for size in sizes if size != -1])
    if BATCH in sizes or (elements and given and elements != given and (-1 not in sizes or elements % given)):
        raise arguments.refusal("newshape", f"sizes that the elements of {shown(x.shape)} fit")
    return Shared(layer.op("Reshape", [x.value, vector("shape", sizes, layer)]), Layout.KERAS)


def _without_open_size(x: Tensor, first: Extent, others: Sequence[Extent], layer: LayerBuilder) -> list[Extent]:
    """The sizes after the first, with a -1 among them as a number, where the elements of a sample are known."""
    elements = _elements_per_sample(x, layer)
    given = _elements([size for size in others if size != -1])
    if elements is None or given is None:
        return list(others)
    fits = elements % given == 0 if -1 in (first, *others) else elements == given
    if not fits:
        raise layer.error(
            f"its input {shown(x.shape)} has {elements} elements a sample, which do not fit the shape "
            f"{shown((first, *others))}",
            "Write sizes whose product is the same; one of them may be -1.",
        )
    return [elements // given if size == -1 else size for size in others]


def _elements(sizes: Sequence[Size | Extent]) -> int | None:
    known = [size for size in sizes if isinstance(size, int)]
    return math.prod(known) if len(known) == len(sizes) else None


def _factors(sizes: Sequence[Size | Extent]) -> tuple[int, list[str]] | None:
    """The product of the sizes that are known, and the names of those that are not; None if one has none."""
    found = [size_of(size) if size is not None else None for size in sizes]
    if None in found or -1 in found:
        return None
    return math.prod(size for size in found if isinstance(size, int)), sorted(s for s in found if isinstance(s, str))


def _rows_per_sample(x: Tensor, others: Sequence[Extent], layer: LayerBuilder) -> int | None:
    """How many entries of these sizes a sample of x makes; None if nobody knows."""
    rows, before, after = layer.rows_per_sample(x), _factors(x.shape[1:]), _factors(others)
    if rows is None or before is None or after is None or before[1] != after[1] or rows * before[0] % after[0]:
        return None
    return rows * before[0] // after[0]


def _elements_per_sample(x: Tensor, layer: LayerBuilder) -> int | None:
    rows, elements = layer.rows_per_sample(x), _elements(x.shape[1:])
    return None if rows is None or elements is None else rows * elements


def _reshaped(x: Tensor, first: Extent, others: Sequence[Extent], layer: LayerBuilder) -> Tensor:
    """x in a shape whose sizes after the first have no -1 but where it cannot be told."""
    rows = 1 if first != -1 else _rows_per_sample(x, others, layer)
    *spatial, channels = others or [1]
    # What convolves channels without space wants them first.
    channels_first = rows == 1 and len(others) > 2 and all(size == 1 for size in spatial)
    sizes = [channels, *spatial] if channels_first else list(others)
    keeps_first = rows is not None and rows == layer.rows_per_sample(x)
    if not keeps_first and first != -1 and -1 in others:
        raise layer.error(
            f"its input {shown(x.shape)} has a first axis of which we do not know how many entries are a sample's",
            "Write the sizes before it as numbers, or as those of the tensors' shapes.",
        )
    open_places = [place for place, size in enumerate(sizes) if not isinstance(size, int)]
    if keeps_first and len(open_places) == 1 and -1 not in sizes:
        sizes[open_places[0]] = -1
    in_order = x if x.has_keras_element_order() else layer.keras_order(x)
    y = layer.op("Reshape", [in_order.value, vector("shape", [0 if keeps_first else -1, *sizes], layer)])
    layer.name_rows(y, rows)
    return Tensor(y, Layout.CHANNELS_FIRST if channels_first else Layout.KERAS)


@operation("keras.ops.Ravel", parameters="x")
def ravel(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """All elements, of all samples, along one axis."""
    return _reshaped(arguments.tensor_of_any_type("x"), -1, [], layer)


@operation("tf.keras.backend.batch_flatten", parameters="x")
def batch_flatten(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The elements of each sample along one axis."""
    x = arguments.tensor_of_any_type("x")
    in_order = x if x.has_keras_element_order() else layer.keras_order(x)
    return Tensor(layer.op("Flatten", [in_order.value]), Layout.KERAS)


@operation(
    "keras.ops.Transpose",
    "tf.transpose",
    "tf.compat.v1.transpose",
    parameters="x|a axes|perm conjugate",
    needs_batch=False,
)
def transpose(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x with its axes in another order: reversed if none is given. The batch may come to stand behind others."""
    x = arguments.tensor_or_turned("x")
    arguments.value("conjugate")  # of a real number, the number itself
    order = arguments.integers("axes", tuple(reversed(range(x.rank))))
    return reordered(x, [axis + x.rank if axis < 0 else axis for axis in order], layer)


def reordered(x: Tensor, order: Sequence[int], layer: LayerBuilder) -> Tensor:
    """x with the axes that the network sees in another order; a `Turned` one where the batch is no longer first.

    Raises:
        ConversionError: if the order does not name each axis once.
    """
    if sorted(order) != list(range(x.rank)):
        raise layer.error(f"orders the axes of a tensor {shown(x.shape)} as {brief(order)}", "Name each once.")
    if isinstance(x, Turned):
        return turned(x, [x.order[axis] for axis in order], layer)
    if not isinstance(x, Shared) and order[0] != 0:
        return turned(layer.keras_order(x), order, layer)
    return Tensor(layer.transposed(x.value, [x.stored_axis(axis) for axis in order]), Layout.KERAS)


def turned(x: Tensor, order: Sequence[int], layer: LayerBuilder) -> Tensor:
    """x, in Keras' order, as the network sees it with its axes in another; transposed if the batch is first in it."""
    if order[0] == 0:
        return Tensor(layer.transposed(x.value, order), Layout.KERAS)
    return Turned(x.value, Layout.KERAS, order=tuple(order))


@operation("keras.ops.Moveaxis", parameters="x source destination", needs_batch=False)
def move_axis(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x with some axes at other places, and the others in the order that they had."""
    x = arguments.tensor_of_any_type("x")
    sources, targets = (arguments.axes(name, x) for name in ("source", "destination"))
    if len(sources) != len(targets):
        raise arguments.refusal("destination", f"a place for each of the {len(sources)} axes")
    order = [axis for axis in range(x.rank) if axis not in sources]
    for target, source in sorted(zip(targets, sources, strict=True)):
        order.insert(target, source)
    return reordered(x, order, layer)


@operation("keras.ops.Swapaxes", parameters="x axis1 axis2", needs_batch=False)
def swap_axes(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x with two axes in each other's place."""
    x = arguments.tensor_of_any_type("x")
    first, second = (arguments.axis(name, x) for name in ("axis1", "axis2"))
    order = list(range(x.rank))
    order[first], order[second] = order[second], order[first]
    return reordered(x, order, layer)


@operation("keras.ops.ExpandDims", "tf.expand_dims", parameters="x|input axis", needs_batch=False)
def expand_dims(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x with axes of size 1 put in, at places in the result."""
    x = arguments.tensor_of_any_type("x")
    given = arguments.integers("axis")
    rank = x.rank + len(given)
    axes = [axis + rank if axis < 0 else axis for axis in given]
    least = 0 if isinstance(x, Shared) else 1
    if len(set(axes)) < len(axes) or not all(least <= axis < rank for axis in axes):
        raise arguments.refusal("axis", f"places from 1 to {rank - 1}: the batch must stay first")
    for axis in sorted(axes):
        x = expanded(x, axis, layer)
    return x


def expanded(x: Tensor, axis: int, layer: LayerBuilder) -> Tensor:
    """x with an axis of size 1 put in at a place in Keras' order, from 1, or 0 without a batch, to its rank."""
    if x.layout is Layout.CHANNELS_FIRST and axis == x.rank:
        x = layer.keras_order(x)  # the channels are no longer last
    place = axis if x.layout is Layout.KERAS else axis + 1
    y = layer.op("Unsqueeze", [x.value, layer.constant("axes", np.array([place], np.int64))])
    return Shared(y, x.layout) if isinstance(x, Shared) else Tensor(y, x.layout)


@operation(
    "keras.ops.Squeeze", "tf.squeeze", "tf.compat.v1.squeeze", parameters="x|input axis|squeeze_dims", needs_batch=False
)
def squeeze(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x without axes of size 1: all that it has, if none is named."""
    x = arguments.tensor_of_any_type("x")
    least = 0 if isinstance(x, Shared) else 1
    ones = tuple(axis for axis, size in enumerate(x.shape) if axis >= least and size == 1)
    axes = arguments.axes("axis", x, ones, null_is_default=True)
    if any(x.shape[axis] != 1 for axis in axes):
        raise layer.error(f'"axis" names an axis of {shown(x.shape)} whose size is not 1', "Name axes of size 1.")
    return squeezed(x, axes, layer)


def squeezed(x: Tensor, axes: Sequence[int], layer: LayerBuilder) -> Tensor:
    """x without these axes of size 1."""
    if not axes:
        return x
    stored = layer.constant("axes", np.array(sorted(x.stored_axis(axis) for axis in axes), np.int64))
    return Tensor(layer.op("Squeeze", [x.value, stored]), x.layout_without(axes))
