"""Sites of convolutions and transposed convolutions, with the Relu behind them, and of their gradients."""

from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

from onnxgrid.engines.kernel_choice.graph import TrainingNodes, only_use
from onnxgrid.engines.kernel_choice.site import NATIVE, Call, Candidate, Part, Site, with_channels_last

__all__ = ["convolution", "convolution_gradient"]


def convolution(node: ir.Node, graph: TrainingNodes) -> Site | None:
    """A Conv or ConvTranspose, and the Relu that alone reads it."""
    arguments = _arguments(node, graph)
    shapes = graph.shapes_of(*node.inputs)
    if arguments is None or shapes is None:
        return None
    relu = only_use(node.outputs[0], "Relu")
    nodes, last = ([node, relu], relu) if relu is not None else ([node], node)
    inputs, y = tuple(shapes), str(last.outputs[0].name)
    fused = {"relu": relu is not None}
    window = shapes[inputs[1]][2:]

    def call(operator: str, **own: Any) -> tuple[Call, ...]:
        return (Call(operator, inputs, {**own, **fused}, (inputs[0], y), len(shapes[inputs[0]])),)

    native, aten = Candidate(NATIVE), Candidate("aten", call("conv", **arguments))
    # ONNX Runtime's convolutions in 3D take several times as long as ATen's, its others about as long.
    candidates = [aten, native] if len(window) == 3 else [native, aten]
    if _is_strided_pointwise(arguments, window):
        candidates.append(Candidate("strided pointwise", call("conv_strided_pointwise", stride=arguments["stride"])))
    if _windows_do_not_overlap(arguments, window):
        candidates.append(Candidate("shuffled", call("conv_shuffled")))
    candidates.append(Candidate("bf16", call("conv", **arguments, low_precision=True), low_precision=True))
    part = Part(tuple(str(n.name) for n in nodes), (y,))
    return Site(node.op_type, (part,), shapes, {**arguments, **fused}, _movable(candidates, "aten", "bf16"))


def convolution_gradient(node: ir.Node, graph: TrainingNodes) -> Site | None:
    """The gradient of a Conv or ConvTranspose, and the gradient of the Relu behind it, which it alone reads."""
    forward = graph.forward_of(node)
    arguments = None if forward is None else _arguments(forward, graph)
    if arguments is None:
        return None
    dy, x, w = node.inputs[:3]
    assert dy is not None
    relu = dy.producer()
    nodes, y = [node], None
    if relu is not None and relu.op_type == "ReluGrad" and only_reader(dy, node):
        nodes, (dy, y) = [relu, node], relu.inputs
    known = graph.shapes_of(dy, x, w, y)
    window = (graph.shape_of(w) or ())[2:]
    # Without shapes there is nothing to measure, but the gradient of a ConvTranspose needs another kernel all the same.
    shapes = known or {str(value.name): () for value in (dy, x, w, y) if value is not None}
    outputs = [*node.outputs, *[None] * (3 - len(node.outputs))]
    wanted = [output is not None and bool(output.name) for output in outputs]
    named = tuple(str(output.name) for output in outputs if output is not None and output.name)
    part = Part(tuple(str(n.name) for n in nodes), named)
    inputs = tuple(shapes)
    activations = (inputs[0], inputs[1], *inputs[3:], *(named[:1] if wanted[0] else ()))

    def call(operator: str, **own: Any) -> tuple[Call, ...]:
        return (Call(operator, inputs, {**own, "wanted": wanted}, activations, len(window) + 2),)

    candidates = [Candidate("aten", call("conv_backward", **arguments))]
    if node.op_type == "ConvGrad":
        # In 1D and 3D, dx of several groups is written beyond its memory (ONNX Runtime 1.19.2).
        if arguments["groups"] == 1 or len(window) == 2:
            candidates.append(Candidate(NATIVE, on_request_only=len(window) == 3))  # twenty times as slow as ATen's
        if wanted[0] and _can_be_flipped(arguments, window):
            own = {name: arguments[name] for name in ("padding", "dilation")}
            candidates.append(Candidate("flipped", call("conv_backward_flipped", **own)))
    if _is_strided_pointwise(arguments, window):
        own = {"stride": arguments["stride"]}
        candidates.append(Candidate("strided pointwise", call("conv_backward_strided_pointwise", **own)))
    if _windows_do_not_overlap(arguments, window):
        candidates.append(Candidate("shuffled", call("conv_backward_shuffled")))
    candidates.append(Candidate("bf16", call("conv_backward", **arguments, low_precision=True), low_precision=True))
    describing = {**arguments, "wanted": wanted, "relu": y is not None}
    movable = _movable(candidates, "aten", "shuffled", "bf16")
    return Site(node.op_type, (part,), shapes, describing, movable if known else tuple(candidates[:1]))


def only_reader(value: ir.Value, node: ir.Node) -> bool:
    """Whether a value goes to this node and nowhere else."""
    return {use.node for use in value.uses()} == {node} and not value.is_graph_output()


def _movable(candidates: Sequence[Candidate], *names: str) -> tuple[Candidate, ...]:
    """The candidates, and those of these names with channels last as well."""
    fixed = tuple(c for c in candidates if c.name not in names)
    moved = with_channels_last(*(c for c in candidates if c.name in names))
    twins = tuple(c for c in moved if c.channels_last)
    return (*candidates, *twins) if fixed else moved


def _arguments(node: ir.Node, graph: TrainingNodes) -> dict[str, Any] | None:
    """What ATen's convolutions want to know, or None if they cannot compute the node: its padding depends on the
    input's size, or is not the same at both ends.
    """
    weight = graph.shape_of(node.inputs[1])
    attributes = node.attributes
    if weight is None or attributes.get_string("auto_pad", "NOTSET").startswith("SAME") or "output_shape" in attributes:
        return None
    rank = len(weight) - 2
    pads = list(node.attributes.get_ints("pads", [0] * 2 * rank))
    if pads[:rank] != pads[rank:]:
        return None
    return {
        "stride": list(node.attributes.get_ints("strides", [1] * rank)),
        "padding": pads[:rank],
        "dilation": list(node.attributes.get_ints("dilations", [1] * rank)),
        "transposed": node.op_type == "ConvTranspose",
        "output_padding": list(node.attributes.get_ints("output_padding", [0] * rank)),
        "groups": node.attributes.get_int("group", 1),
    }


def _is_strided_pointwise(arguments: Mapping[str, Any], window: Sequence[int]) -> bool:
    return (
        not arguments["transposed"]
        and arguments["groups"] == 1
        and set(window) == {1}
        and not any(arguments["padding"])
        and any(step > 1 for step in arguments["stride"])
    )


def _windows_do_not_overlap(arguments: Mapping[str, Any], window: Sequence[int]) -> bool:
    return (
        arguments["transposed"]
        and arguments["groups"] == 1
        and list(window) == arguments["stride"]
        and not any(arguments["padding"])
        and not any(arguments["output_padding"])
        and set(arguments["dilation"]) == {1}
    )


def _can_be_flipped(arguments: Mapping[str, Any], window: Sequence[int]) -> bool:
    reach = zip(arguments["dilation"], window, arguments["padding"], strict=True)
    return set(arguments["stride"]) == {1} and arguments["groups"] == 1 and all(d * (k - 1) >= p for d, k, p in reach)
