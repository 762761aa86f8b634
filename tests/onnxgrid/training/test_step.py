"""A step made of parts: what each part is multiplied by, and what becomes of parts that have no weight."""

import math

import pytest
import torch

from onnxgrid.data.batches import Batch, Rows
from onnxgrid.engines.engine import WHOLE, FlatTensors, Part, StepResult
from onnxgrid.losses import Loss, MeanSquaredError, NegativeLogLikelihood
from onnxgrid.processes import ALONE
from onnxgrid.training.step import take_step


class LogitsEngine:
    """An engine whose parameters are the log-probabilities of two classes, the same for each sample."""

    def __init__(self, loss: Loss) -> None:
        self.parameters = FlatTensors({"w": (2,)}, torch.device("cpu"))
        self.parameters.views["w"].copy_(torch.tensor([-1.0, -3.0]))
        self.gradients, self._loss = self.parameters.empty_like(), loss
        self.targets: list[list[int]] = []
        self.parts: list[Part] = []

    def step(self, inputs: torch.Tensor, targets: torch.Tensor, *, number: int, part: Part = WHOLE) -> StepResult:
        self.targets.append(targets.tolist())
        self.parts.append(part)
        w = self.parameters.views["w"].clone().requires_grad_()
        loss = self._loss.in_torch(w.expand(len(inputs), 2), targets) * part.share
        loss.backward()  # type: ignore[no-untyped-call]
        assert w.grad is not None
        self.gradients.views["w"].copy_(w.grad)
        return StepResult(loss.detach(), inputs)


def batches_of(*targets: list[int], counts: bool = True) -> list[Batch]:
    total, first, made = sum(map(len, targets)), 0, []
    for classes in targets:
        rows = Rows(first, len(classes) if counts else 0, total)
        made.append(Batch(torch.zeros(len(classes), 1), torch.tensor(classes), torch.arange(len(classes)), rows))
        first += len(classes)
    return made


LOSSES = {
    "plain": NegativeLogLikelihood(),
    "weighted": NegativeLogLikelihood((1.0, 5.0)),
    "one class ignored": NegativeLogLikelihood(ignore_index=1),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_parts_give_loss_and_gradients_of_the_whole(loss: NegativeLogLikelihood) -> None:
    parts, whole = LogitsEngine(loss), LogitsEngine(loss)
    step = take_step(parts, loss, batches_of([0, 1, 0], [1], [1, 1, 0]), ALONE, number=3)  # type: ignore[arg-type]
    expected = take_step(whole, loss, batches_of([0, 1, 0, 1, 1, 1, 0]), ALONE, number=3)  # type: ignore[arg-type]
    assert step.loss.item() == pytest.approx(expected.loss.item(), rel=1e-6)
    torch.testing.assert_close(parts.gradients.flat, whole.gradients.flat)
    assert [part.first_row for part in parts.parts] == [0, 3, 4]
    assert {part.rows for part in parts.parts} == {7}
    assert whole.parts == [Part(1.0, 0, 7, counts=True)]


def test_a_part_of_ignored_targets_alone_adds_nothing() -> None:
    loss = NegativeLogLikelihood(ignore_index=1)
    engine = LogitsEngine(loss)
    step = take_step(engine, loss, batches_of([1, 1], [0]), ALONE, number=0)  # type: ignore[arg-type]
    assert step.loss.item() == 1.0
    assert engine.gradients.views["w"].tolist() == [-1.0, 0.0]
    assert engine.targets == [[0, 0], [0]]  # for others the loss would be 0 / 0
    assert [part.share for part in engine.parts] == [0.0, 1.0]


def test_a_step_of_ignored_targets_alone_has_no_loss() -> None:
    loss = NegativeLogLikelihood(ignore_index=1)
    step = take_step(LogitsEngine(loss), loss, batches_of([1, 1], [1]), ALONE, number=0)  # type: ignore[arg-type]
    assert math.isnan(step.loss.item())


def test_a_batch_that_stands_in_for_none_has_no_share() -> None:
    loss = NegativeLogLikelihood()
    engine = LogitsEngine(loss)
    batches = [*batches_of([0, 0]), *batches_of([1], counts=False)]
    assert take_step(engine, loss, batches, ALONE, number=0).loss.item() == 1.0  # type: ignore[arg-type]
    assert [(part.share, part.counts) for part in engine.parts] == [(1.0, True), (0.0, False)]


@pytest.mark.parametrize(
    ("loss", "targets", "weight"),
    [
        (MeanSquaredError(), torch.zeros(2, 3, 4), 24.0),
        (NegativeLogLikelihood(), torch.tensor([[0, 1], [2, 0]]), 4.0),
        (NegativeLogLikelihood((1.0, 2.0, 4.0)), torch.tensor([[0, 1], [2, 0]]), 8.0),
        (NegativeLogLikelihood((1.0, 2.0, 4.0), 0), torch.tensor([[0, 1], [2, 0]]), 6.0),
        (NegativeLogLikelihood(ignore_index=255), torch.tensor([255, 255, 1]), 1.0),
    ],
)
def test_the_weight_of_targets(loss: Loss, targets: torch.Tensor, weight: float) -> None:
    assert loss.total_weight(targets) == weight
    assert loss.total_weight(loss.defined_targets(targets)) > 0
