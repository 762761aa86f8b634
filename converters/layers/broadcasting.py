"""Weights that belong to some axes of a tensor, brought to where they broadcast against it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from converters.axes import AxisOrder
from converters.layers.layer_builder import LayerBuilder
from converters.layers.tensor import Tensor

__all__ = ["along", "spread", "stored_order"]

Array = npt.NDArray[Any]


def stored_order(x: Tensor, keras_axes: Sequence[int]) -> tuple[list[int], AxisOrder]:
    """Where these Keras axes, ascending, stand in the ONNX value, ascending, and the way between the two orders."""
    stored = [x.stored_axis(axis) for axis in keras_axes]
    return sorted(stored), AxisOrder(tuple(int(i) for i in np.argsort(stored)))


def along(value: ir.Value, stored_axes: Sequence[int], x: Tensor, layer: LayerBuilder) -> ir.Value:
    """A weight whose axes are these, ascending, of x, with the axes of size 1 that broadcasting needs."""
    missing = _missing(stored_axes, x)
    if not missing:
        return value
    return layer.op("Unsqueeze", [value, layer.constant("missing_axes", np.array(missing, np.int64))])


def spread(array: Array, stored_axes: Sequence[int], x: Tensor) -> Array:
    """As `along`, of a constant, which needs no node for it."""
    return np.expand_dims(array, tuple(_missing(stored_axes, x)))


def _missing(stored_axes: Sequence[int], x: Tensor) -> list[int]:
    """Where the axes of size 1 come; none before the first axis, which broadcasting does not need."""
    first = min(stored_axes, default=x.rank)
    return [axis - first for axis in range(first, x.rank) if axis not in stored_axes]
