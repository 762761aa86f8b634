"""Pass: activations stay with their channels last between the kernels that want them so.

`write_choices` puts a Transpose before and behind each such kernel. Here

* a Transpose to channels last of what was just transposed to channels first is bypassed;
* a value that is transposed to channels last several times is transposed once;
* an op that works element by element, a Concat along the channels and the Split that is its gradient move behind the
  Transpose where all that they read comes from one.

Results do not change, only where they are computed; names of values that are left stay. Does not enter subgraphs.
"""

import onnx_ir as ir

from onnxgrid.engines.kernel_choice.plan import to_first, to_last

__all__ = ["join_transposes"]

ARITHMETIC = ("Abs", "Add", "Clip", "Div", "Exp", "Identity", "Mul", "Neg", "Sqrt", "Sub", "Sum")
ACTIVATIONS = ("LeakyRelu", "Relu", "ReluGrad", "Sigmoid", "SigmoidGrad", "Tanh", "TanhGrad")
ELEMENTWISE = frozenset((*ARITHMETIC, *ACTIVATIONS))
ALONG_CHANNELS = frozenset(("Concat", "ConcatTraining", "SplitTraining"))
CHANNELS = 1


def join_transposes(graph: ir.Graph) -> int:
    """Rewrite the graph in place; return how many Transpose nodes went."""
    before = sum(node.op_type == "Transpose" for node in graph)
    transposed: dict[ir.Value, ir.Value] = {}
    for node in list(graph):
        if node.op_type == "Transpose":
            _reuse(node, transposed)
        elif _can_move(node):
            _move(graph, node)
    for node in reversed(list(graph)):
        if node.op_type == "Transpose" and not node.outputs[0].uses() and not node.outputs[0].is_graph_output():
            graph.remove(node, safe=True)
    return before - sum(node.op_type == "Transpose" for node in graph)


def _reuse(node: ir.Node, transposed: dict[ir.Value, ir.Value]) -> None:
    """Let those who read a Transpose to channels last read what is there already."""
    x, y = node.inputs[0], node.outputs[0]
    assert x is not None
    permutation = list(node.attributes.get_ints("perm", []))
    if permutation != to_last(len(permutation)) or y.is_graph_output():
        return
    there = _last_of(x) or transposed.get(x)
    if there is None:
        transposed[x] = y
    else:
        y.replace_all_uses_with(there)


def _last_of(value: ir.Value | None) -> ir.Value | None:
    """The value (N, s..., C) that this one, (N, C, s...), was transposed from."""
    producer = None if value is None else value.producer()
    if producer is None or producer.op_type != "Transpose":
        return None
    permutation = list(producer.attributes.get_ints("perm", []))
    return producer.inputs[0] if len(permutation) > 2 and permutation == to_first(len(permutation)) else None


def _can_move(node: ir.Node) -> bool:
    operator = node.attributes.get("operator")
    if node.op_type in ALONG_CHANNELS and node.attributes.get_int("axis", 0) == CHANNELS:
        activations = node.inputs[:1] if node.op_type == "SplitTraining" else node.inputs
    elif node.op_type in ELEMENTWISE or (operator is not None and operator.as_string() == "relu_backward"):
        activations = tuple(value for value in node.inputs if not _is_scalar(value))
    else:
        return False
    return bool(activations) and all(_last_of(value) is not None for value in activations)


def _is_scalar(value: ir.Value | None) -> bool:
    return value is not None and value.const_value is not None and value.const_value.shape.rank() == 0


def _move(graph: ir.Graph, node: ir.Node) -> None:
    """Let a node read what its inputs were transposed from, and transpose its outputs in their place."""
    rank = 0
    for i, value in enumerate(node.inputs):
        last = _last_of(value)
        if value is not None and last is not None:
            producer = value.producer()
            assert producer is not None
            rank = len(producer.attributes.get_ints("perm", []))
            node.replace_input_with(i, last)
    if node.op_type in ALONG_CHANNELS:
        node.attributes["axis"] = ir.AttrInt64("axis", rank - 1)
    outputs = node.outputs[:1] if node.op_type == "ConcatTraining" else node.outputs
    for y in outputs:
        name = str(y.name)
        back = ir.node("Transpose", [y], {"perm": to_first(rank)}, name=f"{name}/first")
        first = back.outputs[0]
        first.type, first.shape = y.type, y.shape
        y.replace_all_uses_with(first, replace_graph_outputs=True)
        back.replace_input_with(0, y)
        y.name, y.shape, first.name = f"{name}/last", None, name
        graph.insert_after(node, back)
