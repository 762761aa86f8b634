"""Pass: in inference, a normalization by running statistics becomes part of the layer before it.

It is an affine map of each channel, y = f x + s. Multiplying the kernel and the bias of the Conv, ConvTranspose or Gemm
that gives x does the same, without a pass over all activations.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir
import torch

__all__ = ["FoldedLayer", "fold_normalizations"]

LAYERS = ("Conv", "ConvTranspose", "Gemm")


@dataclass(frozen=True)
class FoldedLayer:
    """A layer that took in the normalization behind it: its folded weights and what they come of, by name."""

    folded_kernel: str
    folded_bias: str
    kernel: str
    bias: str | None
    norm: tuple[str, str, str, str]
    """Scale, shift, mean and variance, (C,) for C output channels."""
    epsilon: float
    axis: int
    """Where the kernel has its output channels: 0, or 1 for those of each group, whose input channels lie one after the
    other along axis 0."""
    groups: int

    @property
    def sources(self) -> tuple[str, ...]:
        """The weights of the layer and of its normalization."""
        return (self.kernel, *self.norm, *(() if self.bias is None else (self.bias,)))

    def weights(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The folded kernel and bias by their names, given the sources by theirs."""
        scale, shift, mean, variance = (tensors[name] for name in self.norm)
        kernel = tensors[self.kernel]
        factor = scale * (variance + self.epsilon).rsqrt()
        offset = -mean if self.bias is None else tensors[self.bias] - mean
        by_group = kernel.reshape(self.groups if self.axis else 1, -1, *kernel.shape[1:])
        channels = (self.groups, 1, -1) if self.axis else (1, -1, 1)
        multiplied = by_group * factor.view(*channels, *[1] * (kernel.dim() - 2))
        return {
            self.folded_kernel: multiplied.view(kernel.shape),
            self.folded_bias: torch.addcmul(shift, offset, factor),
        }


def fold_normalizations(graph: ir.Graph) -> list[FoldedLayer]:
    """Rewrite the graph in place; folded weights become inputs of it, and initializers that nothing reads any more go.

    Leaves alone a normalization in training mode, one whose input others read too or is a graph output, one whose
    weights, or those of the layer before it, are computed, and one behind a Gemm that scales its bias (beta) or has a
    bias of other than a number for each column.
    """
    folded = []
    for norm in list(graph):
        layer = _layer_before(norm)
        if layer is not None:
            folded.append(_fold(graph, layer, norm))
    for name, value in list(graph.initializers.items()):
        if folded and not value.uses() and not value.is_graph_output():
            del graph.initializers[name]
    return folded


def _layer_before(norm: ir.Node) -> ir.Node | None:
    """The layer that a normalization can be folded into."""
    if norm.domain != "" or norm.op_type != "BatchNormalization" or norm.attributes.get_int("training_mode", 0) != 0:
        return None
    x = norm.inputs[0]
    layer = None if x is None else x.producer()
    if x is None or layer is None or len(x.uses()) != 1 or x.is_graph_output():
        return None
    weights = [value for value in (*layer.inputs[1:], *norm.inputs[1:]) if value is not None]
    if layer.domain != "" or layer.op_type not in LAYERS or not all(value.is_initializer() for value in weights):
        return None
    return layer if layer.op_type != "Gemm" or _adds_its_bias(layer) else None


def _adds_its_bias(gemm: ir.Node) -> bool:
    if gemm.attributes.get_float("beta", 1.0) != 1.0:  # which would scale the folded bias, also where there was none
        return False
    bias = gemm.inputs[2] if len(gemm.inputs) > 2 else None
    return bias is None or (
        bias.const_value is not None and bias.const_value.shape.rank() == 1 and bias.const_value.size > 1
    )


def _fold(graph: ir.Graph, layer: ir.Node, norm: ir.Node) -> FoldedLayer:
    x, kernel, *bias = (value for value in layer.inputs if value is not None)
    transposed = layer.op_type == "ConvTranspose"
    outputs_lie_first = layer.op_type == "Conv" or layer.attributes.get_int("transB", 0) == 1
    scale, shift, mean, variance = (str(value.name) for value in norm.inputs[1:] if value is not None)
    made = FoldedLayer(
        folded_kernel=f"{norm.outputs[0].name}/folded_kernel",
        folded_bias=f"{norm.outputs[0].name}/folded_bias",
        kernel=str(kernel.name),
        bias=str(bias[0].name) if bias else None,
        norm=(scale, shift, mean, variance),
        epsilon=norm.attributes.get_float("epsilon", 1e-5),
        axis=0 if outputs_lie_first else 1,
        groups=layer.attributes.get_int("group", 1) if transposed else 1,
    )
    weights = [ir.Value(name=name, type=kernel.type) for name in (made.folded_kernel, made.folded_bias)]
    graph.inputs.extend(weights)
    new = ir.node(
        layer.op_type, [x, *weights], dict(layer.attributes), name=layer.name, metadata_props=layer.metadata_props
    )
    y, old = new.outputs[0], norm.outputs[0]
    y.name, y.type, y.shape = old.name, old.type, old.shape
    graph.insert_before(norm, new)
    old.replace_all_uses_with(y, replace_graph_outputs=True)
    graph.remove([norm, layer], safe=True)
    return made
