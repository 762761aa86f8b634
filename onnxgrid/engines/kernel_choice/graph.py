"""A training graph seen by name: its nodes and values, and the concrete shape of each."""

import re
from collections.abc import Mapping, Sequence

import onnx
import onnx_ir as ir

from onnxgrid.engines.gradients.torch_nodes import is_torch_node, torch_arguments
from onnxgrid.engines.training_mode import ATEN_DOMAIN, SYNCHRONIZED_NORM
from onnxgrid.shape_inference import known_shapes

__all__ = ["GRADIENT", "TrainingNodes", "concrete_shapes", "only_use"]

GRADIENT = re.compile(r"(.+)_grad(_\d+)?")
"""How ONNX Runtime's builder names the gradient of a value, and its parts where it is a sum."""


def concrete_shapes(forward: ir.Model, inputs: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """{value: shape} of a forward graph for inputs of these shapes; without the values whose shape is still open.

    Args:
        forward: with its losses, in training mode, before gradients are built.
    """
    model = forward.clone()
    for value in model.graph.inputs:
        if value.name is not None and value.name in inputs:
            value.shape = ir.Shape(inputs[value.name])
    for node in model.graph:
        for output in node.outputs:
            output.shape = None
        if node.domain == ATEN_DOMAIN:
            stand_in = _standard(node)
            for old, new in zip(node.outputs, stand_in.outputs, strict=False):  # a normalization's has fewer
                old.replace_all_uses_with(new, replace_graph_outputs=True)
                new.name, new.type = old.name, old.type
            model.graph.insert_before(node, stand_in)
            model.graph.remove(node, safe=True)
    for value in model.graph.outputs:
        value.shape = None
    inferred = known_shapes(onnx.shape_inference.infer_shapes(ir.to_proto(model), data_prop=True))
    shapes = {name: whole for name, sizes in inferred.items() if (whole := _whole(sizes)) is not None}
    for name, value in forward.graph.initializers.items():
        if value.const_value is not None:
            shapes[name] = tuple(value.const_value.shape.numpy())
    return shapes


def _whole(sizes: Sequence[int | None]) -> tuple[int, ...] | None:
    """The sizes, if none of them is open."""
    known = tuple(size for size in sizes if size is not None)
    return known if len(known) == len(sizes) else None


def _standard(node: ir.Node) -> ir.Node:
    """A node of a standard op that gives values of the same shape."""
    if node.attributes.get_string("operator") == SYNCHRONIZED_NORM:
        return ir.node("BatchNormalization", node.inputs[:5], {"training_mode": 1}, name=node.name, num_outputs=3)
    if not is_torch_node(node):  # a dropout mask: what it is multiplied with has its shape, or a larger one
        return ir.node("Identity", [node.inputs[0]], name=node.name)
    arguments = torch_arguments(node)
    inputs: list[ir.Value | None] = [None] * (max(arguments["positions"]) + 1)
    for position, value in zip(arguments["positions"], node.inputs, strict=True):
        inputs[position] = value
    return ir.node(arguments["op_type"], inputs, arguments["attributes"], name=node.name, num_outputs=len(node.outputs))


class TrainingNodes:
    """The nodes of a built training graph, and the shapes of its values."""

    def __init__(self, model: ir.Model, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Index a graph; `shapes` are those of the forward graph's values."""
        self.model, self.nodes = model, tuple(model.graph)
        self.names = frozenset(node.name for node in self.nodes)
        self._shapes = shapes
        self.by_name = {node.name: node for node in self.nodes}
        self._gradients: dict[str, list[ir.Node]] = {}
        for node in self.nodes:
            forward, _, rest = (node.name or "").rpartition("_Grad/")
            if rest:
                self._gradients.setdefault(forward, []).append(node)

    def forward_of(self, gradient: ir.Node) -> ir.Node | None:
        """The node whose gradient another one computes: the builder names it `<forward node>_Grad/...`."""
        name, _, rest = (gradient.name or "").rpartition("_Grad/")
        return self.by_name.get(name) if rest else None

    def gradient_of(self, forward: ir.Node, op_type: str) -> ir.Node | None:
        """The node of this op type that computes the gradient of another one."""
        return next((node for node in self._gradients.get(str(forward.name), []) if node.op_type == op_type), None)

    def shape_of(self, value: ir.Value | None) -> tuple[int, ...] | None:
        """The shape of a value, or of what it is the gradient of; None if it is not known."""
        return None if value is None or value.name is None else self.shape_of_name(value.name)

    def shape_of_name(self, name: str) -> tuple[int, ...] | None:
        """As `shape_of`, of the value of this name."""
        if name in self._shapes:
            return self._shapes[name]
        gradient = GRADIENT.fullmatch(name)
        return self._shapes.get(gradient[1]) if gradient else None

    def shapes_of(self, *values: ir.Value | None) -> dict[str, tuple[int, ...]] | None:
        """{name: shape} of these values, or None if one is not known."""
        shapes = {str(value.name): self.shape_of(value) for value in values if value is not None}
        known = {name: shape for name, shape in shapes.items() if shape is not None}
        return known if len(known) == len(shapes) else None


def only_use(value: ir.Value, op_type: str) -> ir.Node | None:
    """The node of this op type that alone reads a value, if that is so."""
    uses = value.uses()
    if len(uses) != 1 or value.is_graph_output():
        return None
    (use,) = uses
    return use.node if use.node.op_type == op_type and use.node.domain == "" else None
