"""Softmax and its logarithm over one axis or several: for the layers and for the operations."""

from collections.abc import Sequence

import onnx_ir as ir

from converters.layers.layer_builder import LayerBuilder
from converters.layers.tensor import Tensor

__all__ = ["log_softmax_over", "softmax_over"]


def softmax_over(x: Tensor, keras_axes: Sequence[int], layer: LayerBuilder) -> Tensor:
    """exp(x) divided by its sum over these axes, counted from 0."""
    if len(keras_axes) == 1:
        return Tensor(layer.op("Softmax", [x.value], axis=x.stored_axis(keras_axes[0])), x.layout)
    exponential = layer.op("Exp", [_below_zero(x, keras_axes, layer)])
    return Tensor(layer.op("Div", [exponential, _sum(exponential, x, keras_axes, layer)]), x.layout)


def log_softmax_over(x: Tensor, keras_axes: Sequence[int], layer: LayerBuilder) -> Tensor:
    """The logarithm of softmax over these axes, counted from 0."""
    if len(keras_axes) == 1:
        return Tensor(layer.op("LogSoftmax", [x.value], axis=x.stored_axis(keras_axes[0])), x.layout)
    distance = _below_zero(x, keras_axes, layer)
    total = _sum(layer.op("Exp", [distance]), x, keras_axes, layer)
    return Tensor(layer.op("Sub", [distance, layer.op("Log", [total])]), x.layout)


def _below_zero(x: Tensor, keras_axes: Sequence[int], layer: LayerBuilder) -> ir.Value:
    """x less its largest element over the axes, so that no exponential overflows."""
    largest = layer.op("ReduceMax", [x.value], axes=_stored(x, keras_axes), keepdims=1)
    return layer.op("Sub", [x.value, largest])


def _sum(value: ir.Value, x: Tensor, keras_axes: Sequence[int], layer: LayerBuilder) -> ir.Value:
    return layer.op("ReduceSum", [value], axes=_stored(x, keras_axes), keepdims=1)


def _stored(x: Tensor, keras_axes: Sequence[int]) -> list[int]:
    return sorted(x.stored_axis(axis) for axis in keras_axes)
