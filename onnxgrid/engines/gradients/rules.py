"""Pass: gradient rules, one function per op. A rule sees the forward node and the node that ONNX Runtime's builder left
as its gradient, and gives the nodes that stand there instead.

The builder names every gradient node `<forward node>_Grad/...`. What `placeholders` left is filled in here, where both
nodes are in one graph.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir as ir

from onnxgrid.engines.gradients.placeholders import PLACEHOLDERS
from onnxgrid.engines.gradients.torch_nodes import is_torch_node, torch_arguments, torch_node_floats
from onnxgrid.engines.training_mode import ATEN_DOMAIN

__all__ = ["GRADIENT_RULES", "apply_gradient_rules"]

Rule = Callable[[ir.Node, ir.Node], ir.Node]

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
def convolution(forward: ir.Node, gradient: ir.Node) -> ir.Node:
    """ATen's convolution_backward: faster than ConvGrad in 2D and several times in 3D; ConvTransposeGrad has no CPU
    kernel at all.
    """
    weight = gradient.inputs[2]
    assert weight is not None
    assert weight.shape is not None
    rank = len(weight.shape) - 2
    attributes = gradient.attributes
    outputs = [output for output in gradient.outputs if output.name]
    wanted = [bool(output.name) for output in gradient.outputs] + [False] * (3 - len(gradient.outputs))
    if attributes.get_string("auto_pad", "NOTSET").startswith("SAME") or "output_shape" in attributes:
        # The amounts depend on the input's size, and ATen's kernel pads both ends alike.
        return _vjp(forward, gradient.inputs[:1], [i for i, want in enumerate(wanted) if want], outputs, gradient.name)
    arguments = {
        "stride": list(attributes.get_ints("strides", [1] * rank)),
        "padding": list(attributes.get_ints("pads", [0] * 2 * rank))[:rank],
        "dilation": list(attributes.get_ints("dilations", [1] * rank)),
        "transposed": gradient.op_type == "ConvTransposeGrad",
        "output_padding": list(attributes.get_ints("output_padding", [0] * rank)),
        "groups": attributes.get_int("group", 1),
        "wanted": wanted,
    }
    return _aten("conv_backward", gradient.inputs, arguments, outputs, gradient.name)


@gradient_rule("ReluGrad")
def relu(forward: ir.Node, gradient: ir.Node) -> ir.Node:
    """ATen's kernel, which is the faster one on a CPU."""
    return _aten("relu_backward", gradient.inputs, {}, gradient.outputs, gradient.name)


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
        _take_place(model.graph, node, new)
        replaced += 1
    model.graph.opset_imports.setdefault(ATEN_DOMAIN, 1)
    model.graph.opset_imports.setdefault(MICROSOFT_DOMAIN, 1)
    return replaced


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
    return _aten("vjp", [*dys, *present], arguments, outputs, name)


def _aten(
    operator: str,
    inputs: Sequence[ir.Value | None],
    arguments: dict[str, Any],
    outputs: Sequence[ir.Value],
    name: str | None,
) -> ir.Node:
    node = ir.node(
        "ATen",
        inputs,
        {"operator": operator, "overload_name": json.dumps(arguments)},
        domain=ATEN_DOMAIN,
        name=name,
        num_outputs=len(outputs),
    )
    for new, old in zip(node.outputs, outputs, strict=True):
        new.name, new.shape, new.type = old.name, old.shape, old.type or ir.TensorType(ir.DataType.FLOAT)
    return node


def _take_place(graph: ir.Graph, old: ir.Node, new: ir.Node) -> None:
    by_name = {output.name: output for output in new.outputs}
    graph.insert_before(old, new)
    for output in old.outputs:
        if output.name in by_name:
            output.replace_all_uses_with(by_name[output.name], replace_graph_outputs=True)
    graph.remove(old, safe=True)
