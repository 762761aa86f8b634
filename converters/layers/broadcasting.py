"""Weights that belong to some axes of a tensor, brought to where they broadcast against it."""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from converters.axes import AxisOrder
from converters.layers.layer_builder import LayerBuilder
from converters.layers.tensor import Tensor

__all__ = ["along", "stored_order"]


def stored_order(x: Tensor, keras_axes: Sequence[int]) -> tuple[list[int], AxisOrder]:
    """Where these Keras axes, ascending, stand in the ONNX value, ascending, and the way between the two orders."""
    stored = [x.stored_axis(axis) for axis in keras_axes]
    return sorted(stored), AxisOrder(tuple(int(i) for i in np.argsort(stored)))


def along(value: ir.Value, stored_axes: Sequence[int], x: Tensor, layer: LayerBuilder) -> ir.Value:
    """A weight whose axes are these, ascending, of x, with the axes of size 1 that broadcasting needs."""
    first = min(stored_axes)
    missing = [axis - first for axis in range(first, x.rank) if axis not in stored_axes]
    if not missing:
        return value
    return layer.op("Unsqueeze", [value, layer.constant("missing_axes", np.array(missing, np.int64))])
