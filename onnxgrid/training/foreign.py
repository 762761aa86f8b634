"""An ONNX model of another tool, brought into the form that training works on; a model of ours stays as it is.

* Constant nodes become initializers.
* Each BatchNormalization gets initializers of its own: exporters merge those that are equal at first (all ones, all
  zeros), which would tie what is trained apart, and statistics to parameters.
* Every value gets a shape, where it can be inferred.
"""

import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass

from onnxgrid.shape_inference import infer_shapes

__all__ = ["ready_for_training"]

PARAMETERS = ("weight", "bias", "running_mean", "running_var")
"""Inputs 1 to 4 of BatchNormalization."""


def ready_for_training(model: ir.Model) -> None:
    """Change the model in place."""
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    for node in model.graph:
        if node.domain == "" and node.op_type == "BatchNormalization":
            _separate(model.graph, node)
    infer_shapes(model)


def _separate(graph: ir.Graph, node: ir.Node) -> None:
    for position, what in enumerate(PARAMETERS, start=1):
        shared = node.inputs[position]
        if shared is None or shared.const_value is None or len(shared.uses()) == 1:
            continue
        base = f"{node.name or node.outputs[0].name}.{what}"
        name = base if base not in graph.initializers else f"{base}_{position}"
        own = ir.Value(name=name, type=shared.type, shape=shared.shape, const_value=shared.const_value)
        graph.register_initializer(own)
        node.replace_input_with(position, own)
