"""The accuracy, by hand."""

import pytest
import torch

from onnxgrid.losses import BinaryCrossEntropyWithLogits, MeanSquaredError
from onnxgrid.training.metrics import Accuracy, metric_of

CLASS_MAP = torch.tensor([[[0, 0, 1], [1, 1, 1]]])
"""(N, H, W)"""


def one_hot(classes: torch.Tensor, count: int) -> torch.Tensor:
    return torch.movedim(torch.nn.functional.one_hot(classes, count).float(), -1, 1)


PREDICTED = torch.tensor([[[0, 1, 1], [1, 1, 2]]])
# class 0: 2 * 1 / (1 + 2); class 1: 2 * 3 / (4 + 4); class 2: 0 of (1 + 0); class 3 occurs on neither side
DICE = (2 / 3 + 3 / 4 + 0) / 3

CASES: dict[str, tuple[torch.Tensor, torch.Tensor, float]] = {
    "labels": (torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]]), torch.tensor([1, 0, 0, 0]), 0.75),
    "labels, the first of equal outputs": (torch.tensor([[0.5, 0.5]]), torch.tensor([0]), 1.0),
    "class map": (one_hot(PREDICTED, 4), CLASS_MAP, DICE),
    "masks of several channels": (one_hot(PREDICTED, 4), one_hot(CLASS_MAP, 4), DICE),
    "one channel, from one half upwards": (
        torch.tensor([[[[0.5, 0.4], [0.9, 0.6]]]]),
        torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]]),
        2 * 2 / (3 + 2),
    ),
    "nothing on either side": (torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), 1.0),
    "nothing is right": (torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), 0.0),
}


@pytest.mark.parametrize(("outputs", "targets", "expected"), CASES.values(), ids=CASES)
def test_accuracy(outputs: torch.Tensor, targets: torch.Tensor, expected: float) -> None:
    assert Accuracy(threshold=0.5)(outputs, targets) == pytest.approx(expected)


@pytest.mark.parametrize(("outputs", "targets", "expected"), CASES.values(), ids=CASES)
def test_the_accuracy_of_a_batch_follows_from_its_parts(
    outputs: torch.Tensor, targets: torch.Tensor, expected: float
) -> None:
    metric = Accuracy(threshold=0.5)
    twice, halves = torch.cat([outputs, outputs]), (outputs, outputs)
    parts = sum(metric.counts(part, targets) for part in halves)
    assert isinstance(parts, torch.Tensor)
    assert metric.score(parts) == metric(twice, torch.cat([targets, targets])) == pytest.approx(expected)


def test_a_logit_is_positive_from_zero_on() -> None:
    metric = metric_of(BinaryCrossEntropyWithLogits())
    assert metric is not None
    assert metric(torch.tensor([[[[0.2, -0.2]]]]), torch.tensor([[[[1.0, 0.0]]]])) == 1.0


def test_a_regression_has_no_accuracy() -> None:
    assert metric_of(MeanSquaredError()) is None
