"""Sites of ops that torch computes by the functions in `TORCH_OPS`, and differentiates by autograd."""

import json
from collections.abc import Mapping
from typing import Any

import onnx_ir as ir

from onnxgrid.engines.gradients.torch_nodes import torch_arguments
from onnxgrid.engines.kernel_choice.graph import TrainingNodes
from onnxgrid.engines.kernel_choice.site import NATIVE, Call, Candidate, Part, Site, with_channels_last
from onnxgrid.engines.torch_ops import HOST_INPUTS

__all__ = ["torch_function", "torch_function_gradient"]

IN_ANY_LAYOUT = ("AveragePool", "GlobalAveragePool", "GlobalMaxPool", "InstanceNormalization", "Resize")
"""Ops whose first input, and nothing else, has the shape (N, C, s...), as their output has."""

SMALL = 16
"""Elements of a constant that may decide what is computed; larger ones are weights."""


def torch_function(node: ir.Node, graph: TrainingNodes) -> Site | None:
    """A node of an op whose function in torch is worth a try."""
    present = [(i, value) for i, value in enumerate(node.inputs) if value is not None and value.name]
    shapes = graph.shapes_of(*(value for _, value in present))
    if shapes is None or len(present) != len(shapes) or any(o.name for o in node.outputs[1:]):
        return None
    constants = _constants(node)
    if not _numbers_known(node.op_type, dict(present), constants):
        return None
    inputs, y = tuple(shapes), str(node.outputs[0].name)
    arguments = torch_arguments(node)
    aten = Candidate("aten", (Call("torch_op", inputs, arguments, (inputs[0], y), len(shapes[inputs[0]])),))
    movable = with_channels_last(aten) if node.op_type in IN_ANY_LAYOUT else (aten,)
    part = Part((str(node.name),), (y,))
    return Site(node.op_type, (part,), shapes, arguments["attributes"], (Candidate(NATIVE), *movable), constants)


def torch_function_gradient(node: ir.Node, graph: TrainingNodes) -> Site | None:
    """A gradient that torch's autograd computes, and for average pooling ATen's own kernel of it."""
    if node.attributes["operator"].as_string() != "vjp":
        return None
    arguments = json.loads(node.attributes["overload_name"].as_string())
    op_type, shapes = arguments["op_type"], graph.shapes_of(*node.inputs)
    if op_type not in IN_ANY_LAYOUT or shapes is None or len(shapes) != len(node.inputs):
        return None
    constants = _constants(node)
    inputs_of_op = node.inputs[len(arguments["outputs"]) :]
    if not _numbers_known(op_type, dict(zip(arguments["positions"], inputs_of_op, strict=True)), constants):
        return None
    inputs, outputs = tuple(shapes), tuple(str(output.name) for output in node.outputs)
    rank = len(shapes[inputs[0]])
    activations = (inputs[0], inputs[1], *(outputs[:1] if 0 in arguments["differentiable"] else ()))
    candidates = [Candidate("autograd", (Call("vjp", inputs, arguments, activations, rank),))]
    own = _average_pool(arguments["attributes"]) if op_type == "AveragePool" else None
    if own is not None:
        candidates.insert(0, Candidate("aten", (Call("average_pool_backward", inputs, own, activations, rank),)))
    part = Part((str(node.name),), outputs)
    describing = {name: arguments[name] for name in ("attributes", "differentiable")}
    return Site(f"{op_type}Grad", (part,), shapes, describing, with_channels_last(*candidates), constants)


def _numbers_known(op_type: str, inputs: Mapping[int, ir.Value | None], constants: Mapping[str, Any]) -> bool:
    """Whether what the op reads as numbers is constant: without them there is nothing to measure."""
    numbers = HOST_INPUTS.get(("", op_type), frozenset())
    return all(i not in numbers or (value is not None and value.name in constants) for i, value in inputs.items())


def _constants(node: ir.Node) -> dict[str, Any]:
    """The values of small constant inputs: the scales or sizes of a Resize, say."""
    return {
        str(value.name): value.const_value.numpy().tolist()
        for value in node.inputs
        if value is not None and value.const_value is not None and value.const_value.size <= SMALL
    }


def _average_pool(attributes: dict[str, Any]) -> dict[str, Any] | None:
    """What ATen's gradient of an average pooling wants to know, or None if it cannot compute this one."""
    kernel = attributes["kernel_shape"]
    rank = len(kernel)
    pads = attributes.get("pads") or [0] * 2 * rank
    padding = pads[:rank]
    if (
        attributes.get("ceil_mode")
        or set(attributes.get("dilations") or ()) - {1}
        or rank not in (2, 3)
        or padding != pads[rank:]
        or any(2 * p > k for p, k in zip(padding, kernel, strict=True))
        or attributes.get("auto_pad", "NOTSET").startswith("SAME")
    ):
        return None
    return {
        "kernel": kernel,
        "stride": attributes.get("strides") or [1] * rank,
        "padding": padding,
        "count_include_pad": bool(attributes.get("count_include_pad", 0)),
    }
