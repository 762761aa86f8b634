"""Pass: an inference graph becomes the graph that is trained. Both engines start from its result.

* BatchNormalization of a trained layer uses the batch's mean and population variance, and gives the updated running
  statistics as two further graph outputs, `UPDATED + <statistic>`; calls of a shared layer update them in turn. Where
  several processes train together, the batch is that of all of them (kernel `synchronized_norm`). One of a frozen layer
  becomes the affine map that it is (Keras: a frozen layer runs on its running statistics).
* Dropout becomes a multiplication with a mask. The mask comes from `dropout_mask`, a function of the run's seed, the
  step's number and the node's name: no state to save, so a resumed run draws the masks that an uninterrupted one would
  have drawn. Where the node's metadata names axes that share it, as Keras' SpatialDropout asks, it is of size 1 there.
* Max, Min, Mean and Sum of several inputs become nodes of two.
"""

import json
from collections.abc import Collection

import numpy as np
import onnx_ir as ir

from converters.roles import SHARED_MASK_KEY

__all__ = ["ATEN_DOMAIN", "SEED_AND_STEP", "SYNCHRONIZED_NORM", "UPDATED", "enter_training_mode"]

ATEN_DOMAIN = "org.pytorch.aten"
"""Nodes of this domain run a function of `onnxgrid.engines.kernels`: attribute `operator` names it, `overload_name`
holds its arguments.
"""

SEED_AND_STEP = "onnxgrid/seed_and_step"
"""Graph input, int64 (6,): the run's seed and the step's number; the batch's first row in the step, the batch's rows,
the step's rows; 1, or 0 if the batch counts in no statistics. Present only if something in the graph depends on it.
"""

SYNCHRONIZED_NORM = "synchronized_norm"
"""The kernel of a batch normalization by the batches of all processes."""

UPDATED = "onnxgrid/updated/"
"""Prefix of the graph outputs that hold running statistics after the step."""


PAIRWISE = {"Max": "Max", "Mean": "Add", "Min": "Min", "Sum": "Add"}
"""Ops of any number of inputs, of which ONNX Runtime has no gradient -> the op of two inputs that does the same."""


def enter_training_mode(
    model: ir.Model, statistics: Collection[str], *, masks: bool = True, synchronized: bool = False
) -> None:
    """Rewrite the graph in place for training.

    Args:
        statistics: names the running statistics that training updates.
        masks: false leaves Dropout nodes alone.
        synchronized: whether batch statistics are those of all processes' batches together.
    """
    for node in list(model.graph):
        if node.domain != "":
            continue
        if node.op_type == "BatchNormalization":
            if node.inputs[3] is not None and node.inputs[3].name in statistics:
                _normalize_by_batch(model.graph, node)
                if synchronized:
                    _normalize_together(model.graph, node)
            else:
                _normalize_by_constants(model.graph, node)
        elif node.op_type == "Dropout" and masks:
            _multiply_by_mask(model.graph, node)
        elif node.op_type in PAIRWISE and len(node.inputs) > 1:
            _take_inputs_in_pairs(model.graph, node)
    if any(node.domain == ATEN_DOMAIN for node in model.graph):
        model.graph.opset_imports[ATEN_DOMAIN] = 1


def _take_inputs_in_pairs(graph: ir.Graph, node: ir.Node) -> None:
    """Put nodes of two inputs in the place of one of several; a Mean's sum is divided at the end."""
    op_type, (first, *others) = PAIRWISE[node.op_type], node.inputs
    if op_type == node.op_type and len(others) == 1:
        return
    nodes, total = [], first
    for number, other in enumerate(others, start=1):
        nodes.append(ir.node(op_type, [total, other], name=f"{node.name}/{number}"))
        total = nodes[-1].outputs[0]
        total.type = node.outputs[0].type
    if node.op_type == "Mean":
        count = ir.Value(
            name=f"{node.name}/count",
            const_value=ir.tensor(np.array(len(node.inputs), np.float32), name=f"{node.name}/count"),
        )
        graph.register_initializer(count)
        nodes.append(ir.node("Div", [total, count]))
    nodes[-1].name = node.name
    _replace(graph, node, nodes)


def _normalize_by_batch(graph: ir.Graph, node: ir.Node) -> None:
    node.attributes["training_mode"] = ir.AttrInt64("training_mode", 1)
    node.resize_outputs(3)
    for position, updated in zip((3, 4), node.outputs[1:], strict=True):
        statistic = node.inputs[position]
        assert statistic is not None
        updated.name = f"{UPDATED}{statistic.name}"
        updated.type, updated.shape = statistic.type, statistic.shape
        for earlier in graph.outputs:
            if earlier.name == updated.name:  # the layer is shared: this call goes on from what its last call made
                earlier.name = f"{node.name}/before/{statistic.name}"
                graph.outputs.remove(earlier)
                node.replace_input_with(position, earlier)
                break
        graph.outputs.append(updated)


