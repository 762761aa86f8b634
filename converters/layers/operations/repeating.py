"""Operations that repeat, turn, move or surround the cells of a tensor, or fill its shape with a number."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import onnx_ir as ir

from converters.json_arrays import Array
from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments
from converters.layers.operations.elementwise import read_dtype
from converters.layers.operations.numbers import joined
from converters.layers.operations.operands import TYPES
from converters.layers.operations.registry import operation
from converters.layers.operations.shapes import reordered
from converters.layers.operations.without_batch import tiled
from converters.layers.tensor import Numbers, Shared, Tensor, shown
from converters.network import Operand

__all__ = ["flip", "flip_left_right", "pad", "repeat", "roll", "rotate"]

MAX_ENTRIES = 2**22
"""Of an axis whose entries are picked by a list, or of a mask: more would be a mistake."""

END = np.iinfo(np.int64).max

REVERSED_END = np.iinfo(np.int64).min


@operation("keras.ops.Repeat", "tf.repeat", parameters="x|input repeats axis", needs_batch=False)
def repeat(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Each entry of one axis so many times: one number for all, or one for each.

    Along space this is what up-sampling is. What has no batch, or is an array, may be repeated along an axis of size 1
    as often as a size of a tensor says, the batch's too. Raises ConversionError if other sizes are unknown.
    """
    given = arguments.operand("x")
    if not isinstance(given, Tensor) or (isinstance(given, Shared) and _is_computed("repeats", arguments)):
        return _repeated_for_batch(given, arguments, layer)
    x = arguments.tensor_of_any_type("x")
    axis, times = arguments.axis("axis", x), arguments.integers("repeats", minimum=0)
    if len(times) == 1 and times[0] > 0 and x.dtype is ir.DataType.FLOAT and 0 < axis < x.rank - 1:
        x = layer.channels_first(x)
        scales = [float(times[0]) if place == x.stored_axis(axis) else 1.0 for place in range(x.rank)]
        factors = layer.constant("scales", np.array(scales, np.float32))
        y = layer.op(
            "Resize",
            [x.value, None, factors],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        return Tensor(y, x.layout)
    size = layer.known_size(x, x.stored_axis(axis))
    if len(times) not in (1, size) or sum(times) == 0 or size * max(times) > MAX_ENTRIES:
        raise arguments.refusal("repeats", f"a number from 1 on, or one for each of the {size} entries of the axis")
    return _picked(x, axis, np.repeat(np.arange(size), times), layer)


def _is_computed(name: str, arguments: Arguments) -> bool:
    """Whether an argument was computed by the network."""
    return isinstance(arguments.value(name), Operand)


def _repeated_for_batch(x: Tensor | Array, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """What has no batch, repeated along an axis of size 1."""
    axis, times = arguments.integer("axis"), arguments.given("repeats")
    if not isinstance(times, Numbers) or not -len(x.shape) <= axis < len(x.shape) or x.shape[axis] != 1:
        raise arguments.refusal("repeats", f"a size of a tensor, and an axis of {shown(x.shape)} whose size is 1")
    ones = [np.array(1)] * len(x.shape)
    return tiled(x, joined([*ones[:axis], times, *ones[axis % len(x.shape) + 1 :]], layer), layer)


def _picked(x: Tensor, axis: int, entries: np.ndarray[tuple[int], np.dtype[np.int64]], layer: LayerBuilder) -> Tensor:
    """x with these entries of a Keras axis, in this order."""
    places = layer.constant("entries", entries.astype(np.int64))
    return Tensor(layer.op("Gather", [x.value, places], axis=x.stored_axis(axis)), x.layout)


@operation("keras.ops.Flip", "tf.reverse", parameters="x|tensor axis", needs_batch=False)
def flip(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x with the entries of some axes in reverse."""
    x = arguments.tensor_of_any_type("x")
    return _flipped(x, arguments.axes("axis", x), layer)


@operation("keras.ops.Fliplr", parameters="x")
def flip_left_right(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x with the entries of the axis behind the batch in reverse."""
    return _flipped(arguments.tensor_of_any_type("x"), [1], layer)


def _flipped(x: Tensor, axes: Sequence[int], layer: LayerBuilder) -> Tensor:
    if not axes:
        return x
    count = len(axes)
    bounds = {
        "starts": [-1] * count,
        "ends": [REVERSED_END] * count,
        "axes": [x.stored_axis(axis) for axis in axes],
        "steps": [-1] * count,
    }
    constants = [layer.constant(name, np.array(numbers, np.int64)) for name, numbers in bounds.items()]
    return Tensor(layer.op("Slice", [x.value, *constants]), x.layout)


@operation("keras.ops.Rot90", parameters="array k axes")
def rotate(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x turned k times by 90 degrees, from the first of two axes towards the second."""
    x = arguments.tensor_of_any_type("array")
    times, axes = arguments.integer("k", 1) % 4, arguments.axes("axes", x, (0, 1))
    if len(axes) != 2:
        raise arguments.refusal("axes", "two axes")
    if times == 2:
        return _flipped(x, axes, layer)
    if times == 0:
        return x
    order = list(range(x.rank))
    order[axes[0]], order[axes[1]] = order[axes[1]], order[axes[0]]
    x = _flipped(x, [axes[1]], layer) if times == 1 else x
    y = reordered(x, order, layer)
    return y if times == 1 else _flipped(y, [axes[1]], layer)


@operation("keras.ops.Roll", "tf.roll", parameters="x|input shift axis", needs_batch=False)
def roll(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x with the entries of some axes moved on, those at the end to the begin."""
    x = arguments.tensor_of_any_type("x")
    axes, shifts = arguments.axes("axis", x), arguments.integers("shift")
    if len(shifts) not in (1, len(axes)):
        raise arguments.refusal("shift", "one number, or one for each axis")
    for axis, shift in zip(axes, shifts * (len(axes) if len(shifts) == 1 else 1), strict=True):
        x = _rolled(x, axis, shift, layer)
    return x


def _rolled(x: Tensor, axis: int, shift: int, layer: LayerBuilder) -> Tensor:
    size = x.shape[axis]
    if isinstance(size, int) and shift % size == 0:
        return x
    cut = _first_after_roll(x, axis, shift, layer)
    axes = layer.constant("axes", np.array([x.stored_axis(axis)], np.int64))
    begin, end = (layer.constant(name, np.array([place], np.int64)) for name, place in (("begin", 0), ("end", END)))
    parts = [layer.op("Slice", [x.value, cut, end, axes]), layer.op("Slice", [x.value, begin, cut, axes])]
    y = layer.op("Concat", parts, axis=x.stored_axis(axis))
    layer.declare(y, x.stored_shape)
    return Tensor(y, x.layout)


def _first_after_roll(x: Tensor, axis: int, shift: int, layer: LayerBuilder) -> ir.Value:
    """(1,): the place of the entry that comes first when those of an axis are moved on."""
    size = x.shape[axis]
    if isinstance(size, int):
        return layer.constant("cut", np.array([-shift % size], np.int64))
    place = layer.constant("axis", np.array([x.stored_axis(axis)], np.int64))
    count = layer.op("Gather", [layer.op("Shape", [x.value]), place])
    return layer.op("Mod", [layer.constant("shift", np.array([-shift], np.int64)), count])


MODES = {
    "constant": "constant",
    "reflect": "reflect",
    "edge": "edge",
    "symmetric": "symmetric",
    "wrap": "wrap",
    "circular": "wrap",
}
"""Name of a way to continue a tensor over its border -> NumPy's name."""

LARGEST_PADS = {"reflect": -1, "symmetric": 0, "wrap": 0}
"""How much more than the size of the axis may be added at each end; of the others, anything."""


@operation(
    "keras.ops.Pad",
    "tf.pad",
    "tf.compat.v1.pad",
    parameters="x|tensor pad_width|paddings mode constant_values",
    needs_batch=False,
)
def pad(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x continued over the border of its axes.

    Raises ConversionError if the batch would be continued, or by more than there is to continue with.
    Source: numpy.org/doc/stable/reference/generated/numpy.pad; ONNX Pad, opset 13.
    """
    x = arguments.tensor_of_any_type("x")
    mode = arguments.choice("mode", MODES, "constant")
    widths = _pad_widths(arguments, x)
    if mode != "constant":
        arguments.refuse_unless("constant_values", 0, f'nothing is constant with mode "{mode}"')
        _require_small_pads(x, mode, widths, layer)
    if mode in ("symmetric", "wrap"):
        for axis, (before, after) in enumerate(widths):
            if before or after:
                entries = np.arange(layer.known_size(x, x.stored_axis(axis)))
                x = _picked(x, axis, np.pad(entries, (before, after), mode=mode), layer)  # type: ignore[call-overload]
        return x
    by_stored_axis = [widths[axis] for axis in sorted(range(x.rank), key=x.stored_axis)]
    pads = [before for before, _after in by_stored_axis] + [after for _before, after in by_stored_axis]
    operands = [x.value, layer.constant("pads", np.array(pads, np.int64))]
    if mode == "constant" and arguments.number("constant_values", 0.0):
        number = arguments.number("constant_values")
        operands.append(layer.constant("value", np.array(number).astype(TYPES[x.dtype])))
    return Tensor(layer.op("Pad", operands, **({} if mode == "constant" else {"mode": mode})), x.layout)


def _pad_widths(arguments: Arguments, x: Tensor) -> list[tuple[int, int]]:
    """Cells before and after each Keras axis: one number or pair stands for all axes."""
    value = arguments.value("pad_width")
    pairs = (
        value if isinstance(value, tuple | list) and any(isinstance(item, tuple | list) for item in value) else [value]
    )
    found: list[tuple[int, int]] = []
    for item in pairs:
        ends = item if isinstance(item, tuple | list) else (item,)
        if len(ends) not in (1, 2) or not all(type(end) is int and 0 <= end <= MAX_ENTRIES for end in ends):
            raise arguments.refusal("pad_width", f"a pair of integers from 0 to {MAX_ENTRIES} for each axis")
        found.append((ends[0], ends[-1]))
    found = found * x.rank if len(found) == 1 else found
    if len(found) != x.rank or (found[0] != (0, 0) and not isinstance(x, Shared)):
        raise arguments.refusal("pad_width", f"{x.rank} pairs, the first of them [0, 0]: the batch stays as it is")
    return found


def _require_small_pads(x: Tensor, mode: str, widths: Sequence[tuple[int, int]], layer: LayerBuilder) -> None:
    for size, ends in zip(x.shape, widths, strict=True):
        if mode in LARGEST_PADS and isinstance(size, int) and max(ends) > size + LARGEST_PADS[mode]:
            raise layer.error(
                f'continues an axis of size {size} by {max(ends)} cells with mode "{mode}"',
                f"Add at most {size + LARGEST_PADS[mode]}.",
            )


def _like(number: float | None, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """A number, the same for all elements, in the shape of x."""
    x = arguments.tensor_of_any_type("x")
    dtype = read_dtype(arguments, x.dtype)
    value = arguments.number("fill_value") if number is None else number
    shape = layer.op("Shape", [x.value])
    y = layer.op("Expand", [layer.constant("number", np.array(value, TYPES[dtype])), shape])
    y.shape = x.value.shape
    return Tensor(y, x.layout)


operation("keras.ops.FullLike", parameters="x fill_value dtype")(partial(_like, None))
operation(
    "keras.ops.OnesLike", "tf.ones_like", "tf.compat.v1.ones_like", parameters="x|input|tensor dtype optimize layout"
)(partial(_like, 1.0))
operation(
    "keras.ops.ZerosLike",
    "keras.ops.EmptyLike",
    "tf.zeros_like",
    "tf.compat.v1.zeros_like",
    parameters="x|input|tensor dtype optimize layout",
)(partial(_like, 0.0))
