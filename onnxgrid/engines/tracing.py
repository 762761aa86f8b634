"""One training step again, with every value kept: what each node gives, and the gradient of it. For finding errors; the
engines themselves keep nothing.

The nodes are those of the engine's own training graph, in float32 and by kernels that compute one node each.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir
import torch

from converters.roles import LAYER_KEY
from onnxgrid.engines.engine import Engine, Part
from onnxgrid.engines.torch_program import TorchProgram
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.engines.training_mode import SEED_AND_STEP, enter_training_mode
from onnxgrid.losses import Loss

__all__ = ["TracedValue", "Tracer", "create_tracer", "forward_name", "layers_by_node"]

LOSS_NODE = "onnxgrid/loss"
GRADIENT_MARK = "_Grad/"
"""ONNX Runtime's builder names gradient nodes `<forward node>_Grad/...`."""
NORM_MARK = "_BatchNormInternal"
"""What it appends to the name of a batch normalization in training."""


@dataclass(frozen=True)
class TracedValue:
    """A value of a step: the output of a forward node, or a gradient that it passes back. `layer` is the node's."""

    what: str
    """ "output" or "gradient"."""
    node: str
    op_type: str
    layer: str | None
    tensor: torch.Tensor


Tracer = Callable[[torch.Tensor, torch.Tensor, int, Part], list[TracedValue]]
"""From inputs, targets, number of the step and the batch's part of it to the values in the order of computation."""


def create_tracer(engine: Engine, graph: TrainableGraph, loss: Loss, *, seed: int, processes: int) -> Tracer:
    """A tracer of the engine's steps, with the weights that the engine has when it is called."""
    if engine.name == "torch":
        return _TorchTracer(engine, graph, loss, seed=seed, processes=processes)
    from onnxgrid.engines.ort_tracing import OrtTracer

    return OrtTracer(engine, graph, loss, seed=seed, processes=processes)


def forward_name(name: str) -> str:
    """The node of the forward graph that a node of the training graph computes, or the gradient of which."""
    return name.partition(GRADIENT_MARK)[0].removesuffix(NORM_MARK)


def layers_by_node(model: ir.Model) -> Callable[[str], str | None]:
    """The layer that a node of a training graph was made for, by the node's name; None where the model does not say."""
    layers: Mapping[str | None, str | None] = {node.name: node.metadata_props.get(LAYER_KEY) for node in model.graph}

    def layer_of(name: str) -> str | None:
        name = forward_name(name)
        while name not in layers and "/" in name:  # a pass names the nodes that it adds <node>/<what>
            name = name.rpartition("/")[0]
        return layers.get(name)

    return layer_of


class _TorchTracer:
    def __init__(self, engine: Engine, graph: TrainableGraph, loss: Loss, *, seed: int, processes: int) -> None:
        self._engine, self._seed, self._input_name = engine, seed, graph.input_name
        model = graph.model.clone()
        enter_training_mode(model, graph.statistics, synchronized=processes > 1)
        self._loss, read = loss.attached_to(model.graph.outputs[0])
        self._layer_of = layers_by_node(graph.model)
        self._values = [value for node in model.graph for value in node.outputs]
        self._read = self._values.index(read)
        self._weights = [model.graph.initializers[name] for name in graph.parameters]
        weights = [*graph.parameters, *graph.statistics]
        self._program = TorchProgram(model, self._values, weights, engine.parameters.flat.device, graph.place)

    def __call__(self, inputs: torch.Tensor, targets: torch.Tensor, number: int, part: Part) -> list[TracedValue]:
        leaves = {name: view.detach().requires_grad_() for name, view in self._engine.parameters.views.items()}
        tensors = self._program(
            {
                self._input_name: inputs,
                SEED_AND_STEP: torch.tensor([self._seed, *part.position(number, len(inputs))]),
                **leaves,
                **self._engine.statistics.views,
            }
        )
        for tensor in tensors:
            if tensor.requires_grad:
                tensor.retain_grad()
        loss = self._loss.in_torch(tensors[self._read], targets) * part.share
        loss.backward()  # type: ignore[no-untyped-call]
        forward = [
            self._traced("output", [value.producer()], tensor.detach())
            for value, tensor in zip(self._values, tensors, strict=True)
        ]
        differentiated = [*zip(self._weights, leaves.values(), strict=True), *zip(self._values, tensors, strict=True)]
        backward = [
            self._traced("gradient", [node for node, _ in value.uses()], tensor.grad)
            for value, tensor in reversed(differentiated)
            if tensor.grad is not None
        ]
        return [*forward, TracedValue("output", LOSS_NODE, "loss", None, loss.detach()), *backward]

    def _traced(self, what: str, nodes: Sequence[ir.Node | None], tensor: torch.Tensor) -> TracedValue:
        """A value that these nodes have made; a gradient that several pass back is the sum of theirs."""
        names = [str(node.name) for node in nodes if node is not None]
        op_types = [node.op_type for node in nodes if node is not None]
        if not names:
            return TracedValue(what, LOSS_NODE, "loss", None, tensor)
        return TracedValue(what, " or ".join(names), " or ".join(op_types), self._layer_of(names[0]), tensor)
