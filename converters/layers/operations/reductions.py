"""Operations that reduce axes."""

from functools import partial

from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments
from converters.layers.operations.registry import operation
from converters.layers.tensor import Tensor

__all__: list[str] = []

REDUCTIONS = {
    "ReduceMean": ("keras.ops.Mean", "tf.math.reduce_mean"),
    "ReduceSum": ("keras.ops.Sum", "tf.math.reduce_sum"),
    "ReduceMax": ("keras.ops.Max", "tf.math.reduce_max"),
    "ReduceMin": ("keras.ops.Min", "tf.math.reduce_min"),
}
"""ONNX operator -> operations that reduce axes."""


def _reduction(op_type: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x reduced over axes, which stay with size 1 if `keepdims` says so."""
    x = arguments.tensor("x")
    axes = arguments.axes("axis", x)
    keep = arguments.flag("keepdims", default=False)
    stored = sorted(x.stored_axis(axis) for axis in axes)
    y = layer.op(op_type, [x.value], axes=stored, keepdims=int(keep))
    return Tensor(y, x.layout if keep else x.layout_without(axes))


for _op_type, _names in REDUCTIONS.items():
    operation(*_names, parameters="x|input_tensor axis keepdims")(partial(_reduction, _op_type))
