"""Sites of max pooling: forward and gradient are chosen together, since each kernel notes the maxima in its own way.

ONNX Runtime's own kernels are no candidates: where a window holds nothing but NaN or minus infinity, they note a
position before its plane, and the gradient is written there, into other memory (ONNX Runtime 1.19.2).
"""

from typing import Any

import onnx_ir as ir

from onnxgrid.engines.gradients.max_pooling import max_pool_arguments
from onnxgrid.engines.kernel_choice.graph import TrainingNodes
from onnxgrid.engines.kernel_choice.site import Call, Candidate, Part, Site, with_channels_last

__all__ = ["max_pooling"]


def max_pooling(node: ir.Node, graph: TrainingNodes) -> Site | None:
    """A MaxPool and its gradient."""
    gradient, arguments = graph.gradient_of(node, "MaxPoolGrad"), max_pool_arguments(node)
    if gradient is None or arguments is None:
        return None
    dy = gradient.inputs[0]
    known = graph.shapes_of(node.inputs[0], dy)
    # Without shapes there is nothing to measure, but the pooling needs another kernel all the same.
    shapes = known or {str(value.name): () for value in (node.inputs[0], dy) if value is not None}
    x, dy_name = tuple(shapes)
    rank = len(arguments["kernel"]) + 2
    y, positions = (str(output.name) for output in node.outputs)
    dx = str(gradient.outputs[0].name)

    def candidate(name: str, **own: Any) -> Candidate:
        forward = Call("max_pool", (x,), {**arguments, **own}, (x, y, positions), rank)
        backward = Call("max_pool_backward", (dy_name, x, positions), arguments, (dy_name, x, positions, dx), rank)
        return Candidate(name, (forward, backward))

    parts = (Part((str(node.name),), (y, positions)), Part((str(gradient.name),), (dx,)))
    candidates = (*with_channels_last(candidate("aten")), candidate("reordered", reordered=True))
    return Site("MaxPool", parts, shapes, arguments, candidates if known else candidates[:1])
