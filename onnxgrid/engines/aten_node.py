"""Nodes that run a kernel of `onnxgrid.engines.kernels`, as values of a graph."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

from onnxgrid.engines.training_mode import ATEN_DOMAIN

__all__ = ["aten_node", "replace_nodes"]


def aten_node(
    operator: str,
    inputs: Sequence[ir.Value | None],
    arguments: Mapping[str, Any],
    outputs: Sequence[ir.Value],
    name: str | None,
) -> ir.Node:
    """A node that runs a kernel; its outputs have the names, shapes and types of `outputs`, float32 if those have none.

    ONNX Runtime infers no type for them, so each must have one.
    """
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


def replace_nodes(graph: ir.Graph, old: Sequence[ir.Node], new: Sequence[ir.Node]) -> None:
    """Put new nodes where the last of the old ones stands; outputs take over the uses of those of the same name."""
    by_name = {output.name: output for node in new for output in node.outputs}
    graph.insert_before(old[-1], new)
    for node in old:
        for output in node.outputs:
            if output.name in by_name:
                output.replace_all_uses_with(by_name[output.name], replace_graph_outputs=True)
    for node in reversed(old):
        graph.remove(node, safe=True)
