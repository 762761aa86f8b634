"""How long the nodes of a network take in training steps, and how much memory they fill, by layer.

Some steps of a run are recorded: the engine takes them as always, with the same numbers, while torch's profiler or
ONNX Runtime's looks on. Steps before and behind them cost nothing.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from onnxgrid.engines.engine import WHOLE, Engine, Part, StepResult
from onnxgrid.engines.recorded_work import STEP_MARK, Recorder, Work
from onnxgrid.engines.torch_engine import TorchEngine
from onnxgrid.engines.torch_recording import TorchRecorder
from onnxgrid.engines.trainable_graph import TrainableGraph

__all__ = ["UNCOUNTED_STEPS", "RecordedEngine", "StepProfile", "create_recorder"]

UNCOUNTED_STEPS = 3
"""The first chooses kernels, the second fetches memory; in the third the recorder does so."""
RECORDED_STEPS = 3


@dataclass(frozen=True)
class StepProfile:
    """Recorded steps. `seconds` is what they took in all: more than the work, by what happens between nodes."""

    steps: int
    seconds: float
    work: Sequence[Work]


def create_recorder(engine: Engine, graph: TrainableGraph) -> Recorder:
    """A recorder of an engine's steps; the engine may not be compiled, nor ONNX Runtime's on a GPU."""
    if engine.name == "torch":
        assert isinstance(engine, TorchEngine)
        return TorchRecorder(engine, graph)
    # Imported here because ONNX Runtime need not be installed.
    from onnxgrid.engines.ort_engine import OrtEngine
    from onnxgrid.engines.ort_recording import OrtRecorder

    assert isinstance(engine, OrtEngine)
    return OrtRecorder(engine, graph)


class RecordedEngine:
    """An engine whose steps are recorded once, early in its life; see `onnxgrid.engines.engine.Engine`."""

    def __init__(
        self, engine: Engine, recorder: Recorder, trace: Path, report: Callable[[StepProfile | None], None]
    ) -> None:
        """`report` is given the profile as soon as it is there; None if there were too few steps."""
        self.name, self.kernels = engine.name, engine.kernels
        self.parameters, self.gradients, self.statistics = engine.parameters, engine.gradients, engine.statistics
        self.predict, self.predictor = engine.predict, engine.predictor
        self._engine, self._recorder, self._trace, self._report = engine, recorder, trace, report
        self._taken, self._seconds, self._ended = 0, 0.0, False

    def step(self, inputs: torch.Tensor, targets: torch.Tensor, *, number: int, part: Part = WHOLE) -> StepResult:
        if self._ended:
            return self._engine.step(inputs, targets, number=number, part=part)
        if self._taken == UNCOUNTED_STEPS - 1:
            self._recorder.prepare()
        elif self._taken == UNCOUNTED_STEPS:
            self._recorder.begin()
        began = time.perf_counter()
        with torch.profiler.record_function(STEP_MARK):
            result = self._engine.step(inputs, targets, number=number, part=part)
            if self.gradients.flat.is_cuda:
                torch.cuda.synchronize(self.gradients.flat.device)
        if self._taken >= UNCOUNTED_STEPS:
            self._seconds += time.perf_counter() - began
        self._taken, self.kernels = self._taken + 1, self._engine.kernels
        if self._taken == UNCOUNTED_STEPS + RECORDED_STEPS:
            self.end()
        return result

    def end(self) -> None:
        """Report what was recorded so far, or None if it was nothing; once."""
        if self._ended:
            return
        self._ended = True
        steps = self._taken - UNCOUNTED_STEPS
        work = self._recorder.end(self._trace if steps > 0 else None) if steps >= 0 else ()
        self._report(StepProfile(steps, self._seconds, work) if steps > 0 else None)
