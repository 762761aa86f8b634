"""One training step of all processes together: the loss and the gradients of a whole batch, from the parts of it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from onnxgrid.data.batches import Batch
from onnxgrid.engines.engine import Engine, Part
from onnxgrid.losses import Loss
from onnxgrid.processes import Processes

__all__ = ["StepLoss", "parts_of", "take_step"]


@dataclass(frozen=True)
class StepLoss:
    """The loss of a step's whole batch (0-d, float64), and the seconds that the exchange with the others took."""

    loss: torch.Tensor
    exchange_seconds: float


def take_step(engine: Engine, loss: Loss, batches: Sequence[Batch], processes: Processes, *, number: int) -> StepLoss:
    """Fill the engine's gradients with those of the loss of a step's whole batch, the same in every process.

    Args:
        batches: this process's parts of the step.
        number: the step's number in the run, from 0.
    """
    step_loss, sums = torch.zeros((), dtype=torch.float64, device=engine.gradients.flat.device), None
    for batch, (targets, part) in zip(batches, parts_of(loss, batches, processes), strict=True):
        step_loss += engine.step(batch.inputs, targets, number=number, part=part).loss
        if len(batches) > 1:
            sums = engine.gradients.flat.clone() if sums is None else sums.add_(engine.gradients.flat)
    if sums is not None:
        engine.gradients.flat.copy_(sums)
    began = time.perf_counter()
    if processes.size > 1:
        processes.sum(engine.gradients.flat)
        processes.sum(step_loss)
    exchanged = time.perf_counter() - began if processes.size > 1 else 0.0
    return StepLoss(step_loss, exchanged)


def parts_of(loss: Loss, batches: Sequence[Batch], processes: Processes) -> list[tuple[torch.Tensor, Part]]:
    """The targets of each of this process's batches of a step, and what part of the step it is."""
    weights = [_weight(loss, batch) for batch in batches]
    total = _total_weight(loss, batches, weights, processes)
    parts = []
    for batch, weight in zip(batches, weights, strict=True):
        assert batch.targets is not None  # the configuration lets no training set pass without targets
        # A part without weight may be one for which the loss is not defined, as if all its targets are ignored; a whole
        # step without weight must not pass.
        targets = batch.targets if weight or not total else loss.defined_targets(batch.targets)
        share, place = weight / total if total else float("nan"), batch.place
        parts.append((targets, Part(share, place.first, place.total, counts=place.count > 0)))
    return parts


def _weight(loss: Loss, batch: Batch) -> float:
    assert batch.targets is not None
    return loss.total_weight(batch.targets) if batch.place.count else 0.0


def _total_weight(loss: Loss, batches: Sequence[Batch], weights: list[float], processes: Processes) -> float:
    """The weight of the whole step; without an exchange where it is a matter of numbers."""
    if loss.weighs_targets:
        total = torch.tensor(sum(weights), dtype=torch.float64)
        processes.sum(total)
        return float(total)
    first = batches[0]
    assert first.targets is not None
    return loss.total_weight(first.targets) / len(first.inputs) * first.place.total
