"""BatchNormalization folded into the layer before it: the same numbers at inference, with fewer nodes and parameters.

For deployment only: what training would normalise by the batch is a constant afterwards.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from converters.port_layout import state_layout, stated_layout
from converters.record import forget_folded
from converters.roles import LAYER_KEY

__all__ = ["fold_batch_normalization"]

Array = npt.NDArray[Any]

DEFAULT_EPSILON = 1e-5
"""Of ONNX BatchNormalization."""


@dataclass(frozen=True)
class _Affine:
    """What a BatchNormalization does at inference: y = factor * x + shift, one of each for a channel."""

    factor: Array
    shift: Array


def fold_batch_normalization(model: ir.Model) -> int:
    """Fold every BatchNormalization that can be into the Conv, ConvTranspose or Gemm before it, in place; their number.

    The kernel and the bias keep their names; a layer without a bias gets one, `<layer>.bias`. What the normalization
    gave is now given by the layer, under the layer's own name, but a graph output keeps its name. The normalization's
    initializers disappear.

    Leaves alone a normalization whose input others take too or is a graph output, one in training mode, one with
    parameters that are no initializers, and one after a layer whose parameters are shared or computed.
    """
    folded = 0
    for node in model.graph:  # ir iterators allow removal on the way
        folded += _fold(model.graph, node)
    RemoveUnusedNodesPass()(model)
    if folded:
        forget_folded(model)
    return folded


def _fold(graph: ir.Graph, norm: ir.Node) -> bool:
    affine = _affine(norm)
    x = norm.inputs[0] if affine is not None else None
    layer = x.producer() if x is not None else None
    if affine is None or x is None or layer is None or x.is_graph_output() or len(x.uses()) != 1:
        return False
    scaled = SCALED_KERNELS.get(layer.op_type) if layer.domain == "" else None
    kernel = _parameter(layer.inputs[1]) if scaled is not None else None
    bias = layer.inputs[2] if len(layer.inputs) > 2 else None
    if scaled is None or kernel is None or (bias is not None and not _is_own(bias)):
        return False
    if layer.attributes.get_float("beta", 1.0) != 1.0:  # of a Gemm, which would scale the folded bias
        return False
    _replace(kernel, scaled(_values(kernel), affine.factor, layer))
    shift = affine.shift if bias is None else affine.factor * _values(bias) + affine.shift
    if bias is not None:
        _replace(bias, shift)
    else:
        _add_bias(graph, layer, kernel, shift)
    (y,) = norm.outputs
    name = y.name if y.is_graph_output() else None
    layout = stated_layout(y)
    y.replace_all_uses_with(x, replace_graph_outputs=True)
    graph.remove(norm, safe=True)
    if name is not None:
        x.name = layer.name = name
        if layout is not None:
            state_layout(x, layout)
    return True


def _affine(node: ir.Node) -> _Affine | None:
    if node.op_type != "BatchNormalization" or node.domain != "" or len(node.outputs) != 1:
        return None
    training = node.attributes.get("training_mode")
    if training is not None and training.as_int() != 0:
        return None
    values = node.inputs[1:5]
    if not all(value is not None and value.const_value is not None for value in values):
        return None
    scale, bias, mean, variance = (_values(value).astype(np.float64) for value in values if value is not None)
    epsilon = node.attributes["epsilon"].as_float() if "epsilon" in node.attributes else DEFAULT_EPSILON
    factor = scale / np.sqrt(variance + epsilon)
    return _Affine(factor, bias - mean * factor)


def _parameter(value: ir.Value | None) -> ir.Value | None:
    """The initializer behind a kernel that nothing else uses, also where an Unsqueeze makes a window of it."""
    producer = None if value is None else value.producer()
    if value is not None and producer is not None and producer.op_type == "Unsqueeze" and len(value.uses()) == 1:
        value = producer.inputs[0]
    return value if value is not None and _is_own(value) else None


def _is_own(value: ir.Value) -> bool:
    return value.is_initializer() and value.const_value is not None and len(value.uses()) == 1


def _values(value: ir.Value) -> Array:
    assert value.const_value is not None
    return value.const_value.numpy()


def _replace(value: ir.Value, array: Array) -> None:
    assert value.const_value is not None
    value.const_value = ir.Tensor(array.astype(value.const_value.dtype.numpy()), name=value.name)


def _add_bias(graph: ir.Graph, layer: ir.Node, kernel: ir.Value, shift: Array) -> None:
    prefix = str(kernel.name).rpartition(".")[0] or layer.metadata_props.get(LAYER_KEY) or str(layer.name)
    name = f"{prefix}.bias"
    assert name not in graph.initializers
    assert kernel.const_value is not None
    tensor = ir.Tensor(shift.astype(kernel.const_value.dtype.numpy()), name=name)
    value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    layer.resize_inputs(3)
    layer.replace_input_with(2, value)


def _first_axis(kernel: Array, factor: Array, layer: ir.Node) -> Array:
    """A kernel (out, ...)."""
    return kernel * factor.reshape(-1, *[1] * (kernel.ndim - 1))


def _gemm(kernel: Array, factor: Array, layer: ir.Node) -> Array:
    """A kernel (out, in) if it is transposed, else (in, out)."""
    transposed = "transB" in layer.attributes and layer.attributes["transB"].as_int() == 1
    return _first_axis(kernel, factor, layer) if transposed else kernel * factor


def _transposed_convolution(kernel: Array, factor: Array, layer: ir.Node) -> Array:
    """A kernel (in, out / groups, ...), whose input channels belong to the groups one after the other."""
    groups = layer.attributes["group"].as_int() if "group" in layer.attributes else 1
    by_group = kernel.reshape(groups, -1, *kernel.shape[1:])
    scale = factor.reshape(groups, 1, -1, *[1] * (kernel.ndim - 2))
    return (by_group * scale).reshape(kernel.shape)


SCALED_KERNELS: dict[str, Callable[[Array, Array, ir.Node], Array]] = {
    "Conv": _first_axis,
    "ConvTranspose": _transposed_convolution,
    "Gemm": _gemm,
}
"""Operator -> its kernel with what it gives multiplied, given the kernel and a factor for each output channel."""
