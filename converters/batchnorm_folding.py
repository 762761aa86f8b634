"""BatchNormalization folded into the layer before it: the same numbers at inference, with fewer nodes and parameters.

For deployment only: what training would normalise by the batch is a constant afterwards. This is done once, on the
NumPy arrays of a model that is written to a file. `onnxgrid.engines.folding` does it while a network is trained: there
weights stay as they are, and folded ones are computed anew from torch tensors that change. Which layer can take a
normalization in, and where its kernel has its output channels, both learn here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from converters.port_layout import state_layout, stated_layout
from converters.record import forget_folded
from converters.roles import LAYER_KEY

__all__ = ["OutputChannels", "fold_batch_normalization", "layer_before", "output_channels"]

Array = npt.NDArray[Any]

LAYERS = ("Conv", "ConvTranspose", "Gemm")
DEFAULT_EPSILON = 1e-5
"""Of ONNX BatchNormalization."""


@dataclass(frozen=True)
class OutputChannels:
    """Where a kernel has its output channels."""

    axis: int
    """0, or 1 for those of each group, whose input channels lie one after the other along axis 0."""
    groups: int = 1

    def shapes(self, kernel: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """A kernel's shape, its groups apart, and that of a number for each output channel: these broadcast."""
        if self.axis == 0:
            return tuple(kernel), (-1, *[1] * (len(kernel) - 1))
        by_group = (self.groups, kernel[0] // self.groups, *kernel[1:])
        return by_group, (self.groups, 1, -1, *[1] * (len(kernel) - 2))


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

    Leaves alone what `layer_before` does, a normalization with parameters that are no initializers, and one after a
    layer whose parameters are shared or computed.
    """
    folded = 0
    for node in model.graph:  # ir iterators allow removal on the way
        folded += _fold(model.graph, node)
    RemoveUnusedNodesPass()(model)
    if folded:
        forget_folded(model)
    return folded


def layer_before(norm: ir.Node) -> ir.Node | None:
    """The Conv, ConvTranspose or Gemm that a normalization can be folded into, as far as attributes and readers go.

    None if the normalization is one in training mode, if others read its input too or that is a graph output, and
    behind a Gemm that scales its bias (beta), which would scale the folded one, or whose bias is not a number for each
    column.
    """
    if norm.domain != "" or norm.op_type != "BatchNormalization" or len(norm.outputs) != 1:
        return None
    x = norm.inputs[0]
    layer = None if x is None else x.producer()
    if x is None or layer is None or len(x.uses()) != 1 or x.is_graph_output():
        return None
    if norm.attributes.get_int("training_mode", 0) != 0 or layer.domain != "" or layer.op_type not in LAYERS:
        return None
    return layer if layer.op_type != "Gemm" or _adds_its_bias(layer, norm) else None


def _adds_its_bias(gemm: ir.Node, norm: ir.Node) -> bool:
    """Whether a Gemm adds a vector, (C,) for C columns, as it is, or nothing."""
    if gemm.attributes.get_float("beta", 1.0) != 1.0:
        return False
    bias, scale = gemm.inputs[2] if len(gemm.inputs) > 2 else None, norm.inputs[1]
    if bias is None:
        return True
    if bias.const_value is None or scale is None or scale.const_value is None:
        return False
    return bias.const_value.shape == scale.const_value.shape


def output_channels(layer: ir.Node) -> OutputChannels:
    """Those of the kernel of a Conv (out, in / groups, ...), of a ConvTranspose (in, out / groups, ...), or of a Gemm:
    (out, in) if that transposes it, else (in, out).
    """
    if layer.op_type == "ConvTranspose":
        return OutputChannels(1, layer.attributes.get_int("group", 1))
    outputs_lie_first = layer.op_type == "Conv" or layer.attributes.get_int("transB", 0) == 1
    return OutputChannels(0 if outputs_lie_first else 1)


def _fold(graph: ir.Graph, norm: ir.Node) -> bool:
    layer = layer_before(norm)
    affine = None if layer is None else _affine(norm)
    if layer is None or affine is None:
        return False
    kernel = _parameter(layer.inputs[1])
    bias = layer.inputs[2] if len(layer.inputs) > 2 else None
    if kernel is None or (bias is not None and not _is_own(bias)):
        return False
    _replace(kernel, _multiplied(_values(kernel), affine.factor, output_channels(layer)))
    shift = affine.shift if bias is None else affine.factor * _values(bias) + affine.shift
    if bias is not None:
        _replace(bias, shift)
    else:
        _add_bias(graph, layer, kernel, shift)
    (y,) = norm.outputs
    (x,) = layer.outputs
    name = y.name if y.is_graph_output() else None
    layout = stated_layout(y)
    y.replace_all_uses_with(x, replace_graph_outputs=True)
    graph.remove(norm, safe=True)
    if name is not None:
        x.name = layer.name = name
        if layout is not None:
            state_layout(x, layout)
    return True


def _affine(norm: ir.Node) -> _Affine | None:
    values = norm.inputs[1:5]
    if not all(value is not None and value.const_value is not None for value in values):
        return None
    scale, bias, mean, variance = (_values(value).astype(np.float64) for value in values if value is not None)
    epsilon = norm.attributes.get_float("epsilon", DEFAULT_EPSILON)
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


def _multiplied(kernel: Array, factor: Array, channels: OutputChannels) -> Array:
    by_group, each = channels.shapes(kernel.shape)
    return (kernel.reshape(by_group) * factor.reshape(each)).reshape(kernel.shape)
