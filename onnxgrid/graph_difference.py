"""What differs between two ONNX graphs besides the values of weights: inputs, outputs, versions, layers and nodes.

Layers are compared by name; a node without a layer in its metadata is a layer of its own name, as `inspect` shows it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from converters.roles import LAYER_KEY
from onnxgrid.inspection import PortSummary, summarize_model

__all__ = ["layer_lines", "model_lines", "nodes_by_layer"]


def model_lines(a: ir.Model, b: ir.Model) -> list[str]:
    """A line for each difference of the models as a whole."""
    first, second = summarize_model(a, "A"), summarize_model(b, "B")
    lines = []
    for what, one, other in (
        ("opset", first.opset, second.opset),
        ("IR version", first.ir_version, second.ir_version),
        ("network", first.name, second.name),
    ):
        if one != other:
            lines.append(f"{what}: {one} in A, {other} in B")
    lines += _port_lines("input", first.inputs, second.inputs)
    lines += _port_lines("output", first.outputs, second.outputs)
    return lines


def _port_lines(what: str, a: Sequence[PortSummary], b: Sequence[PortSummary]) -> Iterator[str]:
    ports = {port.name: port for port in a}, {port.name: port for port in b}
    for name in dict.fromkeys([*ports[0], *ports[1]]):
        shown = [_port(held.get(name)) for held in ports]
        if shown[0] != shown[1]:
            yield f"{what} {name}: {shown[0]} in A, {shown[1]} in B"


def _port(port: PortSummary | None) -> str:
    if port is None:
        return "absent"
    sizes = "of unknown rank" if port.shape is None else f"({', '.join(str(size) for size in port.shape)})"
    layout = "" if port.layout is None else f", {port.layout.words}"
    return f"{port.dtype} {sizes}{layout}"


def nodes_by_layer(model: ir.Model) -> dict[str, list[ir.Node]]:
    """The nodes of each layer, in the graph's order."""
    layers: dict[str, list[ir.Node]] = {}
    for index, node in enumerate(model.graph):
        name = node.metadata_props.get(LAYER_KEY) or node.name or f"{node.op_type}_{index}"
        layers.setdefault(name, []).append(node)
    return layers


def layer_lines(a: Sequence[ir.Node], b: Sequence[ir.Node]) -> list[str]:
    """A line for each difference between the nodes of one layer; one for all where they are other operators."""
    operators = [", ".join(_operator(node) for node in nodes) for nodes in (a, b)]
    if operators[0] != operators[1]:
        return [f"operators: {operators[0]} in A, {operators[1]} in B"]
    return [line for one, other in zip(a, b, strict=True) for line in _node_lines(one, other)]


def _node_lines(a: ir.Node, b: ir.Node) -> Iterator[str]:
    attributes = _attributes(a), _attributes(b)
    for name in dict.fromkeys([*attributes[0], *attributes[1]]):
        shown = [held.get(name, "absent") for held in attributes]
        if shown[0] != shown[1]:
            yield f"{_operator(a)} {name}: {shown[0]} in A, {shown[1]} in B"
    inputs = [[None if value is None else value.name for value in node.inputs] for node in (a, b)]
    if inputs[0] != inputs[1]:
        yield f"{_operator(a)} reads: {_names(inputs[0])} in A, {_names(inputs[1])} in B"


def _operator(node: ir.Node) -> str:
    return f"{node.domain}::{node.op_type}" if node.domain else node.op_type


def _attributes(node: ir.Node) -> Mapping[str, str]:
    return {name: _shown(attribute.value) for name, attribute in node.attributes.items()}


def _shown(value: Any) -> str:
    if isinstance(value, ir.TensorProtocol):
        values = value.numpy()
        return f"{values.dtype} {np.array2string(values, threshold=16)}"
    if isinstance(value, ir.Graph):
        return f"a graph of {sum(1 for _ in value)} nodes"
    return str(tuple(value)) if isinstance(value, list | tuple) else str(value)


def _names(names: Sequence[str | None]) -> str:
    return ", ".join(name or "nothing" for name in names)
