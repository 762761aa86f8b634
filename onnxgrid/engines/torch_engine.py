"""The second engine: the same ONNX graph in torch.

The oracle of the ort engine, and the one that runs where ONNX Runtime's does not.
"""

import onnx_ir as ir
import torch

from onnxgrid.engines.engine import WHOLE, FlatTensors, Part, Predict, StepResult
from onnxgrid.engines.torch_program import TorchProgram
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.engines.training_mode import SEED_AND_STEP, UPDATED, enter_training_mode
from onnxgrid.losses import Loss

__all__ = ["TorchEngine", "torch_predictor"]


class TorchEngine:
    """See `onnxgrid.engines.engine.Engine`. Gradients are made by torch's autograd, straight into the flat tensor."""

    name = "torch"

    def __init__(self, graph: TrainableGraph, loss: Loss, *, seed: int, processes: int = 1) -> None:
        device = torch.device("cpu")
        self.parameters = FlatTensors.holding(graph.parameters, device)
        self.gradients = self.parameters.empty_like()
        self.statistics = FlatTensors.holding(graph.statistics, device)
        self._leaves = {}
        for name, view in self.parameters.views.items():
            leaf = view.detach().requires_grad_()
            leaf.grad = self.gradients.views[name]  # backward adds to it in place
            self._leaves[name] = leaf
        self._seed = seed
        self._input_name = graph.input_name
        weights = [*graph.parameters, *graph.statistics]
        self._inference = TorchProgram(graph.model, graph.model.graph.outputs, weights, device, graph.place)
        model = graph.model.clone()
        enter_training_mode(model, graph.statistics, synchronized=processes > 1)
        output, *updated = model.graph.outputs
        self._updated = [str(value.name).removeprefix(UPDATED) for value in updated]
        self._loss, read = loss.attached_to(output)
        self._training = TorchProgram(model, [read, output, *updated], weights, device, graph.place)

    def step(self, inputs: torch.Tensor, targets: torch.Tensor, *, number: int, part: Part = WHOLE) -> StepResult:
        seed_and_step = torch.tensor([self._seed, *part.position(number, len(inputs))])
        self.gradients.flat.zero_()
        values = {self._input_name: inputs, SEED_AND_STEP: seed_and_step, **self._leaves, **self.statistics.views}
        read, outputs, *updated = self._training(values)
        loss = self._loss.in_torch(read, targets) * part.share
        loss.backward()  # type: ignore[no-untyped-call]
        for name, value in zip(self._updated, updated, strict=True):
            self.statistics.views[name].copy_(value)
        return StepResult(loss.detach(), outputs.detach())

    @torch.no_grad()
    def predict(self, inputs: torch.Tensor) -> torch.Tensor:
        (outputs,) = self._inference({self._input_name: inputs, **self.parameters.views, **self.statistics.views})
        return outputs


def torch_predictor(model: ir.Model, place: str) -> Predict:
    """The model as a function, with its weights as they are."""
    program = TorchProgram(model, model.graph.outputs, [], torch.device("cpu"), place)
    input_name = str(model.graph.inputs[0].name)

    @torch.no_grad()
    def predict(inputs: torch.Tensor) -> torch.Tensor:
        (outputs,) = program({input_name: inputs})
        return outputs

    return predict
