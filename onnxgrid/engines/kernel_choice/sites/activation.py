"""Sites of activations' gradients."""

import onnx_ir as ir

from onnxgrid.engines.kernel_choice.graph import TrainingNodes
from onnxgrid.engines.kernel_choice.site import NATIVE, Call, Candidate, Part, Site

__all__ = ["relu_gradient"]


def relu_gradient(node: ir.Node, graph: TrainingNodes) -> Site | None:
    """The gradient of a Relu that stands alone."""
    shapes = graph.shapes_of(*node.inputs)
    if shapes is None:
        return None
    inputs, dx = tuple(shapes), str(node.outputs[0].name)
    aten = Candidate("aten", (Call("relu_backward", inputs, {}, (*inputs, dx), len(shapes[inputs[0]])),))
    return Site("ReluGrad", (Part((str(node.name),), (dx,)),), shapes, {}, (aten, Candidate(NATIVE)))
