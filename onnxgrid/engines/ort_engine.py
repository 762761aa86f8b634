"""The default engine: one ONNX training graph, run by an ONNX Runtime session on the flat tensors in place."""

import numpy as np
import onnx_ir as ir
import onnxruntime
import torch
from torch.utils.dlpack import from_dlpack

from onnxgrid.engines import aten_bridge
from onnxgrid.engines.cuda_libraries import CUDA_PROVIDER, load_cuda_libraries
from onnxgrid.engines.engine import FlatTensors, Predict, StepResult
from onnxgrid.engines.gradients import LOSS, TARGET, build_training_graph
from onnxgrid.engines.options import DEFAULT_OPTIONS, EngineOptions
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.engines.training_mode import SEED_AND_STEP, UPDATED
from onnxgrid.losses import Loss

__all__ = ["OrtEngine", "ort_predictor"]

FATAL_ONLY = 4
"""ONNX Runtime's severity level: its errors come as exceptions, and need not be printed as well."""
NUMPY_TYPES = {torch.float32: np.float32, torch.int64: np.int64}


class OrtEngine:
    """See `onnxgrid.engines.engine.Engine`. Runs with as many threads as torch, on CUDA in torch's stream.

    ONNX Runtime reads parameters and statistics and writes gradients where they lie (IOBinding by address). A
    gradient that an ATen kernel computes is copied once, from the kernel's memory to its place.
    """

    name = "ort"

    def __init__(
        self, graph: TrainableGraph, loss: Loss, *, seed: int, options: EngineOptions = DEFAULT_OPTIONS
    ) -> None:
        self._device = torch.device(options.device)
        self.parameters = FlatTensors.holding(graph.parameters, self._device)
        self.gradients = self.parameters.empty_like()
        self.statistics = FlatTensors.holding(graph.statistics, self._device)
        self._updated_statistics = self.statistics.empty_like()
        self._seed_and_step = torch.tensor([seed, 0])  # on the CPU: masks are seeded there
        self._loss = torch.zeros((), device=self._device)
        self._input_name, self._output_name = graph.input_name, graph.output_name
        aten_bridge.install()
        training = build_training_graph(graph, loss)
        self._training = _session(training.model.SerializeToString(), self._device)
        self._inference = _session(_with_weights_as_inputs(graph), self._device)
        self._training_binding = self._bind_weights(self._training)
        self._inference_binding = self._bind_weights(self._inference)
        for name, output in training.gradient_of.items():
            _bind_output(self._training_binding, output, self.gradients.views[name])
        for name, view in self._updated_statistics.views.items():
            _bind_output(self._training_binding, UPDATED + name, view)
        _bind_output(self._training_binding, LOSS, self._loss)

    def step(self, inputs: torch.Tensor, targets: torch.Tensor, *, number: int) -> StepResult:
        self._seed_and_step[1] = number
        inputs, targets = self._moved(inputs), self._moved(targets)  # bound by address, so kept until the run is over
        _bind_input(self._training_binding, self._input_name, inputs)
        _bind_input(self._training_binding, TARGET, targets)
        outputs = self._run(self._training, self._training_binding)
        self.statistics.flat.copy_(self._updated_statistics.flat)
        return StepResult(self._loss.clone(), outputs)

    def predict(self, inputs: torch.Tensor) -> torch.Tensor:
        inputs = self._moved(inputs)
        _bind_input(self._inference_binding, self._input_name, inputs)
        return self._run(self._inference, self._inference_binding)

    def _moved(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self._device, non_blocking=True).contiguous()

    def _bind_weights(self, session: onnxruntime.InferenceSession) -> onnxruntime.IOBinding:
        binding = session.io_binding()
        self._bind_outputs(binding)  # the first to be bound, so the first of get_outputs()
        wanted = {value.name for value in session.get_inputs()}
        for name, view in {
            **self.parameters.views,
            **self.statistics.views,
            SEED_AND_STEP: self._seed_and_step,
        }.items():
            if name in wanted:
                _bind_input(binding, name, view)
        return binding

    def _bind_outputs(self, binding: onnxruntime.IOBinding) -> None:
        """Have fresh memory for the network's outputs in the next run: the caller may keep those of the last."""
        binding.bind_output(self._output_name, self._device.type, self._device.index or 0)

    def _run(self, session: onnxruntime.InferenceSession, binding: onnxruntime.IOBinding) -> torch.Tensor:
        self._bind_outputs(binding)
        with aten_bridge.failures_raised():
            session.run_with_iobinding(binding)
        outputs: torch.Tensor = from_dlpack(binding.get_outputs()[0]._ortvalue.to_dlpack())
        return outputs


def ort_predictor(model: ir.Model, options: EngineOptions = DEFAULT_OPTIONS) -> Predict:
    """The model as a function, with its weights as they are: a plain inference session."""
    device = torch.device(options.device)
    session = _session(ir.to_proto(model).SerializeToString(), device)
    input_name = session.get_inputs()[0].name

    def predict(inputs: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(session.run(None, {input_name: inputs.numpy()})[0]).to(device)

    return predict


def _session(model: bytes, device: torch.device) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = FATAL_ONLY
    # ONNX Runtime's idle threads would spin on the cores that torch's threads need inside ATen nodes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if device.type == "cuda":
        load_cuda_libraries()
    return onnxruntime.InferenceSession(model, options, providers=_providers(device))


def _providers(device: torch.device) -> list[str | tuple[str, dict[str, str]]]:
    """What executes the nodes, best first; on CUDA in torch's current stream, so that the two need not wait for each
    other.
    """
    if device.type != "cuda":
        return ["CPUExecutionProvider"]
    stream = torch.cuda.current_stream(device).cuda_stream
    cuda = {"device_id": str(device.index or 0), "user_compute_stream": str(stream)}
    return [(CUDA_PROVIDER, cuda), "CPUExecutionProvider"]


def _with_weights_as_inputs(graph: TrainableGraph) -> bytes:
    model = graph.model.clone()
    for name in [*graph.parameters, *graph.statistics]:
        value = model.graph.initializers.pop(name)
        model.graph.inputs.append(value)
    serialized: bytes = ir.to_proto(model).SerializeToString()
    return serialized


def _bind_input(binding: onnxruntime.IOBinding, name: str, tensor: torch.Tensor) -> None:
    assert tensor.is_contiguous()
    binding.bind_input(name, *_place(tensor), NUMPY_TYPES[tensor.dtype], list(tensor.shape), tensor.data_ptr())


def _bind_output(binding: onnxruntime.IOBinding, name: str, tensor: torch.Tensor) -> None:
    assert tensor.is_contiguous()
    binding.bind_output(name, *_place(tensor), NUMPY_TYPES[tensor.dtype], list(tensor.shape), tensor.data_ptr())


def _place(tensor: torch.Tensor) -> tuple[str, int]:
    """Kind and number of the device that the tensor is on."""
    return tensor.device.type, tensor.device.index or 0
