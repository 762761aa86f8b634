"""Sites of max pooling: forward and gradient are chosen together, since each kernel notes the maxima in its own way."""

from typing import Any

import onnx_ir as ir

from onnxgrid.engines.kernel_choice.graph import TrainingNodes
from onnxgrid.engines.kernel_choice.site import NATIVE, Call, Candidate, Part, Site, with_channels_last

__all__ = ["max_pooling"]


def max_pooling(node: ir.Node, graph: TrainingNodes) -> Site | None:
    """A MaxPool and its gradient."""
    gradient, arguments = graph.gradient_of(node, "MaxPoolGrad"), _arguments(node)
    if gradient is None or arguments is None:
        return None
    dy = gradient.inputs[0]
    shapes = graph.shapes_of(node.inputs[0], dy)
    if shapes is None:
        return None
    x, dy_name = tuple(shapes)
    rank = len(shapes[x])
    y, positions = (str(output.name) for output in node.outputs)
    dx = str(gradient.outputs[0].name)

    def candidate(name: str, **own: Any) -> Candidate:
        forward = Call("max_pool", (x,), {**arguments, **own}, (x, y, positions), rank)
        backward = Call("max_pool_backward", (dy_name, x, positions), arguments, (dy_name, x, positions, dx), rank)
        return Candidate(name, (forward, backward))

    parts = (Part((str(node.name),), (y, positions)), Part((str(gradient.name),), (dx,)))
    # ONNX Runtime's MaxPoolGrad takes the sizes of its output from the graph: one that leaves them open crashes it.
    sizes = [] if gradient.outputs[0].shape is None else list(gradient.outputs[0].shape)[1:]
    native = (Candidate(NATIVE),) if sizes and all(isinstance(size, int) for size in sizes) else ()
    candidates = (*native, *with_channels_last(candidate("aten")), candidate("reordered", reordered=True))
    return Site("MaxPool", parts, shapes, arguments, candidates)


def _arguments(node: ir.Node) -> dict[str, Any] | None:
    """What ATen's pooling wants to know, or None if it cannot compute the node."""
    kernel = list(node.attributes.get_ints("kernel_shape", []))
    rank = len(kernel)
    pads = list(node.attributes.get_ints("pads", [0] * 2 * rank))
    padding = pads[:rank]
    if (
        rank not in (2, 3)
        or padding != pads[rank:]
        or any(2 * p > k for p, k in zip(padding, kernel, strict=True))
        or node.attributes.get_string("auto_pad", "NOTSET").startswith("SAME")
        or node.attributes.get_int("ceil_mode", 0) != 0
        or node.attributes.get_int("storage_order", 0) != 0
    ):
        return None
    return {
        "kernel": kernel,
        "stride": list(node.attributes.get_ints("strides", [1] * rank)),
        "padding": padding,
        "dilation": list(node.attributes.get_ints("dilations", [1] * rank)),
    }
