"""The steps of the torch engine, recorded by torch's profiler.

Each call of the engine's program is an event of the profiler's. Autograd numbers the operations of a forward pass, and
its own events carry the number of the operation that they go back through: so the call of each is known.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import unquote

from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

from onnxgrid.engines.node_names import layers_by_node
from onnxgrid.engines.recorded_work import LOSS_ROW, OTHER_ROW, STEP_MARK, Work
from onnxgrid.engines.torch_engine import TorchEngine
from onnxgrid.engines.torch_program import CALL_MARK
from onnxgrid.engines.trainable_graph import TrainableGraph

__all__ = ["TorchRecorder"]

BACKWARD_MARK = "autograd::engine::evaluate_function: "
"""How torch names its way back through one operation."""
ACCUMULATION = BACKWARD_MARK + "torch::autograd::AccumulateGrad"
"""What follows an operation's way back where it ends at a parameter: it has no number."""


class TorchRecorder:
    """See `onnxgrid.engines.profiling.Recorder`."""

    def __init__(self, engine: TorchEngine, graph: TrainableGraph) -> None:
        self._engine, self._layer_of = engine, layers_by_node(graph.model)
        self._on_gpu = engine.parameters.flat.is_cuda
        self._marked = ExitStack()
        self._profile: profile | None = None

    def prepare(self) -> None:
        self._marked.enter_context(self._engine.calls_marked())

    def begin(self) -> None:
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self._on_gpu else [])]
        self._profile = profile(activities=activities, profile_memory=True)
        self._profile.start()

    def end(self, trace: Path | None) -> Sequence[Work]:
        self._marked.close()
        if self._profile is None:
            return []
        self._profile.stop()
        if trace is not None:
            self._profile.export_chrome_trace(str(trace))
        return list(self._work_in(self._profile.events()))  # type: ignore[no-untyped-call]

    def _work_in(self, events: Iterable[FunctionEvent]) -> Iterator[Work]:
        for forward, backward in _steps(events):
            origins = _origins(forward)
            differentiated = {origins[e.sequence_nr] for e in backward if e.sequence_nr in origins}
            for event in forward:
                yield self._work(event, event, known=event in differentiated, backward=False)
            last = None
            for event in backward:
                last = last if event.name == ACCUMULATION else origins.get(event.sequence_nr)
                yield self._work(event, last, known=last is not None, backward=True)

    def _work(self, event: FunctionEvent, origin: FunctionEvent | None, *, known: bool, backward: bool) -> Work:
        """What an event did for the call that it or its origin is; for the loss, if that is no call but is known."""
        if origin is not None and origin.name.startswith(CALL_MARK):
            node = unquote(origin.name.removeprefix(CALL_MARK))
            layer = self._layer_of(node) or node
        else:
            layer, node = LOSS_ROW if known else OTHER_ROW, event.name
        microseconds = event.device_time_total if self._on_gpu else event.cpu_time_total
        return Work(layer, node, backward, microseconds / 1e6, _allocated(event, on_gpu=self._on_gpu))


def _steps(events: Iterable[FunctionEvent]) -> Iterator[tuple[list[FunctionEvent], list[FunctionEvent]]]:
    """For each step its outermost events, forward and backward, in the order of time."""
    outermost = [e for e in events if e.cpu_parent is None or e.cpu_parent.name == STEP_MARK]
    outermost.sort(key=lambda e: e.time_range.start)
    for step in (e for e in outermost if e.name == STEP_MARK):
        within = [
            e for e in outermost if e is not step and step.time_range.start <= e.time_range.start < step.time_range.end
        ]
        is_backward = [e.name.startswith(BACKWARD_MARK) for e in within]
        yield (
            [e for e, back in zip(within, is_backward, strict=True) if not back],
            [e for e, back in zip(within, is_backward, strict=True) if back],
        )


def _origins(forward: Iterable[FunctionEvent]) -> dict[int, FunctionEvent]:
    """{number of an operation: the outermost event in which it was carried out}. What is not differentiated carries the
    number of the operation that comes next, hence the last event of a number is the one.
    """
    return {e.sequence_nr: outer for outer in forward for e in _with_descendants(outer) if e.sequence_nr >= 0}


def _with_descendants(event: FunctionEvent) -> Iterator[FunctionEvent]:
    yield event
    for child in event.cpu_children:
        yield from _with_descendants(child)


def _allocated(event: FunctionEvent, *, on_gpu: bool) -> int:
    """Bytes; what was allocated and freed within the same operation is not seen."""
    own = (e.self_device_memory_usage if on_gpu else e.self_cpu_memory_usage for e in _with_descendants(event))
    return sum(max(0, size) for size in own)
