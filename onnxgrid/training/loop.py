"""The training loop: it moves batches to an engine, gradients to an optimizer and numbers to whoever listens.

Nothing else happens here.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from onnxgrid.data.batches import Batch
from onnxgrid.engines.engine import Engine, Predict
from onnxgrid.errors import WorkFailed
from onnxgrid.losses import Loss
from onnxgrid.processes import ALONE, Processes
from onnxgrid.training.metrics import Accuracy
from onnxgrid.training.step import take_step

__all__ = ["EvaluatedBatch", "Evaluation", "TrainedBatch", "evaluate", "train_epoch"]


@dataclass(frozen=True)
class TrainedBatch:
    """One training step, of all processes together. `index` counts from 0 within the epoch; the shares are of this
    process's time in the epoch so far.
    """

    index: int
    loss: float
    gradient_norm: float
    data_share: float
    compute_share: float
    exchange_share: float = 0.0


@dataclass(frozen=True)
class EvaluatedBatch:
    """One evaluated batch.

    `loss` is the batch's, `accuracy` the running mean over the samples so far; None where there is none.
    """

    index: int
    loss: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Evaluation:
    """Means over all samples."""

    loss: float | None
    accuracy: float | None


def train_epoch(
    engine: Engine,
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    batches: Iterator[Batch],
    *,
    first_step: int,
    on_batch: Callable[[TrainedBatch], None],
    processes: Processes = ALONE,
    accumulated: int = 1,
    diagnose: Callable[[Sequence[Batch], int], str] | None = None,
) -> float:
    """One pass over the batches; return the mean loss over the samples.

    Args:
        first_step: number of steps done in the run before this epoch.
        accumulated: how many of the batches make a step.
        diagnose: what to say about a step, given its batches and number, whose loss or gradient is not finite.

    Raises:
        WorkFailed: as soon as a loss or a gradient is not finite; the weights of that step are not updated.
    """
    data_seconds = compute_seconds = exchange_seconds = 0.0
    total, samples = 0.0, 0
    began = time.perf_counter()
    for index, parts in enumerate(iter(lambda: list(itertools.islice(batches, accumulated)), [])):
        arrived = time.perf_counter()
        step = take_step(engine, loss, parts, processes, number=first_step + index)
        norm = torch.linalg.vector_norm(engine.gradients.flat)
        step_loss, gradient_norm = torch.stack([step.loss, norm.double()]).tolist()  # together: each transfer waits
        if not math.isfinite(step_loss):
            raise _not_finite("loss", step_loss, index, first_step, diagnose and diagnose(parts, first_step + index))
        if not math.isfinite(gradient_norm):
            diagnosis = diagnose and diagnose(parts, first_step + index)
            raise _not_finite("gradient norm", gradient_norm, index, first_step, diagnosis)
        optimizer.step()
        done = time.perf_counter()
        data_seconds, exchange_seconds = data_seconds + arrived - began, exchange_seconds + step.exchange_seconds
        compute_seconds += done - arrived - step.exchange_seconds
        elapsed = data_seconds + compute_seconds + exchange_seconds
        shares = data_seconds / elapsed, compute_seconds / elapsed, exchange_seconds / elapsed
        total, samples = total + step_loss * parts[0].place.total, samples + parts[0].place.total
        on_batch(TrainedBatch(index, step_loss, gradient_norm, *shares))
        began = time.perf_counter()
    return total / samples


def _not_finite(what: str, value: float, index: int, first_step: int, diagnosis: str | None) -> WorkFailed:
    fix = "Lower optimizer.learning_rate, or look for NaN, unscaled or all ignored values in the data"
    return WorkFailed(
        f"The {what} is {value} in batch {index + 1} (step {first_step + index + 1} of the run)."
        + (f"\n  {diagnosis}" if diagnosis else ""),
        fix=f"{fix}." if diagnosis else f"{fix}; --detect-anomaly names the layer.",
    )


def evaluate(
    predict: Predict,
    loss: Loss | None,
    metric: Accuracy | None,
    batches: Iterator[Batch],
    *,
    on_batch: Callable[[EvaluatedBatch], None],
    processes: Processes = ALONE,
) -> Evaluation:
    """One pass over the batches in inference mode. Without a loss or without targets, nothing is measured."""
    total_loss = total_accuracy = 0.0
    samples = 0
    measured = EvaluatedBatch(-1, None, None)
    for index, batch in enumerate(batches):
        outputs = predict(batch.inputs)
        samples += batch.place.total
        if batch.targets is None or loss is None:
            measured = EvaluatedBatch(index, None, None)
        else:
            batch_loss, accuracy = _measure(outputs, batch, loss, metric, processes)
            total_loss += batch_loss * batch.place.total
            if accuracy is not None:
                total_accuracy += accuracy * batch.place.total
            measured = EvaluatedBatch(index, batch_loss, None if accuracy is None else total_accuracy / samples)
        on_batch(measured)
    return Evaluation(None if measured.loss is None else total_loss / samples, measured.accuracy)


def _measure(
    outputs: torch.Tensor, batch: Batch, loss: Loss, metric: Accuracy | None, processes: Processes
) -> tuple[float, float | None]:
    """Loss and accuracy of a whole batch, of which this process has a part."""
    assert batch.targets is not None
    targets = batch.targets.to(outputs.device, non_blocking=True)
    own_loss = loss.in_torch(outputs, targets).item()
    counts = torch.zeros(0, dtype=torch.float64) if metric is None else metric.counts(outputs, targets)
    if processes.size > 1:
        weight = loss.total_weight(batch.targets) if batch.place.count else 0.0
        own = [own_loss * weight if weight else 0.0, weight]
        sums = torch.cat([torch.tensor(own, dtype=torch.float64), counts.flatten() * (batch.place.count > 0)])
        processes.sum(sums)
        own_loss, counts = (sums[0] / sums[1]).item(), sums[2:].reshape(counts.shape)
    return own_loss, None if metric is None else metric.score(counts)
