"""The steps of the ort engine, traced: its training graph with every value as a graph output."""

import numpy as np
import onnx
import onnx_ir as ir
import torch

from onnxgrid.engines import aten_bridge
from onnxgrid.engines.engine import Engine, Part
from onnxgrid.engines.gradients import SHARE, TARGET, TrainingGraph, build_training_graph
from onnxgrid.engines.kernel_choice import KernelTimes, choose_kernels, concrete_shapes, environment, user_cache_file
from onnxgrid.engines.kernel_options import KernelChoice
from onnxgrid.engines.node_names import GRADIENT_MARK, layers_by_node
from onnxgrid.engines.ort_session import open_session
from onnxgrid.engines.traced_value import TracedValue
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.engines.training_mode import SEED_AND_STEP
from onnxgrid.losses import Loss

__all__ = ["OrtTracer"]

CPU = torch.device("cpu")


class OrtTracer:
    """See `onnxgrid.engines.tracing.create_tracer`. Computes on the CPU."""

    def __init__(self, engine: Engine, graph: TrainableGraph, loss: Loss, *, seed: int, processes: int) -> None:
        self._engine, self._seed, self._input_name = engine, seed, graph.input_name
        self._layer_of = layers_by_node(graph.model)
        aten_bridge.install()
        self._graph = build_training_graph(graph, loss, synchronized=processes > 1)

    def __call__(self, inputs: torch.Tensor, targets: torch.Tensor, number: int, part: Part) -> list[TracedValue]:
        tensors = {
            self._input_name: inputs,
            TARGET: targets,
            SHARE: torch.tensor(part.share, dtype=torch.float32),
            SEED_AND_STEP: torch.tensor([self._seed, *part.position(number, len(inputs))]),
            **self._engine.parameters.views,
            **self._engine.statistics.views,
        }
        training = _with_native_kernels(self._graph, {name: tuple(t.shape) for name, t in tensors.items()})
        made = _values(training, {str(node.name): node.op_type for node in self._graph.forward.graph})
        session = open_session(_with_all_outputs(training, [value for *_, value in made]), CPU)
        wanted = {value.name for value in session.get_inputs()}
        feeds = {name: np.ascontiguousarray(t.cpu().numpy()) for name, t in tensors.items() if name in wanted}
        with aten_bridge.failures_raised():
            arrays = session.run([value for *_, value in made], feeds)
        return [
            TracedValue(what, node, op_type, self._layer_of(node), torch.from_numpy(np.array(array)))
            for (what, node, op_type, _), array in zip(made, arrays, strict=True)
        ]


def _with_native_kernels(graph: TrainingGraph, shapes: dict[str, tuple[int, ...]]) -> ir.Model:
    """The graph with the fewest kernels of ours: those for nodes that ONNX Runtime has none for."""
    model, _ = choose_kernels(
        graph.model,
        concrete_shapes(graph.forward, shapes),
        KernelChoice.NATIVE,
        low_precision=False,
        times=KernelTimes(user_cache_file(), environment(CPU)),  # neither read nor written: nothing is measured
        decided={},
        device=CPU,
    )
    return model


def _values(training: ir.Model, op_types: dict[str, str]) -> list[tuple[str, str, str, str]]:
    """(what, forward node, its op type, value) of each value, in the order of computation.

    Args:
        op_types: of the forward nodes by their names.
    """
    training.graph.sort()
    forward: list[tuple[str, str, str, str]] = []
    backward: list[tuple[str, str, str, str]] = []
    for node in training.graph:
        name, mark, _ = str(node.name).partition(GRADIENT_MARK)
        is_gradient = bool(mark) or name.startswith("AccumulateGrad")
        for value in node.outputs:
            if value.name:
                op_type = op_types.get(name, node.op_type)
                made = ("gradient" if is_gradient else "output", name, op_type, value.name)
                (backward if is_gradient else forward).append(made)
    return [*forward, *backward]


def _with_all_outputs(training: ir.Model, names: list[str]) -> bytes:
    model = ir.to_proto(training)
    typed = {value.name: value for value in [*model.graph.value_info, *model.graph.output]}
    outputs = [typed.get(name, onnx.ValueInfoProto(name=name)) for name in names]
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    serialized: bytes = model.SerializeToString()
    return serialized
