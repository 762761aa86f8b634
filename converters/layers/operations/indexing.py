"""Operations that take part of a tensor: ranges, single entries, and entries that a list or another tensor names."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from converters.json_arrays import Array
from converters.layers.extents import part_of, vector
from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments
from converters.layers.operations.elementwise import read_dtype
from converters.layers.operations.numbers import joined, single
from converters.layers.operations.reductions import reduced
from converters.layers.operations.registry import operation
from converters.layers.operations.shapes import expanded, squeezed, turned
from converters.layers.tensor import Extent, Layout, Numbers, Shared, Tensor, Turned, shown
from converters.network import Operand

__all__ = [
    "ALL",
    "Range",
    "gather",
    "get_item",
    "multi_hot",
    "one_hot",
    "strided_slice",
    "take",
    "take_along_axis",
    "taken",
]

INT64 = ir.DataType.INT64

END = 2**62
"""As a range's end: all the rest."""

MAX_CLASSES = 2**22
"""Of a one-hot code: more would be a mistake."""


@dataclass(frozen=True)
class Range:
    """Some entries of an axis; negative places count from the end."""

    start: int | Numbers
    stop: int | Numbers
    step: int = 1

    def entries(self, size: int) -> range:
        """The places that it takes of an axis; all, if its bounds are known only when the graph runs."""
        if isinstance(self.start, Numbers) or isinstance(self.stop, Numbers):
            return range(size)
        return range(*slice(self.start, self.stop, self.step).indices(size))

    def __str__(self) -> str:
        known = (None if isinstance(bound, Numbers) else bound for bound in (self.start, self.stop))
        bounds = ["" if bound is None or abs(bound) >= END else str(bound) for bound in known]
        return ":".join(bounds if self.step == 1 else [*bounds, str(self.step)])


ALL = Range(0, END)

Item = Range | int | None
"""What is taken of an axis: a range, or one entry, so that the axis is gone. None puts in an axis of size 1."""


