"""The accuracy that an evaluation reports (BCE and NLL; a regression has none)."""

import functools
from collections.abc import Callable

import torch

from onnxgrid.losses import Loss

__all__ = ["Metric", "accuracy", "metric_of"]

Metric = Callable[[torch.Tensor, torch.Tensor], float]
"""From outputs and targets of a batch to a number from 0 to 1."""


def metric_of(loss: Loss) -> Metric | None:
    """The accuracy that goes with a loss, or None."""
    return None if loss.threshold is None else functools.partial(accuracy, threshold=loss.threshold)


def accuracy(outputs: torch.Tensor, targets: torch.Tensor, *, threshold: float) -> float:
    """The share of right answers of a batch.

    * Class indices (N,) and outputs (N, C): the fraction whose argmax is the index.
    * Class indices (N, s...) and outputs (N, C, s...), or masks like the outputs: the Dice coefficient 2|P and T| /
      (|P| + |T|) of the hard prediction (argmax over the classes; at least `threshold` for a single channel, where
      targets are positive from 0.5 on), averaged over the classes that occur.
    """
    if targets.dtype == torch.int64:
        predicted = outputs.argmax(dim=1)
        if targets.dim() == 1:
            return float((predicted == targets).float().mean())
        classes = range(outputs.shape[1])
        return _mean_dice([(predicted == c, targets == c) for c in classes])
    if outputs.shape[1] == 1:
        return _mean_dice([(outputs >= threshold, targets >= 0.5)])
    predicted, expected = outputs.argmax(dim=1), targets.argmax(dim=1)
    return _mean_dice([(predicted == c, expected == c) for c in range(outputs.shape[1])])


def _mean_dice(masks: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    scores = []
    for predicted, expected in masks:
        size = int(predicted.sum() + expected.sum())
        if size:
            scores.append(2 * int((predicted & expected).sum()) / size)
    return sum(scores) / len(scores) if scores else 1.0
