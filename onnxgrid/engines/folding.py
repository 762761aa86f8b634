"""Pass: in inference, a normalization by running statistics becomes part of the layer before it.

It is an affine map of each channel, y = f x + s. Multiplying the kernel and the bias of the Conv, ConvTranspose or Gemm
that gives x does the same, without a pass over all activations. Weights change in training, so the graph reads folded
ones as inputs, which are computed anew from torch tensors. `converters.batchnorm_folding` folds once and for all, the
NumPy arrays of a model that is written to a file; which layers qualify, and where their channels are, it says for both.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir
import torch

from converters.batchnorm_folding import DEFAULT_EPSILON, OutputChannels, layer_before, output_channels

__all__ = ["FoldedLayer", "fold_normalizations"]


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
    channels: OutputChannels

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
        by_group, each = self.channels.shapes(kernel.shape)
        return {
            self.folded_kernel: (kernel.reshape(by_group) * factor.view(each)).view(kernel.shape),
            self.folded_bias: torch.addcmul(shift, offset, factor),
        }


def fold_normalizations(graph: ir.Graph) -> list[FoldedLayer]:
    """Rewrite the graph in place; folded weights become inputs of it, and initializers that nothing reads any more go.

    Leaves alone what `layer_before` does, and a normalization whose weights, or those of the layer before it, are
    computed.
    """
    folded = []
    for norm in list(graph):
        layer = _layer_with_given_weights(norm)
        if layer is not None:
            folded.append(_fold(graph, layer, norm))
    for name, value in list(graph.initializers.items()):
        if folded and not value.uses() and not value.is_graph_output():
            del graph.initializers[name]
    return folded


def _layer_with_given_weights(norm: ir.Node) -> ir.Node | None:
    """The layer that a normalization can be folded into, if their weights are initializers."""
    layer = layer_before(norm)
    values = () if layer is None else (*layer.inputs[1:], *norm.inputs[1:])
    return layer if all(value is None or value.is_initializer() for value in values) else None


def _fold(graph: ir.Graph, layer: ir.Node, norm: ir.Node) -> FoldedLayer:
    x, kernel, *bias = (value for value in layer.inputs if value is not None)
    scale, shift, mean, variance = (str(value.name) for value in norm.inputs[1:] if value is not None)
    made = FoldedLayer(
        folded_kernel=f"{norm.outputs[0].name}/folded_kernel",
        folded_bias=f"{norm.outputs[0].name}/folded_bias",
        kernel=str(kernel.name),
        bias=str(bias[0].name) if bias else None,
        norm=(scale, shift, mean, variance),
        epsilon=norm.attributes.get_float("epsilon", DEFAULT_EPSILON),
        channels=output_channels(layer),
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
