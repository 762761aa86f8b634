"""What ONNX Runtime's builder is told before it runs: which ops have gradients besides those that it knows.

A registered gradient cannot see the forward node's attributes, so a *placeholder* is registered; a rule fills it in
afterwards.
"""

import functools
import json
from collections.abc import Sequence

import onnx_ir as ir
from onnxruntime.capi import _pybind_state

from onnxgrid.engines.gradients.torch_nodes import aten_key, is_torch_node, torch_node_floats
from onnxgrid.engines.training_mode import ATEN_DOMAIN, SYNCHRONIZED_NORM

__all__ = ["PLACEHOLDERS", "lacks_inputs", "register_placeholders", "register_torch_nodes", "stop_gradients_at_kernels"]

PLACEHOLDERS = {
    "AveragePool": (0,),
    "Ceil": (0,),
    "Celu": (0,),
    "DepthToSpace": (0,),
    "Einsum": (0, 1),
    "Elu": (0,),
    "Floor": (0,),
    "GlobalMaxPool": (0,),
    "GroupNormalization": (0, 1, 2),
    "HardSigmoid": (0,),
    "HardSwish": (0,),
    "InstanceNormalization": (0, 1, 2),
    "LRN": (0,),
    "LayerNormalization": (0, 1, 2),
    "LpNormalization": (0,),
    "Max": (0, 1),
    "MeanVarianceNormalization": (0,),
    "Min": (0, 1),
    "Mish": (0,),
    "Mod": (0, 1),
    "PRelu": (0, 1),
    "Pow": (0, 1),
    "ReduceL1": (0,),
    "ReduceL2": (0,),
    "ReduceLogSum": (0,),
    "ReduceLogSumExp": (0,),
    "ReduceMax": (0,),
    "ReduceMin": (0,),
    "ReduceProd": (0,),
    "ReduceSumSquare": (0,),
    "Resize": (0,),
    "Round": (0,),
    "Selu": (0,),
    "Shrink": (0,),
    "Sign": (0,),
    "Softplus": (0,),
    "Softsign": (0,),
    "SpaceToDepth": (0,),
    "ThresholdedRelu": (0,),
}
"""{ONNX op: the inputs that get a gradient}, where ONNX Runtime 1.19 has none, a wrong one (AveragePool), or another
one where inputs are equal (Max, Min).

Its torch function in `TORCH_OPS` is differentiated.
"""

NO_GRADIENT = {"Resize": {1, 2, 3}}
"""Inputs that never carry a gradient: Resize's region, scales and sizes."""


def lacks_inputs(node: ir.Node) -> bool:
    """Whether the placeholder of the node's op speaks of other inputs than the node has."""
    inputs = PLACEHOLDERS.get(node.op_type, ())
    present = [value is not None for value in node.inputs]
    return not all(i < len(present) and present[i] for i in inputs) or (node.op_type == "Einsum" and len(present) > 2)


@functools.cache
def register_placeholders() -> None:
    """Tell ONNX Runtime's builder, once in a process, that the ops in `PLACEHOLDERS` have gradients."""
    for op_type, inputs in PLACEHOLDERS.items():
        _register_placeholder(f"::{op_type}", (0,), inputs)
        if op_type in NO_GRADIENT:
            _pybind_state.register_custom_stop_gradient_edges(f"::{op_type}", NO_GRADIENT[op_type])


def register_torch_nodes(model: ir.Model) -> None:
    """Tell ONNX Runtime's builder that the forward graph's nodes that run in torch have gradients."""
    for node in model.graph:
        if is_torch_node(node):
            used = [i for i, value in enumerate(node.outputs) if value.uses() or value.is_graph_output()]
            _register_placeholder(aten_key(node), used, torch_node_floats(node))


def _register_placeholder(key: str, outputs: Sequence[int], inputs: Sequence[int]) -> None:
    read = [*(f"GO({i})" for i in outputs), *(f"I({i})" for i in inputs)]
    _register_gradient(key, "placeholder", read, [f"GI({i})" for i in inputs])


def _register_gradient(key: str, operator: str, inputs: list[str], outputs: list[str]) -> None:
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


def stop_gradients_at_kernels(model: ir.Model) -> None:
    """Tell ONNX Runtime's builder that the forward graph's dropout masks pass no gradient on, and which inputs of
    synchronized normalizations have one.
    """
    for node in model.graph:
        if node.domain != ATEN_DOMAIN or is_torch_node(node):
            continue
        differentiable: set[int] = set()
        if node.attributes.get_string("operator") == SYNCHRONIZED_NORM:
            differentiable = {0, 1, 2}
            read, given = ["GO(0)", "I(0)", "I(1)", "O(3)", "O(4)", "I(5)"], ["GI(0)", "GI(1)", "GI(2)"]
            _register_gradient(aten_key(node), f"{SYNCHRONIZED_NORM}_backward", read, given)
        stopped = set(range(len(node.inputs))) - differentiable
        _pybind_state.register_custom_stop_gradient_edges(aten_key(node), stopped)