def _normalize_together(graph: ir.Graph, node: ir.Node) -> None:
    """Put the kernel that exchanges the processes' sums in the place of a node that normalizes by its batch."""
    arguments = {
        "epsilon": node.attributes.get_float("epsilon", 1e-5),
        "momentum": node.attributes.get_float("momentum", 0.9),
    }
    new = ir.node(
        "ATen",
        [*node.inputs, _seed_and_step(graph)],
        {"operator": SYNCHRONIZED_NORM, "overload_name": json.dumps(arguments)},
        domain=ATEN_DOMAIN,
        name=node.name,
        num_outputs=5,
        metadata_props=node.metadata_props,
    )
    statistic = node.inputs[3]
    assert statistic is not None
    for old, value in zip(node.outputs, new.outputs, strict=False):
        value.type, value.shape, name = old.type, old.shape, old.name
        old.name = f"{name}/replaced"
        old.replace_all_uses_with(value, replace_graph_outputs=True)
        value.name = name
    for what, value in zip(("mean", "inverse_deviation"), new.outputs[3:], strict=True):
        value.name, value.type, value.shape = f"{node.name}/{what}", statistic.type, statistic.shape
    graph.insert_before(node, new)
    graph.remove(node, safe=True)


def _normalize_by_constants(graph: ir.Graph, node: ir.Node) -> None:
    x, weight, bias, mean, variance = node.inputs
    assert x is not None
    assert x.shape is not None
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    per_channel = [1, -1] + [1] * (len(x.shape) - 2)
    scale = _constant(weight) / np.sqrt(_constant(variance) + np.float32(epsilon))
    shift = _constant(bias) - _constant(mean) * scale
    made = {}
    for what, array in (("scale", scale), ("shift", shift)):
        made[what] = ir.Value(
            name=f"{node.name}/frozen_{what}",
            const_value=ir.tensor(array.reshape(per_channel), name=f"{node.name}/frozen_{what}"),
        )
        graph.register_initializer(made[what])
    multiply = ir.node("Mul", [x, made["scale"]], name=f"{node.name}/multiply")
    _replace(graph, node, [multiply, ir.node("Add", [multiply.outputs[0], made["shift"]], name=node.name)])
    multiply.outputs[0].type, multiply.outputs[0].shape = x.type, x.shape


def _constant(value: ir.Value | None) -> np.ndarray:
    assert value is not None
    assert value.const_value is not None
    return value.const_value.numpy()


def _multiply_by_mask(graph: ir.Graph, node: ir.Node) -> None:
    x, rate = node.inputs[0], node.inputs[1] if len(node.inputs) > 1 else None
    assert x is not None
    shared_axes = json.loads(node.metadata_props.get(SHARED_MASK_KEY, "[]"))
    shared = {"shared_axes": shared_axes} if shared_axes else {}
    arguments = json.dumps({"rate": 0.5 if rate is None else float(_constant(rate)), "name": node.name, **shared})
    mask = ir.node(
        "ATen",
        [x, _seed_and_step(graph)],
        {"operator": "dropout_mask", "overload_name": arguments},
        domain=ATEN_DOMAIN,
        name=f"{node.name}/mask",
    )
    mask.outputs[0].type = x.type
    if x.shape is not None:
        mask.outputs[0].shape = ir.Shape([1 if i in shared_axes else size for i, size in enumerate(x.shape)])
    _replace(graph, node, [mask, ir.node("Mul", [x, mask.outputs[0]], name=node.name)])


def _seed_and_step(graph: ir.Graph) -> ir.Value:
    for value in graph.inputs:
        if value.name == SEED_AND_STEP:
            return value
    value = ir.Value(name=SEED_AND_STEP, type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape([6]))
    graph.inputs.append(value)
    return value


def _replace(graph: ir.Graph, node: ir.Node, new_nodes: list[ir.Node]) -> None:
    """Put `new_nodes` in the node's place; the last one's output takes over its first output's name, type and uses."""
    old, new = node.outputs[0], new_nodes[-1].outputs[0]
    new.type, new.shape = old.type, old.shape
    name, old.name = old.name, f"{old.name}/replaced"
    graph.insert_before(node, new_nodes)
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    new.name = name
    graph.remove(node, safe=True)
