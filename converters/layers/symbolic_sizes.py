"""Names for sizes that are not known: what they are by the sizes of the graph's inputs, as in `2*floor((H + 1)/2)`.

ONNX's shape inference knows how many axes a value has, and forgets an unknown size at the first convolution. Here the
operators that change spatial sizes say what becomes of it; what any other operator leaves unknown is named after its
node. Equal names are equal sizes.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from converters.layers.tensor import UNKNOWN

__all__ = ["SymbolicSize", "named"]


@dataclass(frozen=True)
class SymbolicSize:
    """factor * floor((multiple * name + addend) / divisor) + offset cells.

    Sizes that went through the same halvings and paddings are written alike, however these were grouped.
    """

    name: str
    multiple: int = 1
    addend: int = 0
    divisor: int = 1
    factor: int = 1
    offset: int = 0

    def plus(self, cells: int) -> "SymbolicSize":
        if self.divisor == 1:
            return replace(self, addend=self.addend + cells)
        return replace(self, offset=self.offset + cells)

    def times(self, number: int) -> "SymbolicSize":
        if self.divisor == 1:
            return replace(self, multiple=self.multiple * number, addend=self.addend * number)
        return replace(self, factor=self.factor * number, offset=self.offset * number)

    def over(self, number: int) -> "SymbolicSize":
        """The quotient, rounded down."""
        if self.divisor == 1 and self.multiple % number == 0:
            return replace(self, multiple=self.multiple // number, addend=self.addend // number)
        if self.divisor > 1 and self.factor % number == 0:
            return replace(self, factor=self.factor // number, offset=self.offset // number)
        if self.factor > 1:
            return SymbolicSize(f"({self})").over(number)
        # floor((floor(a / d) + c) / n) = floor((a + c d) / (d n)) for whole numbers
        addend = self.addend + self.offset * self.divisor
        return replace(self, addend=addend, divisor=self.divisor * number, offset=0)

    def __str__(self) -> str:
        inner = _linear(self.multiple, self.name, self.addend)
        if self.divisor == 1:
            return inner
        dividend = inner if inner == self.name else f"({inner})"
        return _linear(self.factor, f"floor({dividend}/{self.divisor})", self.offset)


def _linear(multiple: int, name: str, addend: int) -> str:
    product = name if multiple == 1 else f"{multiple}*{name}"
    return product if addend == 0 else f"{product} {'-' if addend < 0 else '+'} {abs(addend)}"


Change = Callable[[ir.Node, int, SymbolicSize], SymbolicSize | None]
"""A node, an axis and the size of its input there -> the size of its output, None if that cannot be told."""


def named(output: ir.Value, shape: ir.Shape, known: dict[str, SymbolicSize]) -> ir.Shape:
    """The shape that was inferred for an output of a node, each unknown size with its name.

    Args:
        known: name -> size, of names given before; added to.
    """
    sizes: list[int | str] = []
    for axis, size in enumerate(shape):
        if not isinstance(size, int) and size.value is None:
            found = _size(output, axis, known) or SymbolicSize(_free_name(output, axis, known))
            known[str(found)] = found
            sizes.append(str(found))
        else:
            sizes.append(size if isinstance(size, int) else str(size.value))
    return ir.Shape(sizes)


def _free_name(output: ir.Value, axis: int, known: Mapping[str, SymbolicSize]) -> str:
    name = re.sub(r"\W", "_", f"{UNKNOWN}{output.name}_{axis}")
    while name in known:
        name += "_"
    return name


def _size(output: ir.Value, axis: int, known: Mapping[str, SymbolicSize]) -> SymbolicSize | None:
    node = output.producer()
    change = CHANGES.get(node.op_type) if node is not None else None
    if node is None or change is None or node.inputs[0] is None or node.inputs[0].shape is None:
        return None
    before = node.inputs[0].shape[axis]
    if isinstance(before, int) or before.value is None:
        return None
    return change(node, axis, known.get(before.value, SymbolicSize(before.value)))


def _windowed(node: ir.Node, axis: int, size: SymbolicSize) -> SymbolicSize | None:
    """Of a convolution or pooling: how many windows there are. Source: ONNX Conv, MaxPool."""
    if axis < 2:
        return None
    stride = _entry(node, "strides", axis - 2)
    if node.attributes.get_string("auto_pad", "NOTSET") == "SAME_UPPER":
        return size.plus(stride - 1).over(stride)
    return size.plus(_pads(node, axis) - _extent(node, axis) + stride).over(stride)


def _spread(node: ir.Node, axis: int, size: SymbolicSize) -> SymbolicSize | None:
    """Of a transposed convolution. Source: ONNX ConvTranspose."""
    if axis < 2:
        return None
    stride = _entry(node, "strides", axis - 2)
    added = _entry(node, "output_padding", axis - 2, default=0)
    return size.times(stride).plus(_extent(node, axis) - stride + added - _pads(node, axis))


def _padded(node: ir.Node, axis: int, size: SymbolicSize) -> SymbolicSize | None:
    pads = _constant(node, 1)
    return None if pads is None else size.plus(int(pads[axis] + pads[len(pads) // 2 + axis]))


def _resized(node: ir.Node, axis: int, size: SymbolicSize) -> SymbolicSize | None:
    scales = _constant(node, 2)
    return None if scales is None or scales[axis] % 1 else size.times(int(scales[axis]))


CHANGES: dict[str, Change] = {
    "AveragePool": _windowed,
    "Conv": _windowed,
    "ConvTranspose": _spread,
    "MaxPool": _windowed,
    "Pad": _padded,
    "Resize": _resized,
}
"""Operator -> what becomes of a size."""


def _extent(node: ir.Node, axis: int) -> int:
    """Cells from the first to the last that a window reads."""
    kernel = node.attributes["kernel_shape"].as_ints()[axis - 2] if "kernel_shape" in node.attributes else 1
    return (kernel - 1) * _entry(node, "dilations", axis - 2) + 1


def _pads(node: ir.Node, axis: int) -> int:
    """Cells before and after an axis."""
    pads: Sequence[int] = node.attributes.get_ints("pads", ())
    return pads[axis - 2] + pads[len(pads) // 2 + axis - 2] if pads else 0


def _entry(node: ir.Node, attribute: str, index: int, default: int = 1) -> int:
    numbers: Sequence[int] = node.attributes.get_ints(attribute, ())
    return numbers[index] if numbers else default


def _constant(node: ir.Node, position: int) -> Any:
    value = node.inputs[position] if position < len(node.inputs) else None
    return None if value is None or not isinstance(value.const_value, ir.Tensor) else np.asarray(value.const_value)
