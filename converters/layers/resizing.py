"""Images brought to another size: for layers and operations that do so."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import onnx_ir as ir

from converters.json_arrays import Array
from converters.layers.extents import size_of, vector
from converters.layers.interpolation import Coordinates, Interpolation, interpolation_matrix
from converters.layers.layer_builder import LayerBuilder
from converters.layers.tensor import Extent, Size, Tensor, shown

__all__ = ["Border", "cropped", "cropped_to_ratio", "known_sizes", "padded", "padded_to_ratio", "resized"]


@dataclass(frozen=True)
class Border:
    """Cells at the edges of an image, none of them below 0."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def rows(self) -> int:
        return self.top + self.bottom

    @property
    def columns(self) -> int:
        return self.left + self.right


def resized(x: Tensor, sizes: tuple[Extent, Extent], interpolation: Interpolation, layer: LayerBuilder) -> Tensor:
    """x (N, C, H, W) at another height and width.

    By an ONNX Resize, or where there is none that is the same, by a matrix for each of the two axes.
    Raises ConversionError if there is none and a size is unknown.
    """
    attributes = interpolation.in_onnx
    if attributes is not None:
        return _resize_node(x, sizes, attributes, layer)
    if not all(isinstance(size, int) for size in sizes):
        raise layer.error("interpolates to a size that is known only when the network runs", "Give known sizes.")
    y = x.value
    for axis, new in enumerate(sizes):
        old = known_sizes(x, layer)[axis]
        if isinstance(new, int) and new != old:
            weights = interpolation_matrix(old, new, interpolation, layer)
            y = _along_rows(y, weights, layer) if axis == 0 else _along_columns(y, weights, layer)
    return Tensor(y, x.layout)


def _along_rows(x: ir.Value, weights: Array, layer: LayerBuilder) -> ir.Value:
    return layer.op("MatMul", [layer.constant("rows", weights), x])


def _along_columns(x: ir.Value, weights: Array, layer: LayerBuilder) -> ir.Value:
    return layer.op("MatMul", [x, layer.constant("columns", np.ascontiguousarray(weights.T))])


def _resize_node(x: Tensor, sizes: tuple[Extent, Extent], attributes: dict[str, Any], layer: LayerBuilder) -> Tensor:
    """An ONNX Resize, opset 13: by scales where floats hold them exactly, else by sizes."""
    scales = [_exact_scale(old, new) for old, new in zip(x.stored_shape[2:], sizes, strict=True)]
    by_corners = attributes["coordinate_transformation_mode"] == Coordinates.CORNERS.value
    if not by_corners and all(scale is not None for scale in scales):
        factors = layer.constant("scales", np.array([1, 1, *scales], np.float32))
        return Tensor(layer.op("Resize", [x.value, None, factors], **attributes), x.layout)
    zero, two = (layer.constant(name, np.array([number], np.int64)) for name, number in (("zero", 0), ("two", 2)))
    outer = layer.op("Slice", [layer.op("Shape", [x.value]), zero, two])
    wanted = layer.op("Concat", [outer, vector("sizes", sizes, layer)], axis=0)
    y = layer.op("Resize", [x.value, None, None, wanted], **attributes)
    layer.declare(y, [*x.stored_shape[:2], *map(size_of, sizes)])
    return Tensor(y, x.layout)


def _exact_scale(old: Size, new: Extent) -> float | None:
    """The quotient of two sizes, if a float32 holds it without rounding."""
    if not isinstance(old, int) or not isinstance(new, int):
        return None
    quotient = Fraction(new, old)
    return float(quotient) if Fraction(float(np.float32(float(quotient)))) == quotient else None


def known_sizes(x: Tensor, layer: LayerBuilder) -> tuple[int, int]:
    """Height and width of x (N, C, H, W).

    Raises:
        ConversionError: if one is unknown.
    """
    return layer.known_size(x, 2), layer.known_size(x, 3)


def cropped(x: Tensor, border: Border, layer: LayerBuilder) -> Tensor:
    """x (N, C, H, W) without its border.

    Raises:
        ConversionError: if nothing is left.
    """
    height, width = known_sizes(x, layer)
    if border.rows >= height or border.columns >= width:
        raise layer.error(
            f"cuts {border.rows} rows and {border.columns} columns off its input {shown(x.shape)}", "Cut off less."
        )
    if border.rows == border.columns == 0:
        return x
    bounds = {
        "starts": [border.top, border.left],
        "ends": [height - border.bottom, width - border.right],
        "axes": [2, 3],
    }
    constants = [layer.constant(name, np.array(numbers, np.int64)) for name, numbers in bounds.items()]
    return Tensor(layer.op("Slice", [x.value, *constants]), x.layout)


def padded(x: Tensor, border: Border, layer: LayerBuilder, value: float = 0.0) -> Tensor:
    """x (N, C, H, W) with a border around it that holds one number."""
    if border.rows == border.columns == 0:
        return x
    pads = [0, 0, border.top, border.left, 0, 0, border.bottom, border.right]
    operands = [x.value, layer.constant("pads", np.array(pads, np.int64))]
    if value:
        operands.append(layer.scalar("value", value))
    return Tensor(layer.op("Pad", operands), x.layout)


def cropped_to_ratio(x: Tensor, sizes: tuple[int, int], layer: LayerBuilder) -> Tensor:
    """The largest part in the middle of x (N, C, H, W) that has the ratio of another height and width.

    Source: keras/src/backend/torch/image.py, `resize`.
    """
    (height, width), (new_height, new_width) = known_sizes(x, layer), sizes
    kept_height = max(min(height, int(float(width * new_height) / new_width)), 1)
    kept_width = max(min(width, int(float(height * new_width) / new_height)), 1)
    top, left = (height - kept_height) // 2, (width - kept_width) // 2
    return cropped(x, Border(top, height - kept_height - top, left, width - kept_width - left), layer)


def padded_to_ratio(x: Tensor, sizes: tuple[int, int], layer: LayerBuilder, value: float) -> Tensor:
    """x (N, C, H, W) with as much above as below it, or left as right, that it gets the ratio of another size.

    Source: keras/src/backend/torch/image.py, `resize`.
    """
    (height, width), (new_height, new_width) = known_sizes(x, layer), sizes
    rows = (max(height, int(float(width * new_height) / new_width)) - height) // 2
    columns = (max(width, int(float(height * new_width) / new_height)) - width) // 2
    return padded(x, Border(rows, rows, columns, columns), layer, value)
