"""Pass: gradient rules, one function per op. A rule sees the forward node and the node that ONNX Runtime's builder left
as its gradient, and gives the nodes that stand there instead.

ONNX Runtime has no gradient for some ops. For those a *placeholder* is registered with its builder, since a registered
definition cannot see the forward node's attributes: the rule fills them in afterwards, where both nodes are in one
graph. The builder names every gradient node `<forward node>_Grad/...`.
"""

import functools
import json
from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir as ir
from onnxruntime.capi import _pybind_state

from onnxgrid.engines.training_mode import ATEN_DOMAIN

__all__ = ["GRADIENT_RULES", "apply_gradient_rules", "define_aten_gradients", "register_placeholders"]

Rule = Callable[[ir.Node, ir.Node], ir.Node]

GRADIENT_RULES: dict[str, Rule] = {}
"""{op type of the node that the builder left: rule}.

A placeholder's op type is ATen; its `operator` is the key instead.
"""

PLACEHOLDERS = {
    "AveragePool": (0,),
    "Celu": (0,),
    "Einsum": (0, 1),
    "Elu": (0,),
    "GlobalMaxPool": (0,),
    "HardSigmoid": (0,),
    "HardSwish": (0,),
    "InstanceNormalization": (0, 1, 2),
    "LayerNormalization": (0, 1, 2),
    "Max": (0, 1),
    "Min": (0, 1),
    "PRelu": (0, 1),
    "Resize": (0,),
    "Selu": (0,),
    "Shrink": (0,),
    "Softplus": (0,),
    "Softsign": (0,),
    "ThresholdedRelu": (0,),
}
"""{ONNX op: the inputs that get a gradient}, where ONNX Runtime 1.19 has none, a wrong one (AveragePool), or another
one where inputs are equal (Max, Min).

Its torch function in `TORCH_OPS` is differentiated.
"""

NO_GRADIENT = {"Resize": {1, 2, 3}}
"""Inputs that never carry a gradient: Resize's region, scales and sizes."""

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
    if attributes.get_string("auto_pad", "NOTSET").startswith("SAME"):
        # The amounts depend on the input's size, and ATen's kernel pads both ends alike.
        return _vjp(forward, gradient.inputs[0], [i for i, want in enumerate(wanted) if want], outputs, gradient.name)
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


@gradient_rule("batch_norm_backward")
def batch_normalization(forward: ir.Node, gradient: ir.Node) -> ir.Node:
    """The synchronized one's own kernel. It gives all three gradients, also where the builder wants fewer."""
    for number, output in enumerate(gradient.outputs):
        output.name = output.name or f"{gradient.name}/unused_{number}"
    return _aten("batch_norm_backward", gradient.inputs, {}, gradient.outputs, gradient.name)


@gradient_rule("placeholder")
def torch_gradient(forward: ir.Node, gradient: ir.Node) -> ir.Node:
    """torch's autograd over the forward op's torch function."""
    wanted = [
        (i, output)
        for i, output in zip(PLACEHOLDERS[forward.op_type], gradient.outputs, strict=False)
        if output.name and (output.uses() or output.is_graph_output())
    ]
    positions, outputs = [i for i, _ in wanted], [output for _, output in wanted]
    return _vjp(forward, gradient.inputs[0], positions, outputs, gradient.name)


@functools.cache
def register_placeholders() -> None:
    """Tell ONNX Runtime's builder, once in a process, that the ops in `PLACEHOLDERS` have gradients."""
    for op_type, inputs in PLACEHOLDERS.items():
        _register_gradient(f"::{op_type}", "placeholder", ["GO(0)", "I(0)"], [f"GI({i})" for i in inputs])
        if op_type in NO_GRADIENT:
            _pybind_state.register_custom_stop_gradient_edges(f"::{op_type}", NO_GRADIENT[op_type])


def _register_gradient(key: str, operator: str, inputs: list[str], outputs: list[str]) -> None:
    """Make an ATen node with this operator the gradient of the op that the key names."""
    node = _pybind_state.GradientNodeDefinition()
    node.op_type, node.domain, node.inputs, node.outputs = "ATen", ATEN_DOMAIN, inputs, outputs
    attribute = _pybind_state.GradientNodeAttributeDefinition()
    attribute.name, attribute.value_json, attribute.dtype, attribute.is_tensor = (
        "operator",
        json.dumps(operator),
        "string",
        False,
    )
    node.attributes = [attribute]
    _pybind_state.register_gradient_definition(key, [node])


def define_aten_gradients(model: ir.Model) -> None:
    """Tell ONNX Runtime's builder the gradients of the forward graph's ATen nodes: synchronized batch normalizations
    have one, of three inputs; dropout masks pass none on.
    """
    for node in model.graph:
        if node.domain != ATEN_DOMAIN:
            continue
        operator, overload = (node.attributes[name].as_string() for name in ("operator", "overload_name"))
        key, differentiable = f"{ATEN_DOMAIN}::ATen::{operator}::{overload}", set[int]()
        if operator == "batch_norm":
            differentiable = {0, 1, 2}
            inputs, outputs = ["GO(0)", "I(0)", "I(1)", "O(3)", "O(4)", "I(5)"], ["GI(0)", "GI(1)", "GI(2)"]
            _register_gradient(key, "batch_norm_backward", inputs, outputs)
        stopped = set(range(len(node.inputs))) - differentiable
        _pybind_state.register_custom_stop_gradient_edges(key, stopped)


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
    forward: ir.Node, dy: ir.Value | None, differentiable: Sequence[int], outputs: Sequence[ir.Value], name: str | None
) -> ir.Node:
    present = [(i, value) for i, value in enumerate(forward.inputs) if value is not None]
    arguments = {
        "op_type": forward.op_type,
        "attributes": {name: _plain(attribute) for name, attribute in forward.attributes.items()},
        "positions": [i for i, _ in present],
        "differentiable": list(differentiable),
    }
    return _aten("vjp", [dy, *(value for _, value in present)], arguments, outputs, name)


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


def _plain(attribute: ir.Attr) -> Any:
    value = attribute.value
    return list(value) if isinstance(value, tuple) else value
