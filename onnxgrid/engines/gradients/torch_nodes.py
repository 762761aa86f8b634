"""Pass: nodes whose attributes ONNX Runtime's gradients do not cover run in torch, forward and backward.

* Pad with another mode than constant, or with axes of its own.
* Slice with a negative step.
* Split, if an output of it is not used: its gradient would leave that part out.
* MaxPool that no kernel of ours computes: where a window holds nothing but NaN or minus infinity, ONNX Runtime's
  gradient is written into other memory.
* What the caller names besides.

Each becomes an ATen node of the same name, inputs and outputs, whose kernel is the op's function in `TORCH_OPS`. And
Transpose gets the permutation that it has by default, without which the builder fails.
"""

import json
from collections.abc import Callable
from typing import Any

import onnx_ir as ir

from onnxgrid.engines.gradients.max_pooling import max_pool_arguments
from onnxgrid.engines.torch_ops import HOST_INPUTS
from onnxgrid.engines.training_mode import ATEN_DOMAIN

__all__ = ["aten_key", "is_torch_node", "run_in_torch", "torch_arguments", "torch_node_floats"]

OPERATOR = "torch_op"


def run_in_torch(model: ir.Model, also: Callable[[ir.Node], bool]) -> int:
    """Rewrite the main graph in place; return how many nodes run in torch now.

    Args:
        also: whether a node runs in torch for another reason.
    """
    replaced = 0
    for node in list(model.graph):
        if node.domain != "":
            continue
        if node.op_type == "Transpose" and "perm" not in node.attributes:
            _name_permutation(node)
        elif also(node) or (node.op_type in UNCOVERED and UNCOVERED[node.op_type](node)):
            _replace(model.graph, node)
            replaced += 1
    if replaced:
        model.graph.opset_imports[ATEN_DOMAIN] = 1
    return replaced


def is_torch_node(node: ir.Node) -> bool:
    """Whether the node is one that this pass made."""
    return node.domain == ATEN_DOMAIN and node.attributes.get_string("operator") == OPERATOR


def torch_node_floats(node: ir.Node) -> tuple[int, ...]:
    """The inputs of a node that runs in torch of which a gradient can be asked, by their place among those present."""
    arguments = torch_arguments(node)
    numbers = HOST_INPUTS.get(("", arguments["op_type"]), frozenset())
    return tuple(i for i, position in enumerate(arguments["positions"]) if position not in numbers)


def torch_arguments(node: ir.Node) -> dict[str, Any]:
    """How to call the torch function of a node: its op type, its attributes, and which of the op's inputs the node's
    present inputs are.
    """
    if is_torch_node(node):
        arguments: dict[str, Any] = json.loads(node.attributes["overload_name"].as_string())
        del arguments["used"]
        return arguments
    return {
        "op_type": node.op_type,
        "attributes": {name: _plain(attribute) for name, attribute in node.attributes.items()},
        "positions": [i for i, value in enumerate(node.inputs) if value is not None],
    }


def aten_key(node: ir.Node) -> str:
    """What ONNX Runtime's builder calls the op of an ATen node."""
    operator, overload = (node.attributes[name].as_string() for name in ("operator", "overload_name"))
    return f"{ATEN_DOMAIN}::ATen::{operator}::{overload}"


def _replace(graph: ir.Graph, node: ir.Node) -> None:
    # The builder keeps one gradient for each overload name as long as the process lives, and it depends on the outputs
    # that are used.
    used = [i for i, value in enumerate(node.outputs) if value.uses() or value.is_graph_output()]
    new = ir.node(
        "ATen",
        [value for value in node.inputs if value is not None],
        {"operator": OPERATOR, "overload_name": json.dumps({**torch_arguments(node), "used": used})},
        domain=ATEN_DOMAIN,
        name=node.name,
        num_outputs=len(node.outputs),
    )
    graph.insert_before(node, new)
    for old, output in zip(node.outputs, new.outputs, strict=True):
        output.type, output.shape = old.type or ir.TensorType(ir.DataType.FLOAT), old.shape
        old.replace_all_uses_with(output, replace_graph_outputs=True)
        output.name, old.name = old.name, f"{old.name}/replaced"
    graph.remove(node, safe=True)


def _name_permutation(node: ir.Node) -> None:
    x = node.inputs[0]
    if x is not None and x.shape is not None:
        node.attributes["perm"] = ir.AttrInt64s("perm", list(range(len(x.shape)))[::-1])


def _pads_otherwise(node: ir.Node) -> bool:
    has_axes = len(node.inputs) > 3 and node.inputs[3] is not None
    return node.attributes.get_string("mode", "constant") != "constant" or has_axes


def _goes_backwards(node: ir.Node) -> bool:
    steps = node.inputs[4].const_value if len(node.inputs) > 4 and node.inputs[4] is not None else None
    return steps is not None and bool((steps.numpy() < 0).any())


def _leaves_outputs(node: ir.Node) -> bool:
    return not all(value.uses() or value.is_graph_output() for value in node.outputs)


def _pools_otherwise(node: ir.Node) -> bool:
    return max_pool_arguments(node) is None


UNCOVERED: dict[str, Callable[[ir.Node], bool]] = {
    "MaxPool": _pools_otherwise,
    "Pad": _pads_otherwise,
    "Slice": _goes_backwards,
    "Split": _leaves_outputs,
}
"""Op type -> whether ONNX Runtime's gradient of a node is missing or wrong."""


def _plain(attribute: ir.Attr) -> Any:
    value = attribute.value
    return list(value) if isinstance(value, tuple) else value
