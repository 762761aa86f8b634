"""Operations that join several tensors into one, or cut one into several."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments, brief
from converters.layers.operations.numbers import joined as numbers_joined
from converters.layers.operations.numbers import only_numbers, single
from converters.layers.operations.operands import common_type
from converters.layers.operations.registry import operation
from converters.layers.operations.shapes import expanded, squeezed, turned
from converters.layers.tensor import Layout, Numbers, Shared, Size, Tensor, Turned, shown

__all__ = ["append", "array_split", "concatenate", "split", "split_by_sizes", "stack", "unstack"]

MAX_PARTS = 10_000
"""Far more outputs than a layer has; each is a value of the graph."""


@operation("keras.ops.Concatenate", "tf.concat", parameters="xs|values axis", needs_batch=False)
def concatenate(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The tensors one after the other along one axis."""
    operands = arguments.operands_or_numbers("xs")
    if only_numbers(operands) and arguments.integers("axis", (0,)) in ((0,), (-1,)):
        return numbers_joined(operands, layer)
    parts = arguments.tensors("xs")
    return _joined(parts, arguments.axis("axis", parts[0], 0), layer)


@operation("keras.ops.Hstack", parameters="xs")
def hstack(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The tensors one after the other along the axis behind the batch."""
    return _joined(arguments.tensors("xs"), 1, layer)


@operation("keras.ops.Dstack", parameters="xs")
def dstack(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The tensors one after the other along the second axis behind the batch."""
    return _joined(arguments.tensors("xs"), 2, layer)


@operation("keras.ops.Append", parameters="x1 x2 axis")
def append(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The second tensor behind the first along one axis."""
    parts = [arguments.tensor_of_any_type(name) for name in ("x1", "x2")]
    return _joined(parts, arguments.axis("axis", parts[0]), layer)


def _joined(parts: Sequence[Tensor], axis: int, layer: LayerBuilder) -> Tensor:
    if len({isinstance(part, Shared) for part in parts}) > 1:
        raise layer.error(
            f"joins tensors with a batch and without: {', '.join(shown(part.shape) for part in parts)}",
            "Repeat those without for the batch first, by tf.tile or tf.broadcast_to.",
        )
    if axis >= parts[0].rank or not all(_alike_but_for(axis, parts[0].shape, part.shape) for part in parts):
        raise layer.error(
            f"its tensors differ in more than axis {axis}: {', '.join(shown(part.shape) for part in parts)}",
            "Make their other sizes equal.",
        )
    dtype = common_type(parts)
    parts = [layer.cast(part, dtype) for part in parts]
    if any(part.layout is Layout.CHANNELS_FIRST for part in parts):
        parts = [layer.channels_first(part) for part in parts]
    y = layer.op("Concat", [part.value for part in parts], axis=parts[0].stored_axis(axis))
    return Tensor(y, parts[0].layout)


def _alike_but_for(axis: int, a: tuple[Size, ...], b: tuple[Size, ...]) -> bool:
    if len(a) != len(b):
        return False
    pairs = [pair for i, pair in enumerate(zip(a, b, strict=True)) if i != axis]
    return all(m == n for m, n in pairs if isinstance(m, int) and isinstance(n, int))


@operation("keras.ops.Stack", "tf.stack", parameters="x|values axis", needs_batch=False)
def stack(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The tensors, all of one shape, along an axis of its own."""
    operands = arguments.operands_or_numbers("x")
    if only_numbers(operands) and arguments.integers("axis", (0,)) == (0,):
        return numbers_joined(operands, layer)
    parts = arguments.tensors("x")
    rank, axis = parts[0].rank, arguments.integer("axis", 0)
    place = axis + rank + 1 if axis < 0 else axis
    least = 0 if all(isinstance(part, Shared) for part in parts) else 1
    if not least <= place <= rank:
        raise arguments.refusal("axis", f"a place from {least} to {rank}: the batch must stay first")
    if any(part.rank != rank for part in parts):
        raise layer.error(f"its tensors differ: {', '.join(shown(part.shape) for part in parts)}", "Make them equal.")
    return _joined([expanded(part, place, layer) for part in parts], place, layer)


@operation("keras.ops.Split", parameters="x indices_or_sections axis", needs_batch=False)
def split(arguments: Arguments, layer: LayerBuilder) -> tuple[Tensor, ...]:
    """x cut along one axis: into a number of equal parts, or before each of a list of places.

    Source: keras.io/api/ops/numpy; ONNX Split, opset 13.
    """
    x = arguments.tensor_of_any_type("x")
    return _split_as_asked(x, arguments.axis("axis", x, 0), arguments, layer)


@operation("keras.ops.Hsplit", parameters="x indices_or_sections")
def hsplit(arguments: Arguments, layer: LayerBuilder) -> tuple[Tensor, ...]:
    """x cut along the axis behind the batch."""
    return _split_as_asked(arguments.tensor_of_any_type("x"), 1, arguments, layer)


@operation("keras.ops.Dsplit", parameters="x indices_or_sections")
def dsplit(arguments: Arguments, layer: LayerBuilder) -> tuple[Tensor, ...]:
    """x cut along the second axis behind the batch."""
    return _split_as_asked(arguments.tensor_of_any_type("x"), 2, arguments, layer)


def _split_as_asked(x: Tensor, axis: int, arguments: Arguments, layer: LayerBuilder) -> tuple[Tensor, ...]:
    size = _size_to_cut(x, axis, layer)
    if isinstance(arguments.value("indices_or_sections"), int):
        count = arguments.integer("indices_or_sections", minimum=1)
        return _cut(x, axis, _equal_parts(size, count, layer), layer)
    places = arguments.integers("indices_or_sections", minimum=0)
    return _cut_before(x, axis, places, size, layer)


@operation("keras.ops.ArraySplit", parameters="x indices_or_sections axis", needs_batch=False)
def array_split(arguments: Arguments, layer: LayerBuilder) -> tuple[Tensor, ...]:
    """x cut along one axis into a number of parts, of which the first may be larger by one."""
    x = arguments.tensor_of_any_type("x")
    axis = arguments.axis("axis", x, 0)
    size = _size_to_cut(x, axis, layer)
    count = arguments.integer("indices_or_sections", minimum=1)
    if count > min(size, MAX_PARTS):
        raise _too_many_parts(size, count, layer)
    return _cut(x, axis, [size // count + (part < size % count) for part in range(count)], layer)


@operation("tf.split", parameters="x|value num_or_size_splits axis num", needs_batch=False)
def split_by_sizes(arguments: Arguments, layer: LayerBuilder) -> tuple[Tensor, ...]:
    """x cut along one axis: into a number of equal parts, or into parts of these sizes, one of which may be -1."""
    x = arguments.tensor_of_any_type("x")
    axis = arguments.axis("axis", x, 0)
    size = _size_to_cut(x, axis, layer)
    arguments.value("num")  # how many sizes are given
    if isinstance(arguments.value("num_or_size_splits"), int):
        count = arguments.integer("num_or_size_splits", minimum=1)
        return _cut(x, axis, _equal_parts(size, count, layer), layer)
    sizes = list(arguments.integers("num_or_size_splits", minimum=-1))
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = size - sum(sizes) - 1
    if sum(sizes) != size or min(sizes) < 1:
        raise arguments.refusal("num_or_size_splits", f"sizes from 1 on whose sum is {size}")
    return _cut(x, axis, sizes, layer)


@operation("keras.ops.Unstack", "tf.unstack", parameters="x|value num axis", needs_batch=False)
def unstack(arguments: Arguments, layer: LayerBuilder) -> tuple[Tensor, ...]:
    """Each entry of one axis, as a tensor that lacks it."""
    numbers = arguments.given("x")
    if isinstance(numbers, Numbers):
        arguments.refuse_unless("num", len(numbers.items), "that is how many there are")
        arguments.refuse_unless("axis", 0, "numbers of a shape have one axis")
        return tuple(single(numbers, place, layer) for place in range(len(numbers.items)))
    x, order = arguments.tensor_or_turned("x"), None
    axis = arguments.integer("axis", 0)
    if isinstance(x, Turned) and -x.rank <= axis < x.rank and x.order[axis] != 0:
        axis, order = x.order[axis], [other for other in x.order if other != x.order[axis]]
        x = Tensor(x.value, x.layout)
    else:
        axis = arguments.axis("axis", x, 0)
    size = _size_to_cut(x, axis, layer)
    if arguments.has("num") and arguments.integer("num") != size:
        raise arguments.refusal("num", f"the size of the axis, {size}")
    parts = [squeezed(part, [axis], layer) for part in _cut(x, axis, [1] * size, layer)]
    if order is None:
        return tuple(parts)
    return tuple(turned(part, [sorted(order).index(other) for other in order], layer) for part in parts)


def _size_to_cut(x: Tensor, axis: int, layer: LayerBuilder) -> int:
    if axis >= x.rank:
        raise layer.error(f"cuts axis {axis} of its input {shown(x.shape)}", "Give a tensor that has it.")
    return layer.known_size(x, x.stored_axis(axis))


def _equal_parts(size: int, count: int, layer: LayerBuilder) -> list[int]:
    if size % count or count > MAX_PARTS:
        raise _too_many_parts(size, count, layer)
    return [size // count] * count


def _too_many_parts(size: int, count: int, layer: LayerBuilder) -> Exception:
    return layer.error(
        f"cuts an axis of size {size} into {count} parts", f"Give a number that fits it, of at most {MAX_PARTS}."
    )


def _cut_before(x: Tensor, axis: int, places: Sequence[int], size: int, layer: LayerBuilder) -> tuple[Tensor, ...]:
    sizes = [end - start for start, end in pairwise([0, *places, size])]
    if min(sizes) < 1:
        raise layer.error(f"cuts an axis of size {size} before {brief(places)}", "Give rising places within the axis.")
    return _cut(x, axis, sizes, layer)


def _cut(x: Tensor, axis: int, sizes: Sequence[int], layer: LayerBuilder) -> tuple[Tensor, ...]:
    if len(sizes) > MAX_PARTS:
        raise _too_many_parts(sum(sizes), len(sizes), layer)
    parts = layer.constant("sizes", np.array(sizes, np.int64))
    outputs = layer.op_outputs("Split", [x.value, parts], len(sizes), axis=x.stored_axis(axis))
    return tuple(Tensor(output, x.layout) for output in outputs)
