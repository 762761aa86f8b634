"""The default engine: one ONNX training graph, run by an ONNX Runtime session on the flat tensors in place."""

import numpy as np
import onnx_ir as ir
import onnxruntime
import torch
from torch.utils.dlpack import from_dlpack

from onnxgrid.engines import aten_bridge
from onnxgrid.engines.engine import WHOLE, FlatTensors, Part, Predict, StepResult
from onnxgrid.engines.gradients import LOSS, SHARE, TARGET, build_training_graph
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.engines.training_mode import SEED_AND_STEP, UPDATED
from onnxgrid.losses import Loss

__all__ = ["OrtEngine", "create_session", "ort_predictor"]

FATAL_ONLY = 4
"""ONNX Runtime's severity level: its errors come as exceptions, and need not be printed as well."""
NUMPY_TYPES = {torch.float32: np.float32, torch.int64: np.int64}


class OrtEngine:
    """See `onnxgrid.engines.engine.Engine`. Runs on the CPU, with as many threads as torch.

    ONNX Runtime reads parameters and statistics and writes gradients where they lie (IOBinding by address). A
    gradient that an ATen kernel computes is copied once, from the kernel's memory to its place.
    """

    name = "ort"

    def __init__(self, graph: TrainableGraph, loss: Loss, *, seed: int, processes: int = 1) -> None:
        cpu = torch.device("cpu")
        self.parameters = FlatTensors.holding(graph.parameters, cpu)
        self.gradients = self.parameters.empty_like()
        self.statistics = FlatTensors.holding(graph.statistics, cpu)
        self._updated_statistics = self.statistics.empty_like()
        self._seed_and_step = torch.tensor([seed, 0, 0, 0, 0, 1])
        self._share = torch.ones(())
        self._loss = torch.zeros(())
        self._input_name, self._output_name = graph.input_name, graph.output_name
        aten_bridge.install()
        training = build_training_graph(graph, loss, synchronized=processes > 1)
        self._training = create_session(training.model.SerializeToString())
        self._inference = create_session(_with_weights_as_inputs(graph))
        self._training_binding = self._bind_weights(self._training)
        self._inference_binding = self._bind_weights(self._inference)
        for name, output in training.gradient_of.items():
            _bind_output(self._training_binding, output, self.gradients.views[name])
        for name, view in self._updated_statistics.views.items():
            _bind_output(self._training_binding, UPDATED + name, view)
        _bind_output(self._training_binding, LOSS, self._loss)

    def step(self, inputs: torch.Tensor, targets: torch.Tensor, *, number: int, part: Part = WHOLE) -> StepResult:
        self._seed_and_step[1:] = torch.tensor(part.position(number, len(inputs)))
        self._share.fill_(part.share)
        inputs, targets = inputs.contiguous(), targets.contiguous()  # bound by address, so kept until the run is over
        _bind_input(self._training_binding, self._input_name, inputs)
        _bind_input(self._training_binding, TARGET, targets)
        outputs = self._run(self._training, self._training_binding)
        self.statistics.flat.copy_(self._updated_statistics.flat)
        return StepResult(self._loss.clone(), outputs)

    def predict(self, inputs: torch.Tensor) -> torch.Tensor:
        inputs = inputs.contiguous()
        _bind_input(self._inference_binding, self._input_name, inputs)
        return self._run(self._inference, self._inference_binding)

    def _bind_weights(self, session: onnxruntime.InferenceSession) -> onnxruntime.IOBinding:
        binding = session.io_binding()
        binding.bind_output(self._output_name, "cpu")  # the first to be bound, so the first of get_outputs()
        wanted = {value.name for value in session.get_inputs()}
        for name, view in {
            **self.parameters.views,
            **self.statistics.views,
            SEED_AND_STEP: self._seed_and_step,
            SHARE: self._share,
        }.items():
            if name in wanted:
                _bind_input(binding, name, view)
        return binding

    def _run(self, session: onnxruntime.InferenceSession, binding: onnxruntime.IOBinding) -> torch.Tensor:
        binding.bind_output(self._output_name, "cpu")  # fresh memory for every run: the caller may keep the outputs
        with aten_bridge.failures_raised():
            session.run_with_iobinding(binding)
        outputs: torch.Tensor = from_dlpack(binding.get_outputs()[0]._ortvalue.to_dlpack())
        return outputs


def ort_predictor(model: ir.Model) -> Predict:
    """The model as a function, with its weights as they are: a plain inference session."""
    session = create_session(ir.to_proto(model).SerializeToString())
    input_name = session.get_inputs()[0].name

    def predict(inputs: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(session.run(None, {input_name: inputs.numpy()})[0])

    return predict


def create_session(model: bytes) -> onnxruntime.InferenceSession:
    """A session for a serialized model, with as many threads as torch."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = FATAL_ONLY
    # ONNX Runtime's idle threads would spin on the cores that torch's threads need inside ATen nodes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _with_weights_as_inputs(graph: TrainableGraph) -> bytes:
    model = graph.model.clone()
    for name in [*graph.parameters, *graph.statistics]:
        value = model.graph.initializers.pop(name)
        model.graph.inputs.append(value)
    serialized: bytes = ir.to_proto(model).SerializeToString()
    return serialized


def _bind_input(binding: onnxruntime.IOBinding, name: str, tensor: torch.Tensor) -> None:
    assert tensor.is_contiguous()
    binding.bind_input(name, "cpu", 0, NUMPY_TYPES[tensor.dtype], list(tensor.shape), tensor.data_ptr())


def _bind_output(binding: onnxruntime.IOBinding, name: str, tensor: torch.Tensor) -> None:
    assert tensor.is_contiguous()
    binding.bind_output(name, "cpu", 0, NUMPY_TYPES[tensor.dtype], list(tensor.shape), tensor.data_ptr())
