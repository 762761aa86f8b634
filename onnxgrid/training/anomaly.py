"""Which value of a step is the first that is not finite: found by computing the step again with every value kept."""

import json
from collections.abc import Sequence

import torch

from onnxgrid.data.batches import Batch
from onnxgrid.engines.engine import Engine
from onnxgrid.engines.traced_value import TracedValue, Tracer
from onnxgrid.losses import Loss
from onnxgrid.processes import Processes
from onnxgrid.training.step import parts_of

__all__ = ["first_anomaly"]

BEFORE_ALL_NODES = -1


def first_anomaly(
    tracer: Tracer, engine: Engine, loss: Loss, batches: Sequence[Batch], processes: Processes, *, number: int
) -> str:
    """A sentence about the first value that is not finite, the same in all processes.

    Looked at in this order: the batch, the weights, the outputs of the nodes, the gradients that they pass back.

    Args:
        batches: this process's parts of the step.
        number: the step's number in the run, from 0.
    """
    found: list[tuple[int, str]] = []
    for batch, (targets, part) in zip(batches, parts_of(loss, batches, processes), strict=True):
        traced = tracer(batch.inputs, targets, number, part)
        found += [(BEFORE_ALL_NODES, problem) for problem in (_in_batch(batch), _in_weights(engine)) if problem]
        found += [(place, _sentence(value)) for place, value in enumerate(traced) if not _is_finite(value.tensor)][:1]
    first = min(found, key=lambda each: each[0], default=None)
    everywhere = [json.loads(text) for text in processes.gathered(json.dumps(first))]
    told = [each for each in everywhere if each is not None]
    if not told:
        return "Computed again value by value, all of the step's values are finite."
    return str(min(told, key=lambda each: each[0])[1])


def _is_finite(tensor: torch.Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def _in_batch(batch: Batch) -> str | None:
    for what, tensor in (("input", batch.inputs), ("target", batch.targets)):
        if tensor is not None and not _is_finite(tensor):
            wrong = ~torch.isfinite(tensor).flatten(1).all(1)
            index = int(batch.indices[wrong.nonzero()[0]])
            return f"The {what} of sample {index + 1} of the data set is not finite: {_count(tensor)}."
    return None


def _in_weights(engine: Engine) -> str | None:
    for name, tensor in engine.parameters.views.items():
        if not _is_finite(tensor):
            return f"{name} is not finite before the step: {_count(tensor)}."
    return None


def _sentence(value: TracedValue) -> str:
    node = f"node '{value.node}' ({value.op_type})" + (f" of layer '{value.layer}'" if value.layer is not None else "")
    what = f"the output of {node}" if value.what == "output" else f"a gradient that {node} passes back"
    return f"The first value that is not finite is {what}: {_count(value.tensor)}."


def _count(tensor: torch.Tensor) -> str:
    nan, infinite = int(torch.isnan(tensor).sum()), int(torch.isinf(tensor).sum())
    return f"{nan} of {tensor.numel()} numbers are NaN, {infinite} infinite"
