"""ONNX Runtime's own artifacts for training on a device: `training_model.onnx`, `eval_model.onnx`,
`optimizer_model.onnx` and `checkpoint`, which `onnxruntime.training.api` loads on any device that it runs on.

What computes there is ONNX Runtime alone. So the network may hold only ops that it can differentiate itself, where
`onnxgrid train` brings torch's gradients for the others.
"""

import enum
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from onnxruntime.training import artifacts
from onnxruntime.training.onnxblock import _training_graph_utils

from converters.roles import LAYER_KEY, SHARED_MASK_KEY
from onnxgrid.engines.gradients.build import LOSS, TARGET, attach_loss
from onnxgrid.engines.gradients.placeholders import PLACEHOLDERS
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.engines.training_mode import enter_training_mode
from onnxgrid.errors import ConfigError
from onnxgrid.losses import (
    BinaryCrossEntropy,
    BinaryCrossEntropyWithLogits,
    Loss,
    MeanSquaredError,
    NegativeLogLikelihood,
)

__all__ = ["ArtifactLoss", "ArtifactOptimizer", "Artifacts", "write_artifacts"]

NEWEST_IR_VERSION = 10
"""Of those that ONNX Runtime 1.19 reads; the installed onnx stamps a newer one on what it makes."""

ERRORS_ONLY = 3
"""ONNX Runtime's severity level."""


class ArtifactLoss(enum.Enum):
    """What is minimised; the second input of the artifacts, `target`, is what outputs are compared with."""

    MSE = "mse"
    NLL = "nll"
    BCE = "bce"
    BCE_LOGITS = "bce-logits"


class ArtifactOptimizer(enum.Enum):
    """What updates the parameters."""

    ADAMW = "adamw"
    SGD = "sgd"


LOSSES: dict[ArtifactLoss, Loss] = {
    ArtifactLoss.MSE: MeanSquaredError(),
    ArtifactLoss.NLL: NegativeLogLikelihood(),
    ArtifactLoss.BCE: BinaryCrossEntropy(),
    ArtifactLoss.BCE_LOGITS: BinaryCrossEntropyWithLogits(),
}
OPTIMIZERS = {
    ArtifactOptimizer.ADAMW: artifacts.OptimType.AdamW,
    ArtifactOptimizer.SGD: artifacts.OptimType.SGD,
}

