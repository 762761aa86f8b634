"""A step of the torch engine again, every value and every gradient kept."""

from collections.abc import Sequence

import onnx_ir as ir
import torch

from onnxgrid.engines.engine import Engine, Part
from onnxgrid.engines.node_names import layers_by_node
from onnxgrid.engines.torch_program import TorchProgram
from onnxgrid.engines.traced_value import TracedValue
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.engines.training_mode import SEED_AND_STEP, enter_training_mode
from onnxgrid.losses import Loss

__all__ = ["TorchTracer"]

LOSS_NODE = "onnxgrid/loss"


class TorchTracer:
    """A `Tracer` of the torch engine."""

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
