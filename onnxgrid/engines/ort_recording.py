"""The steps of the ort engine, recorded by ONNX Runtime's profiler: it notes when each node ran, and for how long."""

import json
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir

from onnxgrid.engines.kernel_choice.graph import GRADIENT
from onnxgrid.engines.node_names import GRADIENT_MARK, forward_name, layers_by_node
from onnxgrid.engines.ort_engine import OrtEngine
from onnxgrid.engines.recorded_work import LOSS_ROW, OTHER_ROW, Work
from onnxgrid.engines.trainable_graph import TrainableGraph

__all__ = ["OrtRecorder"]

KERNEL, RUN = "_kernel_time", "model_run"
"""How ONNX Runtime names the event of a node, behind the node's name, and that of a whole run."""
SUM = "AccumulateGrad_"
"""How its builder names the sum of a value's gradients, in front of the value's."""
ADDED = re.compile(r"(.+)/(first|last)(?:/(.+))?")
"""How the choice of kernels names Transposes: <value>/first behind a node, <value>/last/<node> before one."""
LOSS_PREFIXES = ("onnxgrid/loss", "onnxgrid/share_of_loss")

Event = dict[str, Any]


class OrtRecorder:
    """See `onnxgrid.engines.profiling.Recorder`. The steps run in a session of their own, of the same graph.

    In it nodes are called by their place, since ONNX Runtime writes names into its JSON as they are.
    """

    def __init__(self, engine: OrtEngine, graph: TrainableGraph) -> None:
        self._engine, self._graph = engine, graph
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._nodes: dict[str, tuple[str, str, bool]] = {}

    def prepare(self) -> None:
        assert self._engine.training_model is not None, "the first step has chosen the kernels"
        graph = self._engine.training_model.graph.clone(allow_outer_scope_values=True)
        owner = _Owners(self._graph.model)
        for place, node in enumerate(graph):
            name = str(node.name)
            self._nodes[str(place)] = (name, *owner.of(name))
            node.name = str(place)
        self._folder = tempfile.TemporaryDirectory(prefix="onnxgrid-profile-")
        model = ir.Model(graph, ir_version=self._engine.training_model.ir_version)
        self._engine.record(model, Path(self._folder.name) / "steps")

    def begin(self) -> None:
        """The session has recorded the step before, which `end` leaves out."""

    def end(self, trace: Path | None) -> Sequence[Work]:
        assert self._folder is not None
        with self._folder:
            events = _after_first_run(json.loads(self._engine.end_recording().read_text()))
        nodes = [event for event in events if event["name"].endswith(KERNEL)]
        work = [self._work(event) for event in nodes]
        if trace is not None:
            for event, done in zip(nodes, work, strict=True):
                event["name"] = done.node
                event["args"] |= {"layer": done.layer, "pass": "backward" if done.backward else "forward"}
            trace.write_text(json.dumps(events))
        return work

    def _work(self, event: Event) -> Work:
        name = event["name"].removesuffix(KERNEL)
        node, layer, backward = self._nodes.get(name, (name, OTHER_ROW, False))
        size = int(event["args"].get("output_size", 0))
        return Work(layer, node, backward, event["dur"] / 1e6, size)


class _Owners:
    """For which layer the nodes of a training graph work, and whether in the backward pass.

    What belongs to a value belongs to the node that makes it, or to the first that reads it if none does.
    """

    def __init__(self, model: ir.Model) -> None:
        self._layer_of = layers_by_node(model)
        self._forward = {str(node.name) for node in model.graph}
        given = [*model.graph.inputs, *model.graph.initializers.values()]
        self._makers = {str(value.name): str(use.node.name) for value in given for use in list(value.uses())[:1]}
        self._makers |= {str(value.name): str(node.name) for node in model.graph for value in node.outputs}

    def of(self, name: str) -> tuple[str, bool]:
        added = ADDED.fullmatch(name)
        if added is not None and forward_name(name) not in self._forward:
            value, place, reader = added.groups()
            return self.of(reader) if place == "last" and reader else self._of_value(value)
        if name.startswith(SUM):
            return self._of_value(name.removeprefix(SUM))
        return self._row(forward_name(name)), GRADIENT_MARK in name

    def _of_value(self, name: str) -> tuple[str, bool]:
        gradient = None if name in self._makers else GRADIENT.fullmatch(name)
        value = name if gradient is None else gradient[1]
        return self._row(self._makers.get(value, value)), gradient is not None

    def _row(self, node: str) -> str:
        if node.startswith(LOSS_PREFIXES):
            return LOSS_ROW
        return self._layer_of(node) or node


def _after_first_run(events: Iterable[Event]) -> list[Event]:
    """The events of all runs but the first, without what ONNX Runtime notes around each node."""
    runs: list[Mapping[str, Any]] = [event for event in events if event["name"] == RUN]
    end = runs[0]["ts"] + runs[0]["dur"] if runs else 0
    return [event for event in events if event["ts"] >= end and not event["name"].endswith(("_before", "_after"))]
