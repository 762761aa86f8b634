"""The loop, with an engine whose losses are given: what it adds up, when it stops, what it tells."""

import math
from collections.abc import Iterator, Sequence

import pytest
import torch

from onnxgrid.data.batches import Batch
from onnxgrid.engines.engine import WHOLE, FlatTensors, Part, StepResult
from onnxgrid.errors import WorkFailed
from onnxgrid.losses import MeanSquaredError
from onnxgrid.training.loop import EvaluatedBatch, Evaluation, TrainedBatch, evaluate, train_epoch
from onnxgrid.training.metrics import Accuracy


class ScriptedEngine:
    """An engine with one weight, whose gradient is 3 and whose losses are given."""

    name = "scripted"

    def __init__(self, losses: Sequence[float]) -> None:
        self.parameters = FlatTensors({"w": (2,)}, torch.device("cpu"))
        self.gradients, self.statistics = self.parameters.empty_like(), FlatTensors({}, torch.device("cpu"))
        self._losses = iter(losses)
        self.steps: list[int] = []
        self.parts: list[Part] = []

    def step(self, inputs: torch.Tensor, targets: torch.Tensor, *, number: int, part: Part = WHOLE) -> StepResult:
        self.steps.append(number)
        self.parts.append(part)
        self.gradients.views["w"].copy_(torch.tensor([3.0, 4.0]))
        return StepResult(torch.tensor(next(self._losses)), inputs)

    def predict(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs + 1


def batches_of(*sizes: int, targets: bool = True) -> Iterator[Batch]:
    for size in sizes:
        inputs = torch.full((size, 1), float(size))
        yield Batch(inputs, inputs.clone() if targets else None, torch.arange(size))


def run(engine: ScriptedEngine, *sizes: int) -> tuple[float, list[TrainedBatch]]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(engine.parameters.flat)], lr=1.0)
    optimizer.param_groups[0]["params"][0].grad = engine.gradients.flat
    seen: list[TrainedBatch] = []
    mean = train_epoch(engine, MeanSquaredError(), optimizer, batches_of(*sizes), first_step=7, on_batch=seen.append)
    return mean, seen


def test_the_mean_loss_weighs_batches_by_their_samples() -> None:
    engine = ScriptedEngine([1.0, 2.0, 5.0])
    mean, seen = run(engine, 4, 4, 1)
    assert mean == pytest.approx((4 * 1 + 4 * 2 + 1 * 5) / 9)
    assert [batch.loss for batch in seen] == [1.0, 2.0, 5.0]
    assert [batch.index for batch in seen] == [0, 1, 2]
    assert engine.steps == [7, 8, 9]
    assert engine.parameters.views["w"].tolist() == [-9.0, -12.0]


def test_the_gradient_norm_is_that_of_all_gradients_together() -> None:
    _, seen = run(ScriptedEngine([1.0]), 2)
    assert seen[0].gradient_norm == 5.0


def test_the_shares_of_time_are_all_of_it() -> None:
    _, seen = run(ScriptedEngine([1.0, 1.0]), 2, 2)
    for batch in seen:
        assert batch.data_share + batch.compute_share == pytest.approx(1)
        assert min(batch.data_share, batch.compute_share) >= 0


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_stops_the_run_before_the_update(loss: float) -> None:
    engine = ScriptedEngine([1.0, loss, 1.0])
    with pytest.raises(WorkFailed) as caught:
        run(engine, 2, 2, 2)
    assert str(caught.value) == (
        f"The loss is {loss} in batch 2 (step 9 of the run).\n"
        "  Lower optimizer.learning_rate, or look for NaN, unscaled or all ignored values in the data"
        "; --detect-anomaly names the layer."
    )
    assert engine.parameters.views["w"].tolist() == [-3.0, -4.0]


class RightWhereFour(Accuracy):
    """Right are all of a batch of four samples, and none of others."""

    def counts(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return torch.tensor([len(outputs) * (len(outputs) == 4), len(outputs)], dtype=torch.float64)


def evaluated(
    batches: Iterator[Batch],
    loss: MeanSquaredError | None,
    metric: Accuracy | None,
) -> tuple[Evaluation, list[EvaluatedBatch]]:
    seen: list[EvaluatedBatch] = []
    return evaluate(lambda x: x + len(x), loss, metric, batches, on_batch=seen.append), seen


def test_evaluation_means_weigh_by_samples_and_the_accuracy_runs_along() -> None:
    evaluation, seen = evaluated(batches_of(4, 1), MeanSquaredError(), RightWhereFour(0.5))
    assert evaluation == Evaluation(loss=pytest.approx((4 * 16 + 1 * 1) / 5), accuracy=pytest.approx(4 / 5))
    assert seen == [EvaluatedBatch(0, 16.0, 1.0), EvaluatedBatch(1, 1.0, pytest.approx(4 / 5))]


def test_without_a_metric_there_is_no_accuracy() -> None:
    evaluation, seen = evaluated(batches_of(2), MeanSquaredError(), None)
    assert (evaluation, seen) == (Evaluation(4.0, None), [EvaluatedBatch(0, 4.0, None)])


@pytest.mark.parametrize("loss", [MeanSquaredError(), None])
def test_without_targets_or_loss_nothing_is_measured(loss: MeanSquaredError | None) -> None:
    evaluation, seen = evaluated(batches_of(2, 1, targets=loss is None), loss, None)
    assert evaluation == Evaluation(None, None)
    assert seen == [EvaluatedBatch(0, None, None), EvaluatedBatch(1, None, None)]
