"""Names of the nodes of training graphs: which node of the network, and which layer, one was made for."""

from collections.abc import Callable, Mapping

import onnx_ir as ir

from converters.roles import LAYER_KEY

__all__ = ["GRADIENT_MARK", "forward_name", "layers_by_node"]

GRADIENT_MARK = "_Grad/"
"""ONNX Runtime's builder names gradient nodes `<forward node>_Grad/...`."""
NORM_MARK = "_BatchNormInternal"
"""What it appends to the name of a batch normalization in training."""


def forward_name(name: str) -> str:
    """The node of the forward graph that a node of the training graph computes, or the gradient of which."""
    return name.partition(GRADIENT_MARK)[0].removesuffix(NORM_MARK)


def layers_by_node(model: ir.Model) -> Callable[[str], str | None]:
    """The layer that a node of a training graph was made for, by the node's name; None where the model does not say."""
    layers: Mapping[str | None, str | None] = {node.name: node.metadata_props.get(LAYER_KEY) for node in model.graph}

    def layer_of(name: str) -> str | None:
        name = forward_name(name)
        while name not in layers and "/" in name:  # a pass names the nodes that it adds <node>/<what>
            name = name.rpartition("/")[0]
        return layers.get(name)

    return layer_of
