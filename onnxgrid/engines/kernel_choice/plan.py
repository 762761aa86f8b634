"""Writing a choice into a graph: the nodes of each site give way to the chosen kernel's."""

from collections.abc import Iterable, Mapping

import onnx_ir as ir

from onnxgrid.engines.aten_node import aten_node, replace_nodes
from onnxgrid.engines.kernel_choice.site import Call, Candidate, Part, Site

__all__ = ["kernel_node", "to_first", "to_last", "write_choices"]


def write_choices(graph: ir.Graph, choices: Iterable[tuple[Site, Candidate]]) -> int:
    """Rewrite the graph in place; return how many parts of sites changed."""
    nodes = {str(node.name): node for node in graph}
    values = {str(value.name): value for value in [*graph.inputs, *graph.initializers.values()]}
    values |= {str(output.name): output for node in nodes.values() for output in node.outputs}
    written = 0
    for site, candidate in choices:
        for part, call in zip(site.parts, candidate.calls, strict=bool(candidate.calls)):
            old = [nodes[name] for name in part.nodes]
            if candidate.channels_last:
                new = _between_transposes(part, call, values)
            else:
                new = [kernel_node(part, call, values, channels_last=False)]
            replace_nodes(graph, old, new)
            values |= {str(output.name): output for node in new for output in node.outputs}
            written += 1
    return written


def kernel_node(part: Part, call: Call, values: Mapping[str, ir.Value], *, channels_last: bool) -> ir.Node:
    """The node of a call. Its outputs are the part's.

    Args:
        values: {name: value} of the call's inputs, and of the part's outputs as they were.
        channels_last: activations come and go as (N, s..., C).
    """
    inputs, outputs = [values[name] for name in call.inputs], [values[name] for name in part.outputs]
    if not channels_last:
        return aten_node(call.operator, inputs, call.arguments, outputs, part.nodes[-1])
    arguments = {
        "operator": call.operator,
        "arguments": call.arguments,
        "moved_inputs": [i for i, name in enumerate(call.inputs) if name in call.activations],
        "moved_outputs": [i for i, name in enumerate(part.outputs) if name in call.activations],
    }
    return aten_node("channels_last", inputs, arguments, outputs, part.nodes[-1])


def _between_transposes(part: Part, call: Call, values: Mapping[str, ir.Value]) -> list[ir.Node]:
    """The node of a call with channels last; activations are transposed before it, and back behind it."""
    before, behind, inputs = [], [], {}
    for name in call.inputs:
        if name in call.activations and name not in inputs:
            before.append(_transpose(values[name], to_last(call.rank), f"{name}/last/{part.nodes[-1]}"))
            inputs[name] = before[-1].outputs[0]
    kernel = kernel_node(part, call, {**values, **inputs}, channels_last=True)
    for last in kernel.outputs:
        name, shape = str(last.name), last.shape
        if name in call.activations:
            last.name, last.shape = f"{name}/last", None
            behind.append(_transpose(last, to_first(call.rank), f"{name}/first"))
            behind[-1].outputs[0].name, behind[-1].outputs[0].shape = name, shape
    return [*before, kernel, *behind]


def _transpose(value: ir.Value, permutation: list[int], name: str) -> ir.Node:
    node = ir.node("Transpose", [value], {"perm": permutation}, name=name)
    node.outputs[0].type, node.outputs[0].name = value.type, name
    return node


def to_last(rank: int) -> list[int]:
    """The permutation (N, C, s...) -> (N, s..., C)."""
    return [0, *range(2, rank), 1]


def to_first(rank: int) -> list[int]:
    """The permutation (N, s..., C) -> (N, C, s...)."""
    return [0, rank - 1, *range(1, rank - 1)]
