"""The default engine: one ONNX training graph, run by an ONNX Runtime session on the flat tensors in place."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx_ir as ir
import onnxruntime
import torch
from torch.utils.dlpack import from_dlpack

from onnxgrid.engines import aten_bridge
from onnxgrid.engines.engine import WHOLE, FlatTensors, Part, Predict, StepResult
from onnxgrid.engines.gradients import LOSS, SHARE, TARGET, build_training_graph
from onnxgrid.engines.kernel_choice import (
    KernelTimes,
    choose_kernels,
    concrete_shapes,
    environment,
    user_cache_file,
)
from onnxgrid.engines.kernel_options import DEFAULT_KERNELS, KernelOptions
from onnxgrid.engines.options import DEFAULT_OPTIONS, EngineOptions
from onnxgrid.engines.ort_session import bind_input, bind_output, numbered, open_session
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.engines.training_mode import SEED_AND_STEP, UPDATED
from onnxgrid.losses import Loss
from onnxgrid.processes import ALONE, Processes

__all__ = ["OrtEngine", "ort_predictor"]


Training = tuple[onnxruntime.InferenceSession, onnxruntime.IOBinding]
"""The session that takes steps, with everything but the batch bound."""


class OrtEngine:
    """See `onnxgrid.engines.engine.Engine`. Runs with as many threads as torch, on CUDA in torch's stream.

    ONNX Runtime reads parameters and statistics and writes gradients where they lie (IOBinding by address). A
    gradient that an ATen kernel computes is copied once, from the kernel's memory to its place. Which kernels compute
    the training graph is chosen in the first step, for the shapes of its batch.
    """

    name = "ort"

    def __init__(
        self,
        graph: TrainableGraph,
        loss: Loss,
        *,
        seed: int,
        options: EngineOptions = DEFAULT_OPTIONS,
        kernels: KernelOptions = DEFAULT_KERNELS,
        processes: Processes = ALONE,
    ) -> None:
        """Build the gradients of a network.

        Args:
            seed: of everything random in a step (dropout masks).
            kernels: how kernels are chosen; with `options.precision` "bf16", those that multiply in bfloat16 compete.
            processes: those that take each step together.
        """
        self._device = numbered(options.device)
        self.parameters = FlatTensors.holding(graph.parameters, self._device)
        self.gradients = self.parameters.empty_like()
        self.statistics = FlatTensors.holding(graph.statistics, self._device)
        self.kernels: Mapping[str, str] = kernels.decided
        self._updated_statistics = self.statistics.empty_like()
        self._seed_and_step = torch.tensor([seed, 0, 0, 0, 0, 1])  # on the CPU: masks are seeded there
        self._share = torch.ones((), device=self._device)
        self._loss = torch.zeros((), device=self._device)
        self._input_name, self._output_name = graph.input_name, graph.output_name
        aten_bridge.install()
        self._low_precision, self._kernel_options = options.precision == "bf16", kernels
        self._processes = processes
        self._graph = build_training_graph(graph, loss, synchronized=processes.size > 1)
        self.training_model: ir.Model | None = None
        self._inference = open_session(_with_weights_as_inputs(graph), self._device)
        self._inference_binding = self._bind_weights(self._inference)
        self._training: Training | None = None
        self._unrecorded: Training | None = None

    def step(self, inputs: torch.Tensor, targets: torch.Tensor, *, number: int, part: Part = WHOLE) -> StepResult:
        self._seed_and_step[1:] = torch.tensor(part.position(number, len(inputs)))
        self._share.fill_(part.share)
        inputs, targets = self._moved(inputs), self._moved(targets)  # bound by address, so kept until the run is over
        if self._training is None:
            self._training = self._open_training(inputs.shape, targets.shape)
        session, binding = self._training
        bind_input(binding, self._input_name, inputs)
        bind_input(binding, TARGET, targets)
        outputs = self._run(session, binding)
        self.statistics.flat.copy_(self._updated_statistics.flat)
        return StepResult(self._loss.clone(), outputs)

    def predict(self, inputs: torch.Tensor) -> torch.Tensor:
        inputs = self._moved(inputs)
        bind_input(self._inference_binding, self._input_name, inputs)
        return self._run(self._inference, self._inference_binding)

    def predictor(self) -> Predict:
        return self.predict

    def record(self, model: ir.Model, profile: Path) -> None:
        """Take the next steps in a session of its own that notes the time of every node.

        Args:
            model: `training_model`, under whatever names of nodes.
            profile: as `open_session` has it.
        """
        self._unrecorded = self._training
        self._training = self._bound(
            open_session(ir.to_proto(model).SerializeToString(), self._device, profile=profile)
        )

    def end_recording(self) -> Path:
        """Go on as before; the file with what was noted."""
        assert self._training is not None
        path = Path(self._training[0].end_profiling())
        self._training, self._unrecorded = self._unrecorded, None
        return path

    def _open_training(self, inputs: Sequence[int], targets: Sequence[int]) -> Training:
        """The training session with its kernels chosen for a batch of these shapes.

        Of several processes the first chooses, for the shapes of its batch, and the others follow it: otherwise they
        might come to their exchanges in another order.
        """
        inputs, targets = self._processes.of_first([list(inputs), list(targets)])
        if self._processes.leads:
            model, self.kernels = self._choose_kernels(inputs, targets, self._kernel_options.decided)
        decided = self._processes.of_first(dict(self.kernels))
        if not self._processes.leads:
            model, self.kernels = self._choose_kernels(inputs, targets, decided)
        self.training_model = model
        return self._bound(open_session(ir.to_proto(model).SerializeToString(), self._device))

    def _bound(self, session: onnxruntime.InferenceSession) -> Training:
        binding = self._bind_weights(session)
        for name, output in self._graph.gradient_of.items():
            bind_output(binding, output, self.gradients.views[name])
        for name, view in self._updated_statistics.views.items():
            bind_output(binding, UPDATED + name, view)
        bind_output(binding, LOSS, self._loss)
        return session, binding

    def _choose_kernels(
        self, inputs: Sequence[int], targets: Sequence[int], decided: Mapping[str, str]
    ) -> tuple[ir.Model, dict[str, str]]:
        return choose_kernels(
            self._graph.model,
            concrete_shapes(self._graph.forward, {self._input_name: inputs, TARGET: targets}),
            self._kernel_options.choice,
            low_precision=self._low_precision,
            times=KernelTimes(self._kernel_options.times or user_cache_file(), environment(self._device)),
            decided=decided,
            device=self._device,
        )

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
            SHARE: self._share,
        }.items():
            if name in wanted:
                bind_input(binding, name, view)
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
    device = numbered(options.device)
    session = open_session(ir.to_proto(model).SerializeToString(), device)
    input_name = session.get_inputs()[0].name

    def predict(inputs: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(session.run(None, {input_name: inputs.numpy()})[0]).to(device)

    return predict


def _with_weights_as_inputs(graph: TrainableGraph) -> bytes:
    model = graph.model.clone()
    for name in [*graph.parameters, *graph.statistics]:
        value = model.graph.initializers.pop(name)
        model.graph.inputs.append(value)
    serialized: bytes = ir.to_proto(model).SerializeToString()
    return serialized
