"""The second engine: the same ONNX graph in torch.

The oracle of the ort engine, the one that runs where ONNX Runtime's does not, and the fast path on accelerators and on
CPUs with bfloat16 units.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import onnx_ir as ir
import torch

from onnxgrid.engines.compilation import require_compiler
from onnxgrid.engines.engine import WHOLE, FlatTensors, Part, Predict, StepResult
from onnxgrid.engines.folding import fold_normalizations
from onnxgrid.engines.memory_format import channels_innermost
from onnxgrid.engines.options import DEFAULT_OPTIONS, EngineOptions
from onnxgrid.engines.torch_program import TorchProgram
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.engines.training_mode import SEED_AND_STEP, UPDATED, enter_training_mode
from onnxgrid.losses import Loss
from onnxgrid.processes import ALONE, Processes

__all__ = ["TorchEngine", "torch_predictor"]

Compute = Callable[[Mapping[str, torch.Tensor]], list[torch.Tensor]]

CONVOLUTIONS = ("Conv", "ConvTranspose")


class TorchEngine:
    """See `onnxgrid.engines.engine.Engine`. Gradients are made by torch's autograd, straight into the flat tensor.

    A step waits for nothing on the device: batches are copied to it asynchronously, and whoever reads the loss waits.
    """

    name = "torch"

    def __init__(
        self,
        graph: TrainableGraph,
        loss: Loss,
        *,
        seed: int,
        options: EngineOptions = DEFAULT_OPTIONS,
        processes: Processes = ALONE,
    ) -> None:
        self._run = _Runner(graph.model, options)
        device = self._run.device
        self.parameters = FlatTensors.holding(graph.parameters, device)
        self.gradients = self.parameters.empty_like()
        self.statistics = FlatTensors.holding(graph.statistics, device)
        self.kernels: Mapping[str, str] = {}
        self._leaves = {}
        for name, view in self.parameters.views.items():
            leaf = view.detach().requires_grad_()
            leaf.grad = self.gradients.views[name]  # backward adds to it in place
            self._leaves[name] = leaf
        self._seed = seed
        self._input_name = graph.input_name
        weights = [*graph.parameters, *graph.statistics]
        self._inference = _Inference(self._run, graph.model, weights, graph.place)
        model = graph.model.clone()
        enter_training_mode(model, graph.statistics, synchronized=processes.size > 1)
        output, *updated = model.graph.outputs
        self._updated = [str(value.name).removeprefix(UPDATED) for value in updated]
        self._loss, read = loss.attached_to(output)
        self._training = self._run.program(model, [read, output, *updated], weights, graph.place)

    def step(self, inputs: torch.Tensor, targets: torch.Tensor, *, number: int, part: Part = WHOLE) -> StepResult:
        # On the CPU: masks are seeded there.
        seed_and_step = torch.tensor([self._seed, *part.position(number, len(inputs))])
        self.gradients.flat.zero_()
        values = {SEED_AND_STEP: seed_and_step, **self._leaves, **self.statistics.views}
        read, outputs, *updated = self._run(self._training, self._input_name, inputs, values)
        loss = self._loss.in_torch(read, targets.to(self._run.device, non_blocking=True)) * part.share
        loss.backward()  # type: ignore[no-untyped-call]
        for name, value in zip(self._updated, updated, strict=True):
            self.statistics.views[name].copy_(value)
        return StepResult(loss.detach(), outputs.detach())

    def calls_marked(self) -> AbstractContextManager[None]:
        """See `TorchProgram.calls_marked`, for steps; not if they are compiled."""
        assert isinstance(self._training, TorchProgram)
        return self._training.calls_marked()

    def predict(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.predictor()(inputs)

    def predictor(self) -> Predict:
        return self._inference.predictor({**self.parameters.views, **self.statistics.views})


def torch_predictor(model: ir.Model, place: str, options: EngineOptions = DEFAULT_OPTIONS) -> Predict:
    """The model as a function, with its weights as they are."""
    run = _Runner(model, options)
    return _Inference(run, model, [], place).predictor({})


class _Inference:
    """A model in inference mode, its normalizations folded into the layers before them."""

    def __init__(self, run: "_Runner", model: ir.Model, weights: Sequence[str], place: str) -> None:
        """Translate the model; arguments as of `TorchProgram`."""
        self._run, self._input_name = run, str(model.graph.inputs[0].name)
        copy = model.clone()
        self._layers = fold_normalizations(copy.graph)
        self._constants = {
            name: _constant(model.graph.initializers[name]).to(run.device)
            for layer in self._layers
            for name in layer.sources
            if name not in weights
        }
        self._program = run.program(copy, copy.graph.outputs, weights, place)

    @torch.no_grad()
    def predictor(self, weights: Mapping[str, torch.Tensor]) -> Predict:
        """The model with these weights as a function; folded weights are computed now."""
        values = dict(weights)
        for layer in self._layers:
            values |= layer.weights({**self._constants, **weights})

        @torch.no_grad()
        def predict(inputs: torch.Tensor) -> torch.Tensor:
            (outputs,) = self._run(self._program, self._input_name, inputs, values)
            return outputs

        return predict


def _constant(value: ir.Value) -> torch.Tensor:
    assert value.const_value is not None
    return torch.from_numpy(value.const_value.numpy().copy())


class _Runner:
    """Runs the programs of a model under the options."""

    def __init__(self, model: ir.Model, options: EngineOptions) -> None:
        self.device = torch.device(options.device)
        if options.compile:
            require_compiler(self.device)
        self._low_precision, self._compiled = options.precision == "bf16", options.compile
        self._innermost = any(node.op_type in CONVOLUTIONS for node in model.graph)

    def program(self, model: ir.Model, wanted: Sequence[ir.Value], weights: Sequence[str], place: str) -> Compute:
        """The graph as a function, compiled at its first call if the options say so."""
        program = TorchProgram(model, wanted, weights, self.device, place)
        return torch.compile(program) if self._compiled else program

    def __call__(
        self, program: Compute, input_name: str, inputs: torch.Tensor, values: Mapping[str, torch.Tensor]
    ) -> list[torch.Tensor]:
        """What the program computes, in float32 wherever it is a float."""
        inputs = inputs.to(self.device, non_blocking=True)
        if self._innermost:
            inputs = channels_innermost(inputs)
        if not self._low_precision:
            return program({input_name: inputs, **values})
        with torch.autocast(self.device.type, torch.bfloat16):
            computed = program({input_name: inputs, **values})
        return [value.float() if value.dtype is torch.bfloat16 else value for value in computed]
