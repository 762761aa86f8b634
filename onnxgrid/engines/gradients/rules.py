"""Pass: gradient rules, one function per op. A rule sees the forward node and the node that ONNX Runtime's builder left
as its gradient, and gives the node that stands there instead, or None to leave it.

The builder names every gradient node `<forward node>_Grad/...`. What `placeholders` left is filled in here, where both
nodes are in one graph.
"""

from collections.abc import Callable, Mapping, Sequence

import onnx_ir as ir

from onnxgrid.engines.aten_node import aten_node, replace_nodes
from onnxgrid.engines.gradients.placeholders import PLACEHOLDERS
from onnxgrid.engines.gradients.torch_nodes import is_torch_node, torch_arguments, torch_node_floats
from onnxgrid.engines.training_mode import ATEN_DOMAIN

__all__ = ["GRADIENT_RULES", "apply_gradient_rules"]

Rule = Callable[[ir.Node, ir.Node], ir.Node | None]

GRADIENT_RULES: dict[str, Rule] = {}
"""{op type of the node that the builder left: rule}.

A placeholder's op type is ATen; its `operator` is the key instead.
"""

MICROSOFT_DOMAIN = "com.microsoft"


def gradient_rule(*keys: str) -> Callable[[Rule], Rule]:
    """Register a rule."""

    def register(rule: Rule) -> Rule:
        for key in keys:
            if GRADIENT_RULES.setdefault(key, rule) is not rule:
                raise ValueError(f"{key} already has the rule {GRADIENT_RULES[key].__name__}")
        return rule

    return register


@gradient_rule("ConvGrad", "ConvTransposeGrad")
def convolution(forward: ir.Node, gradient: ir.Node) -> ir.Node | None:
    """torch's autograd where the padding depends on the input's size; other convolutions' gradients have kernels to
    choose from.
    """
    attributes = gradient.attributes
    if not attributes.get_string("auto_pad", "NOTSET").startswith("SAME") and "output_shape" not in attributes:
        return None
    outputs = [output for output in gradient.outputs if output.name]
    wanted = [i for i, output in enumerate(gradient.outputs) if output.name]
    return _vjp(forward, gradient.inputs[:1], wanted, outputs, gradient.name)


@gradient_rule("synchronized_norm_backward")
def synchronized_normalization(forward: ir.Node, gradient: ir.Node) -> ir.Node:
    """All three gradients, also where the builder wants fewer."""
    for number, output in enumerate(gradient.outputs):
        output.name = output.name or f"{gradient.name}/unused_{number}"
    return aten_node("synchronized_norm_backward", gradient.inputs, {}, gradient.outputs, gradient.name)


@gradient_rule("placeholder")
def torch_gradient(forward: ir.Node, gradient: ir.Node) -> ir.Node:
    """torch's autograd over the forward op's torch function."""
    positions = _differentiable_inputs(forward)
    wanted = [
        (i, output)
        for i, output in zip(positions, gradient.outputs, strict=False)
        if output.name and (output.uses() or output.is_graph_output())
    ]
    dys = gradient.inputs[: len(gradient.inputs) - len(positions)]
    return _vjp(forward, dys, [i for i, _ in wanted], [output for _, output in wanted], gradient.name)


def _differentiable_inputs(forward: ir.Node) -> tuple[int, ...]:
    """The inputs that a placeholder gives gradients of, and gets behind those of the outputs."""
    if is_torch_node(forward):
        return torch_node_floats(forward)
    return PLACEHOLDERS[forward.op_type]


def apply_gradient_rules(model: ir.Model) -> int:
    """Replace gradient nodes of the main graph, in place, by what their rules give; return how many."""
    forward_nodes = {node.name: node for node in model.graph}
    replaced = 0
    for node in list(model.graph):
        operator = node.attributes.get("operator")
        rule = GRADIENT_RULES.get(node.op_type if operator is None else operator.as_string())
        forward_name, _, gradient_name = (node.name or "").rpartition("_Grad/")
        if rule is None or not gradient_name or not forward_name:
            continue
        new = rule(forward_nodes[forward_name], node)
        if new is not None:
            replace_nodes(model.graph, [node], [new])
            replaced += 1
    _read_outputs_of_relu(model.graph, forward_nodes)
    model.graph.opset_imports.setdefault(ATEN_DOMAIN, 1)
    model.graph.opset_imports.setdefault(MICROSOFT_DOMAIN, 1)
    return replaced


def _read_outputs_of_relu(graph: ir.Graph, forward_nodes: Mapping[str | None, ir.Node]) -> None:
    """Let each Relu's gradient read its output: where several nodes read the Relu, the builder keeps its input alive
    instead, and the Relu from being one with the node before it.
    """
    for node in graph:
        if node.op_type == "ReluGrad":
            name, _, _ = (node.name or "").rpartition("_Grad/")
            node.replace_input_with(1, forward_nodes[name].outputs[0])


def _vjp(
    forward: ir.Node,
    dys: Sequence[ir.Value | None],
    differentiable: Sequence[int],
    outputs: Sequence[ir.Value],
    name: str | None,
) -> ir.Node:
    """A node of the gradients of some inputs of the forward node.

    Args:
        dys: the gradients of those of its outputs that are used, in order.
    """
    used = [i for i, value in enumerate(forward.outputs) if value.uses() or value.is_graph_output()]
    arguments = {**torch_arguments(forward), "outputs": used[: len(dys)], "differentiable": list(differentiable)}
    present = [value for value in forward.inputs if value is not None]
    return aten_node("vjp", [*dys, *present], arguments, outputs, name)
