"""ONNX Runtime's gradient builder, called on a graph that has been made ready for it."""

from collections.abc import Mapping
from dataclasses import dataclass

import onnx
import onnx_ir as ir
import onnxruntime
from onnxruntime.capi import _pybind_state

from onnxgrid.data.dataset import TargetKind
from onnxgrid.engines.gradients.padding import make_padding_explicit
from onnxgrid.engines.gradients.placeholders import (
    lacks_inputs,
    register_placeholders,
    register_torch_nodes,
    stop_gradients_at_kernels,
)
from onnxgrid.engines.gradients.rules import apply_gradient_rules
from onnxgrid.engines.gradients.torch_nodes import run_in_torch
from onnxgrid.engines.torch_program import require_known_ops
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.engines.training_mode import enter_training_mode
from onnxgrid.errors import ConfigError
from onnxgrid.losses import Loss, OpWriter

__all__ = ["LOSS", "SHARE", "TARGET", "TrainingGraph", "build_training_graph"]

LOSS, TARGET = "onnxgrid/loss", "onnxgrid/target"
"""Names of the training graph's loss output and target input."""

SHARE = "onnxgrid/share"
"""Graph input, float32 (): what the loss is multiplied by, where a batch is a part of a step."""

ERRORS_ONLY = 3
"""ONNX Runtime's severity level; below it the builder writes a line for each of its transformers."""


@dataclass(frozen=True)
class TrainingGraph:
    """Forward, loss and backward of a network as one ONNX model.

    Inputs: the network's input, `TARGET`, `SHARE`, every parameter and statistic by name, and `SEED_AND_STEP` if
    anything depends on it. Outputs: `LOSS`, the network's output, updated statistics, and the gradients.
    """

    model: ir.Model
    forward: ir.Model
    """Its forward part alone, in standard ops and dropout masks, before ONNX Runtime's builder saw it."""
    gradient_of: Mapping[str, str]
    """{parameter: the output that holds its gradient}."""


def build_training_graph(graph: TrainableGraph, loss: Loss, *, synchronized: bool = False) -> TrainingGraph:
    """The training graph of a network under a loss; every parameter of the graph gets a gradient.

    Args:
        synchronized: whether batch statistics are those of all processes' batches together.

    Raises:
        ConfigError: naming every node whose op or attribute we do not know, or with what ONNX Runtime's builder says.
    """
    require_known_ops(graph.model.graph, graph.place)
    model = graph.model.clone()
    enter_training_mode(model, graph.statistics, synchronized=synchronized)
    run_in_torch(model, lacks_inputs)
    make_padding_explicit(model)
    attach_loss(model, loss)
    attach_share(model)
    _initializers_to_inputs(model.graph, [*graph.parameters, *graph.statistics])
    try:
        built = build_gradients(model, set(graph.parameters))
    except Exception as error:  # the builder's C++ exceptions arrive as RuntimeError, IndexError and others
        raise ConfigError(
            f"ONNX Runtime cannot build the gradients of this network ({(str(error).splitlines() or [''])[0]})",
            place=graph.place,
            fix="Train it with --engine torch.",
        ) from error
    apply_gradient_rules(built)
    return TrainingGraph(built, model, {name: f"{name}_grad" for name in graph.parameters})


def attach_loss(model: ir.Model, loss: Loss) -> None:
    """Append the loss to the graph: a new input `TARGET`, and `LOSS` as the first output."""
    network_output = model.graph.outputs[0]
    target = ir.Value(name=TARGET, type=ir.TensorType(ir.DataType.FLOAT), shape=network_output.shape)
    if loss.target_kind is TargetKind.CLASS_INDICES:
        assert network_output.shape is not None
        sizes = list(network_output.shape)
        target.type, target.shape = ir.TensorType(ir.DataType.INT64), ir.Shape([sizes[0], *sizes[2:]])
    model.graph.inputs.append(target)
    trained, read = loss.attached_to(network_output)
    value = trained.in_onnx(OpWriter(model.graph, "onnxgrid/loss"), read, target)
    value.name, value.type, value.shape = LOSS, ir.TensorType(ir.DataType.FLOAT), ir.Shape([])
    model.graph.outputs.insert(0, value)


def attach_share(model: ir.Model) -> None:
    """Multiply the loss by a new input, `SHARE`: what this process' samples weigh among those of all."""
    whole = model.graph.outputs[0]
    whole.name = f"{LOSS}/whole"
    share = ir.Value(name=SHARE, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([]))
    model.graph.inputs.append(share)
    value = OpWriter(model.graph, "onnxgrid/share_of_loss").op("Mul", whole, share)
    value.name, value.type, value.shape = LOSS, ir.TensorType(ir.DataType.FLOAT), ir.Shape([])
    model.graph.outputs[0] = value


def build_gradients(model: ir.Model, parameters: set[str]) -> ir.Model:
    """The graph with its backward part: each parameter `p`, a graph input, gains an output `p_grad`."""
    register_placeholders()
    register_torch_nodes(model)
    stop_gradients_at_kernels(model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    serialized = ir.to_proto(model).SerializeToString()
    optimized = _pybind_state.get_optimized_model(serialized, parameters, options)
    builder = _pybind_state.GradientGraphBuilder(optimized, {LOSS}, parameters, LOSS, options)
    builder.build()
    built = ir.from_proto(onnx.load_from_string(builder.get_model()))
    for node in built.graph:
        if node.op_type == "MaxPool":  # the builder adds the positions of the maxima, without a type
            node.outputs[1].type = ir.TensorType(ir.DataType.INT64)
    return built


def _initializers_to_inputs(graph: ir.Graph, names: list[str]) -> None:
    for name in names:
        value = graph.initializers.pop(name)
        assert value.const_value is not None
        value.type, value.shape = ir.TensorType(value.const_value.dtype), ir.Shape(value.const_value.shape.numpy())
        value.const_value = None
        graph.inputs.append(value)