LAYERS = ("Conv", "Dropout", "Gemm", "GlobalAveragePool", "MatMul", "MaxPool")
ACTIVATIONS = ("Clip", "Gelu", "LeakyRelu", "LogSoftmax", "Relu", "Sigmoid", "Softmax", "Tanh")
ARITHMETIC = ("Abs", "Add", "Cast", "Cos", "Div", "Erf", "Exp", "Identity", "Log", "Mean", "Mul", "Neg", "Reciprocal")
MORE_ARITHMETIC = ("ReduceMean", "ReduceSum", "Sin", "Sqrt", "Sub", "Sum", "Where")
SHAPES = ("Concat", "Expand", "Flatten", "Gather", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose")
DIFFERENTIABLE = frozenset((*LAYERS, *ACTIVATIONS, *ARITHMETIC, *MORE_ARITHMETIC, *SHAPES, "Unsqueeze"))
"""Ops of which ONNX Runtime 1.19 has a correct gradient and a CPU kernel of it, but for what `_problem` names."""


@dataclass(frozen=True)
class Artifacts:
    """What was written."""

    folder: Path
    files: tuple[str, ...]
    parameters: tuple[str, ...]
    """Initializers that are trained."""
    frozen: int
    """How many others there are: constants of the artifacts."""


def write_artifacts(network: Path, folder: Path, *, loss: ArtifactLoss, optimizer: ArtifactOptimizer) -> Artifacts:
    """Write the artifacts of an ONNX network into a folder, which is made if it is not there.

    Raises:
        ConfigError: if the network cannot be trained, or naming every node that ONNX Runtime cannot differentiate.
    """
    graph = TrainableGraph.from_model(ir.load(network), str(network))
    _require_differentiable(graph)
    folder.mkdir(parents=True, exist_ok=True)
    with _quiet():
        artifacts.generate_artifacts(
            ir.to_proto(_training_model(graph, LOSSES[loss])),
            requires_grad=list(graph.parameters),
            optimizer=OPTIMIZERS[optimizer],
            artifact_directory=folder,
        )
    onnx.save(ir.to_proto(_eval_model(graph, LOSSES[loss])), folder / "eval_model.onnx")
    names = ("training_model.onnx", "eval_model.onnx", "optimizer_model.onnx")
    for name in names:
        model = onnx.load(folder / name)
        model.ir_version = min(model.ir_version, NEWEST_IR_VERSION)
        onnx.save(model, folder / name)
    frozen = len(graph.model.graph.initializers) - len(graph.parameters)
    return Artifacts(folder, (*names, "checkpoint"), tuple(graph.parameters), frozen)


def _training_model(graph: TrainableGraph, loss: Loss) -> ir.Model:
    """The network with its loss: dropout draws its own masks, frozen normalizations are affine maps."""
    model = graph.model.clone()
    enter_training_mode(model, graph.statistics, masks=False)
    for node in model.graph:
        if node.op_type == "Dropout":
            _drop_in_training(model.graph, node)
    return _with_loss(model, loss)


def _eval_model(graph: TrainableGraph, loss: Loss) -> ir.Model:
    """The inference graph with its loss; parameters are inputs, behind those of the user."""
    model = _with_loss(graph.model.clone(), loss)
    for name in graph.parameters:
        value = model.graph.initializers.pop(name)
        assert value.const_value is not None
        value.type, value.shape = ir.TensorType(value.const_value.dtype), ir.Shape(value.const_value.shape.numpy())
        value.const_value = None
        model.graph.inputs.append(value)
    return model


def _with_loss(model: ir.Model, loss: Loss) -> ir.Model:
    attach_loss(model, loss)
    taken = {value.name for node in model.graph for value in node.outputs} | {v.name for v in model.graph.inputs}
    for value in (*model.graph.inputs, *model.graph.outputs):
        plain = {TARGET: "target", LOSS: "loss"}.get(str(value.name))
        if plain is not None and plain not in taken:
            value.name = plain
    return model


def _drop_in_training(graph: ir.Graph, node: ir.Node) -> None:
    """Let a Dropout drop, and give the mask that its gradient needs."""
    if len(node.inputs) < 2 or node.inputs[1] is None:
        ratio = _constant(graph, f"{node.name}/training_ratio", np.array(0.5, dtype=np.float32))
    else:
        ratio = node.inputs[1]
    node.resize_inputs(3)
    node.replace_input_with(1, ratio)
    node.replace_input_with(2, _constant(graph, f"{node.name}/training", np.array(True)))
    if len(node.outputs) < 2:
        node.resize_outputs(2)
        node.outputs[1].name, node.outputs[1].type = f"{node.name}/mask", ir.TensorType(ir.DataType.BOOL)


def _constant(graph: ir.Graph, name: str, array: np.ndarray) -> ir.Value:
    value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
    graph.register_initializer(value)
    return value


def _require_differentiable(graph: TrainableGraph) -> None:
    problems = []
    for node in _between_parameters_and_output(graph):
        reason = _problem(node, graph)
        if reason is not None:
            layer = node.metadata_props.get(LAYER_KEY)
            where = f"node '{node.name}'" if layer is None else f"layer '{layer}'"
            problems.append(f"{where}, op {node.domain or 'ai.onnx'}::{node.op_type}: {reason}")
    if problems:
        raise ConfigError(
            "\n  ".join(["ONNX Runtime alone cannot train this network", *problems]),
            place=graph.place,
            fix="Train it with onnxgrid train, which brings torch's gradients, or replace these layers.",
        )


def _between_parameters_and_output(graph: TrainableGraph) -> Iterator[ir.Node]:
    """The nodes that a gradient passes through: those that read a parameter or what such a node gives."""
    reached = {graph.model.graph.initializers[name] for name in graph.parameters}
    for node in graph.model.graph:
        if any(value in reached for value in node.inputs):
            reached.update(node.outputs)
            yield node


def _problem(node: ir.Node, graph: TrainableGraph) -> str | None:
    """Why ONNX Runtime cannot differentiate a node, or None."""
    if node.op_type == "BatchNormalization":
        if node.inputs[3] is not None and node.inputs[3].name in graph.statistics:
            return 'its running statistics would not be updated; freeze it ("trainable": false)'
        return None
    if node.domain != "" or node.op_type in PLACEHOLDERS or node.op_type not in DIFFERENTIABLE:
        return "it has no gradient there"
    if node.op_type == "Dropout" and SHARED_MASK_KEY in node.metadata_props:
        return "it drops whole channels, which ONNX's Dropout cannot"
    if node.op_type == "Conv" and node.attributes.get_int("group", 1) > 1:
        weight = node.inputs[1]
        if weight is not None and weight.shape is not None and weight.shape.rank() != 4:
            return "the gradient of several groups is broken there, in 1D and 3D"
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep ONNX Runtime's builder from writing a line for each of its transformers: it takes no options of ours, so the
    class of its options is another one meanwhile.
    """

    def errors_only() -> onnxruntime.SessionOptions:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = ERRORS_ONLY
        return options

    original = _training_graph_utils.SessionOptions
    _training_graph_utils.SessionOptions = errors_only
    try:
        yield
    finally:
        _training_graph_utils.SessionOptions = original
