"""The steps of the ort engine, traced: its training graph with every value as a graph output."""

import numpy as np
import onnx
import onnx_ir as ir
import torch

from onnxgrid.engines import aten_bridge
from onnxgrid.engines.engine import Engine, Part
from onnxgrid.engines.gradients import SHARE, TARGET, build_training_graph
from onnxgrid.engines.ort_engine import create_session
from onnxgrid.engines.tracing import GRADIENT_MARK, TracedValue, layers_by_node
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.engines.training_mode import SEED_AND_STEP
from onnxgrid.losses import Loss

__all__ = ["OrtTracer"]


class OrtTracer:
    """See `onnxgrid.engines.tracing.create_tracer`."""

    def __init__(self, engine: Engine, graph: TrainableGraph, loss: Loss, *, seed: int, processes: int) -> None:
        self._engine, self._seed, self._input_name = engine, seed, graph.input_name
        aten_bridge.install()
        training = build_training_graph(graph, loss, synchronized=processes > 1).model
        self._made = _values(training, graph.model)
        self._session = create_session(_with_all_outputs(training, [value for *_, value in self._made]))

    def __call__(self, inputs: torch.Tensor, targets: torch.Tensor, number: int, part: Part) -> list[TracedValue]:
        values = {
            self._input_name: inputs,
            TARGET: targets,
            SHARE: torch.tensor(part.share, dtype=torch.float32),
            SEED_AND_STEP: torch.tensor([self._seed, *part.position(number, len(inputs))]),
            **self._engine.parameters.views,
            **self._engine.statistics.views,
        }
        wanted = {value.name for value in self._session.get_inputs()}
        feeds = {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in values.items() if name in wanted}
        with aten_bridge.failures_raised():
            arrays = self._session.run([value for *_, value in self._made], feeds)
        return [
            TracedValue(what, node, op_type, layer, torch.from_numpy(np.array(array)))
            for (what, node, op_type, layer, _), array in zip(self._made, arrays, strict=True)
        ]


def _values(training: onnx.ModelProto, model: ir.Model) -> list[tuple[str, str, str, str | None, str]]:
    """(what, forward node, its op type, its layer, value) of each value, in the order of computation."""
    ordered = ir.from_proto(training)
    ordered.graph.sort()
    layer_of, op_types = layers_by_node(model), {node.name: node.op_type for node in ordered.graph}
    forward: list[tuple[str, str, str | None, str]] = []
    backward: list[tuple[str, str, str | None, str]] = []
    for node in ordered.graph:
        name, mark, _ = str(node.name).partition(GRADIENT_MARK)
        is_gradient = bool(mark) or name.startswith("AccumulateGrad")
        for value in node.outputs:
            if value.name:
                made = (name, op_types.get(name, node.op_type), layer_of(name), value.name)
                (backward if is_gradient else forward).append(made)
    return [("output", *made) for made in forward] + [("gradient", *made) for made in backward]


def _with_all_outputs(training: onnx.ModelProto, names: list[str]) -> bytes:
    copy = onnx.ModelProto()
    copy.CopyFrom(training)
    typed = {value.name: value for value in [*copy.graph.value_info, *copy.graph.output]}
    outputs = [typed.get(name, onnx.ValueInfoProto(name=name)) for name in names]
    del copy.graph.output[:]
    copy.graph.output.extend(outputs)
    serialized: bytes = copy.SerializeToString()
    return serialized