@operation("keras.ops.GetItem", "tf.__operators__.getitem", parameters="x|tensor key|slice_spec", needs_batch=False)
def get_item(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Part of x: a range or one item along each axis, in Keras' order; null puts in an axis of size 1.

    Raises ConversionError if it is part of the batch, or if nothing is left.
    """
    key = arguments.value("key")
    items = [_item(item, arguments) for item in (key if isinstance(key, tuple) else (key,))]
    numbers = arguments.given("x")
    if isinstance(numbers, Numbers):
        return _taken_of_numbers(numbers, items, layer)
    x = arguments.tensor_or_turned("x")
    if items.count(...) > 1:
        raise arguments.refusal("key", "one ellipsis at most")
    if ... in items:
        at = items.index(...)
        taken_axes = sum(item is not None for item in items) - 1
        items[at : at + 1] = [ALL] * (x.rank - taken_axes)
    return taken(x, items, layer)


def _taken_of_numbers(numbers: Numbers, items: Sequence[Any], layer: LayerBuilder) -> Numbers:
    item = items[0] if len(items) == 1 else None
    if not isinstance(item, Range | int):
        raise layer.error("takes part of a shape, which has one axis", "Give one range or one place.")
    if isinstance(item, int):
        return single(numbers, item, layer)
    places = item.entries(len(numbers.items))
    if not places:
        raise layer.error(f"takes no number of {len(numbers.items)}", "Take some.")
    return part_of(numbers, places, layer, scalar=False)


def _item(value: Any, arguments: Arguments) -> Any:
    """An `Item`, or an ellipsis."""
    if value is None or _is_place(value):
        return value
    if isinstance(value, dict):
        if value.get("class_name") == "__ellipsis__":
            return ...
        bounds = value["config"] if isinstance(value.get("config"), dict) else value
        start, stop = (arguments.number_or_numbers(bounds.get(name)) for name in ("start", "stop"))
        step = arguments.known_integer(bounds.get("step"))
        good = all(bound is None or isinstance(bound, Numbers) or _is_place(bound) for bound in (start, stop))
        if set(bounds) <= {"start", "stop", "step"} and good and (step is None or (_is_place(step) and step != 0)):
            if step is not None and step < 0:
                return Range(END if start is None else start, -END if stop is None else stop, step)
            return Range(0 if start is None else start, END if stop is None else stop, 1 if step is None else step)
    if isinstance(value, Operand) and arguments.known_integer(value) is not None:
        return arguments.known_integer(value)
    raise arguments.refusal("key", "ranges and integers")


def _is_place(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < END


def taken(x: Tensor, items: Sequence[Item], layer: LayerBuilder) -> Tensor:
    """Part of x: what each item says of the next Keras axis; all of those that have none.

    Raises:
        ConversionError: if there are more items than axes, if part of the batch is taken, or nothing of an axis.
    """
    on_axes = [item for item in items if item is not None]
    if len(on_axes) > x.rank:
        raise layer.error(f"takes part of {len(on_axes)} axes of {shown(x.shape)}", "Give one item for each axis.")
    if isinstance(x, Turned):
        return _taken_of_turned(x, items, layer)
    if isinstance(x, Shared):
        pass
    elif (on_axes and on_axes[0] != ALL) or (items and items[0] is None):
        raise layer.error("takes part of the batch, which must stay as it is", "Take all of the first axis.")
    for item, size in zip(on_axes, x.shape, strict=False):
        if isinstance(size, int):
            _require_entries(item, size, x, layer)
    y = _sliced(x, on_axes, layer)
    y = squeezed(y, [axis for axis, item in enumerate(on_axes) if isinstance(item, int)], layer)
    for place, kept in enumerate([item for item in items if not isinstance(item, int)]):
        y = expanded(y, place, layer) if kept is None else y
    return y


def _taken_of_turned(x: Turned, items: Sequence[Item], layer: LayerBuilder) -> Tensor:
    """As `taken`; what is taken of each axis, and then the others in their order."""
    if None in items:
        raise layer.error(
            f"puts an axis into a tensor {shown(x.shape)} whose batch stands behind others",
            "Take an entry of each axis before the batch first.",
        )
    whole: list[Item] = [*items, *[ALL] * (x.rank - len(items))]
    y = taken(Tensor(x.value, x.layout), [whole[x.order.index(axis)] for axis in range(x.rank)], layer)
    kept = [axis for axis, item in zip(x.order, whole, strict=True) if not isinstance(item, int)]
    return turned(y, [sorted(kept).index(axis) for axis in kept], layer)


def _require_entries(item: Range | int, size: int, x: Tensor, layer: LayerBuilder) -> None:
    found = -size <= item < size if isinstance(item, int) else len(item.entries(size)) > 0
    if not found:
        what = f"entry {item}" if isinstance(item, int) else f"the range {item}"
        raise layer.error(
            f"takes {what} of an axis of size {size} of {shown(x.shape)}, and there is none", "Take what is there."
        )


def _sliced(x: Tensor, items: Sequence[Range | int], layer: LayerBuilder) -> Tensor:
    """x with each axis cut to its range; an integer is a range of one."""
    cuts = [
        (Range(item, item + 1 if item != -1 else END) if isinstance(item, int) else item, x.stored_axis(axis))
        for axis, item in enumerate(items)
        if item != ALL
    ]
    if not cuts:
        return x
    columns: dict[str, list[Extent]] = {
        "starts": [cut.start for cut, _axis in cuts],
        "ends": [cut.stop for cut, _axis in cuts],
        "axes": [axis for _cut, axis in cuts],
        "steps": [cut.step for cut, _axis in cuts],
    }
    return Tensor(layer.op("Slice", [x.value, *(vector(*column, layer) for column in columns.items())]), x.layout)


@operation("keras.ops.Slice", "tf.slice", parameters="inputs|input_ start_indices|begin shape|size")
def slice_(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """So many entries of each axis from a place on; -1 stands for all the rest."""
    x = arguments.tensor_of_any_type("inputs")
    starts, sizes = arguments.integers("start_indices", minimum=0), arguments.extents("shape")
    if len(starts) != x.rank or len(sizes) != x.rank or not all(isinstance(size, int | str) for size in sizes):
        raise arguments.refusal("shape", f"{x.rank} sizes that are known, and as many places")
    items: list[Item] = []
    for axis, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        whole = start == 0 and (size in (-1, x.shape[axis]) or (axis == 0 and layer.is_batch(size)))
        stop = END if size == -1 else start + int(size) if isinstance(size, int) else start
        items.append(ALL if whole else Range(start, stop))
    return taken(x, items, layer)


MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")


@operation("tf.strided_slice", parameters=f"x|input_|input begin end strides {' '.join(MASKS)} var", needs_batch=False)
def strided_slice(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Part of x, as TensorFlow writes it: bounds and steps, and bits that say which of them to pass over.

    Source: tensorflow.org/api_docs/python/tf/strided_slice.
    """
    numbers = arguments.given("x")
    x = numbers if isinstance(numbers, Numbers) else arguments.tensor_or_turned("x")
    begin, end = (_bounds(name, arguments, layer) for name in ("begin", "end"))
    strides = arguments.integers("strides", (1,) * len(begin))
    begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_mask = (
        arguments.integer(name, 0, minimum=0) for name in MASKS
    )
    if not len(begin) == len(end) == len(strides) or 0 in strides:
        raise arguments.refusal("strides", "as many steps, none of them 0, as there are bounds")
    items: list[Any] = []
    if any(isinstance(first, Numbers) and shrink_mask & (1 << place) for place, first in enumerate(begin)):
        raise arguments.refusal("begin", "places that are known where one entry is taken")
    for place, (first, last, step) in enumerate(zip(begin, end, strides, strict=True)):
        bit = 1 << place
        if ellipsis_mask & bit:
            later = sum(not new_axis_mask & (1 << other) for other in range(place + 1, len(begin)))
            items.extend([ALL] * (x.rank - later - sum(item is not None for item in items)))
        elif new_axis_mask & bit:
            items.append(None)
        elif shrink_mask & bit:
            items.append(first)
        else:
            backwards = step < 0
            start = (END if backwards else 0) if begin_mask & bit else first
            stop = (-END if backwards else END) if end_mask & bit else last
            items.append(Range(start, stop, step))
    return _taken_of_numbers(x, items, layer) if isinstance(x, Numbers) else taken(x, items, layer)


def _bounds(name: str, arguments: Arguments, layer: LayerBuilder) -> Sequence[int | Numbers]:
    """Bounds of ranges, those that are computed from a shape and not known as `Numbers`."""
    value = arguments.value(name)
    if not isinstance(value, Operand) and not any(isinstance(item, Operand) for item in value or ()):
        return arguments.integers(name)
    numbers = joined(arguments.operands_or_numbers(name), layer)
    return [
        item if isinstance(item, int) else part_of(numbers, [place], layer, scalar=True)
        for place, item in enumerate(numbers.items)
    ]


@operation("keras.ops.Take", parameters="x indices axis")
def take(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The entries of one axis that a list names; of an array, those that a tensor names."""
    x, indices = arguments.operand("x"), arguments.operand("indices")
    return _gathered(x, indices, arguments, layer)


@operation(
    "tf.gather",
    "tf.compat.v1.gather",
    parameters="x|params|reference indices validate_indices axis batch_dims",
    needs_batch=False,
)
def gather(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The entries of one axis that a list names; with `batch_dims`, those that a tensor names for each place."""
    arguments.value("validate_indices")
    x, indices = arguments.operand("x"), arguments.operand("indices")
    shared = arguments.integer("batch_dims", 0, minimum=0)
    if shared == 0:
        return _gathered(x, indices, arguments, layer)
    if not isinstance(x, Tensor) or not isinstance(indices, Tensor) or shared >= min(x.rank, indices.rank + 1):
        raise arguments.refusal("batch_dims", "0, or two tensors that have as many axes")
    if arguments.integer("axis", shared) % x.rank != shared:
        raise arguments.refusal("axis", f'with "batch_dims" {shared} the axis behind these, {shared}')
    places = layer.keras_order(layer.cast(indices, INT64))
    rows = layer.op("Unsqueeze", [places.value, layer.constant("axes", np.array([places.rank], np.int64))])
    return Tensor(layer.op("GatherND", [layer.keras_order(x).value, rows], batch_dims=shared), Layout.KERAS)


def _gathered(x: Tensor | Array, indices: Tensor | Array, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    if isinstance(x, Tensor) and isinstance(indices, Tensor):
        if isinstance(x, Shared) and arguments.axis("axis", x, 0, null_is_default=True) == 0:
            return _rows(x.value, indices, layer)
        raise layer.error(
            "takes entries of one tensor that another names, so that samples would mix",
            "Use take_along_axis, or one_hot and matmul.",
        )
    if isinstance(x, Tensor):
        assert isinstance(indices, np.ndarray)
        return _entries(x, arguments.axis("axis", x, 0), indices, arguments, layer)
    if not isinstance(indices, Tensor):
        raise layer.error("is given no tensor", "Give one of its arguments as a tensor.")
    axis = arguments.integer("axis", 0)
    if axis not in (0, -x.ndim) or x.ndim == 0:
        raise arguments.refusal("axis", "0, the first axis of the array")
    return _rows(layer.constant("rows", x), indices, layer)


def _rows(table: ir.Value, indices: Tensor, layer: LayerBuilder) -> Tensor:
    """The entries of the first axis of what has no batch that a tensor names."""
    places = layer.keras_order(layer.cast(indices, INT64))
    return Tensor(layer.op("Gather", [table, places.value]), Layout.KERAS)


def _entries(x: Tensor, axis: int, indices: Array, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    size = x.shape[axis]
    outside = isinstance(size, int) and not ((indices >= -size) & (indices < size)).all()
    if indices.dtype != np.int64 or outside:
        raise arguments.refusal("indices", f"integers that are places of an axis of size {size}")
    if indices.ndim > 1:
        x = layer.keras_order(x)
    y = layer.op("Gather", [x.value, layer.constant("indices", indices)], axis=x.stored_axis(axis))
    return Tensor(y, x.layout if indices.ndim else x.layout_without([axis]))


@operation("keras.ops.TakeAlongAxis", parameters="x indices axis")
def take_along_axis(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The entry of one axis that another tensor of as many axes names, place by place."""
    x, indices = arguments.tensor_of_any_type("x"), arguments.tensor_of_any_type("indices")
    axis = arguments.axis("axis", x)
    others = [pair for i, pair in enumerate(zip(x.shape, indices.shape, strict=False)) if i != axis]
    if x.rank != indices.rank or any(m != n for m, n in others):
        raise layer.error(
            f"its tensors {shown(x.shape)} and {shown(indices.shape)} differ in more than axis {axis}",
            "Make their other sizes equal.",
        )
    values, places = layer.keras_order(x), layer.keras_order(layer.cast(indices, INT64))
    return Tensor(layer.op("GatherElements", [values.value, places.value], axis=axis), Layout.KERAS)


def _coded(x: Tensor, classes: int, place: int, layer: LayerBuilder) -> Tensor:
    """Whether x is each of the whole numbers below `classes`, along an axis put in at a place: true or false."""
    codes = expanded(layer.cast(x, INT64), place, layer)
    numbers = np.arange(classes).reshape([-1 if axis == codes.stored_axis(place) else 1 for axis in range(codes.rank)])
    return Tensor(layer.op("Equal", [codes.value, layer.constant("classes", numbers)]), codes.layout)


def _place_of_classes(arguments: Arguments, x: Tensor) -> int:
    axis = arguments.integer("axis", -1)
    place = axis + x.rank + 1 if axis < 0 else axis
    if not 0 < place <= x.rank:
        raise arguments.refusal("axis", f"a place from 1 to {x.rank}: the batch must stay first")
    return place


def _class_count(arguments: Arguments, name: str) -> int:
    count = arguments.integer(name, minimum=1)
    if count > MAX_CLASSES:
        raise arguments.refusal(name, f"at most {MAX_CLASSES}")
    return count


@operation(
    "keras.ops.OneHot",
    "tf.one_hot",
    parameters="x|indices num_classes|depth on_value off_value axis dtype sparse",
    needs_batch=False,
)
def one_hot(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """1 where x is each of the whole numbers below `num_classes`, else 0, along an axis of its own."""
    x = arguments.tensor_of_any_type("x")
    arguments.refuse_unless("sparse", False, "tensors are dense here")
    coded = _coded(x, _class_count(arguments, "num_classes"), _place_of_classes(arguments, x), layer)
    y = layer.cast(coded, read_dtype(arguments, ir.DataType.FLOAT))
    on, off = arguments.number("on_value", 1.0), arguments.number("off_value", 0.0)
    if (on, off) == (1.0, 0.0):
        return y
    values = [layer.scalar(name, number) for name, number in (("on", on), ("off", off))]
    return Tensor(layer.op("Where", [coded.value, *values]), coded.layout)


@operation("keras.ops.MultiHot", parameters="inputs num_classes|num_tokens axis dtype sparse")
def multi_hot(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """1 for each of the whole numbers below `num_classes` that stands in a sample's row, else 0."""
    x = arguments.tensor_of_any_type("inputs")
    arguments.refuse_unless("sparse", False, "tensors are dense here")
    if x.rank != 2 or _place_of_classes(arguments, x) != 2:
        raise layer.error(f"codes rows of numbers, and its input is {shown(x.shape)}", "Give a tensor (N, numbers).")
    coded = layer.cast(_coded(x, _class_count(arguments, "num_classes"), 2, layer), ir.DataType.FLOAT)
    return layer.cast(reduced("ReduceMax", coded, [1], layer, keepdims=False), read_dtype(arguments, ir.DataType.FLOAT))
