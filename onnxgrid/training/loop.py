"""The training loop: it moves batches to an engine, gradients to an optimizer and numbers to whoever listens.

Nothing else happens here.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from onnxgrid.data.batches import Batch
from onnxgrid.engines.engine import Engine, Predict
from onnxgrid.errors import WorkFailed
from onnxgrid.losses import Loss
from onnxgrid.training.metrics import Metric

__all__ = ["EvaluatedBatch", "Evaluation", "TrainedBatch", "evaluate", "train_epoch"]


@dataclass(frozen=True)
class TrainedBatch:
    """One training step. `index` counts from 0 within the epoch; the shares are of the epoch's time so far."""

    index: int
    loss: float
    gradient_norm: float
    data_share: float
    compute_share: float


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
    optimizer: torch.optim.Optimizer,
    batches: Iterator[Batch],
    *,
    first_step: int,
    on_batch: Callable[[TrainedBatch], None],
) -> float:
    """One pass over the batches; return the mean loss over the samples.

    Args:
        first_step: number of steps done in the run before this epoch.

    Raises:
        WorkFailed: as soon as a loss or a gradient is not finite; the weights of that step are not updated.
    """
    data_seconds = compute_seconds = 0.0
    total, samples = 0.0, 0
    began = time.perf_counter()
    for index, batch in enumerate(batches):
        arrived = time.perf_counter()
        assert batch.targets is not None  # the configuration lets no training set pass without targets
        result = engine.step(batch.inputs, batch.targets, number=first_step + index)
        norm = torch.linalg.vector_norm(engine.gradients.flat)
        loss, gradient_norm = torch.stack([result.loss, norm]).tolist()  # together: each transfer waits for the device
        if not math.isfinite(loss):
            raise _not_finite("loss", loss, index, first_step)
        if not math.isfinite(gradient_norm):
            raise _not_finite("gradient norm", gradient_norm, index, first_step)
        optimizer.step()
        done = time.perf_counter()
        data_seconds, compute_seconds = data_seconds + arrived - began, compute_seconds + done - arrived
        elapsed = data_seconds + compute_seconds
        total, samples = total + loss * len(batch.inputs), samples + len(batch.inputs)
        on_batch(TrainedBatch(index, loss, gradient_norm, data_seconds / elapsed, compute_seconds / elapsed))
        began = time.perf_counter()
    return total / samples


def _not_finite(what: str, value: float, index: int, first_step: int) -> WorkFailed:
    return WorkFailed(
        f"The {what} is {value} in batch {index + 1} (step {first_step + index + 1} of the run).",
        fix="Lower optimizer.learning_rate, or look for NaN, unscaled or all ignored values in the data.",
    )


def evaluate(
    predict: Predict,
    loss: Loss | None,
    metric: Metric | None,
    batches: Iterator[Batch],
    *,
    on_batch: Callable[[EvaluatedBatch], None],
) -> Evaluation:
    """One pass over the batches in inference mode. Without a loss or without targets, nothing is measured."""
    total_loss = total_accuracy = 0.0
    samples = 0
    measured = EvaluatedBatch(-1, None, None)
    for index, batch in enumerate(batches):
        outputs = predict(batch.inputs)
        samples += len(outputs)
        if batch.targets is None or loss is None:
            measured = EvaluatedBatch(index, None, None)
        else:
            targets = batch.targets.to(outputs.device, non_blocking=True)
            batch_loss = loss.in_torch(outputs, targets).item()
            total_loss += batch_loss * len(outputs)
            if metric is not None:
                total_accuracy += metric(outputs, targets) * len(outputs)
            measured = EvaluatedBatch(index, batch_loss, None if metric is None else total_accuracy / samples)
        on_batch(measured)
    return Evaluation(None if measured.loss is None else total_loss / samples, measured.accuracy)
