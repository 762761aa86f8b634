"""The table of CONFIG.md, section 4.1: learning rates by the number of finished epochs, from 0."""

import pytest

from onnxgrid.config.schedule import ExponentialConfig, MultiStepConfig, ScheduleConfig, StepConfig, WarmupConfig
from onnxgrid.schedules import learning_rate

INITIAL = 0.8

CASES: dict[str, tuple[ScheduleConfig | None, list[float]]] = {
    "none": (None, [0.8] * 8),
    "Step": (StepConfig(gamma=0.5, step_size=3), [0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2, 0.2]),
    "Step by default gamma": (StepConfig(step_size=1), [0.8, 0.08, 0.008]),
    "MultiStep": (MultiStepConfig(gamma=0.5, milestones=(2, 5)), [0.8, 0.8, 0.4, 0.4, 0.4, 0.2, 0.2]),
    "MultiStep in any order": (MultiStepConfig(gamma=0.5, milestones=(3, 1)), [0.8, 0.4, 0.4, 0.2, 0.2]),
    "Exponential": (ExponentialConfig(gamma=0.5), [0.8, 0.4, 0.2, 0.1]),
    "Warmup": (WarmupConfig(num_epochs=4, start_factor=0.25), [0.2, 0.35, 0.5, 0.65, 0.8, 0.8, 0.8]),
    "Warmup in one epoch": (WarmupConfig(num_epochs=1, start_factor=0.5), [0.4, 0.8, 0.8]),
}


@pytest.mark.parametrize(("schedule", "rates"), CASES.values(), ids=CASES)
def test_the_rate_of_each_epoch(schedule: ScheduleConfig | None, rates: list[float]) -> None:
    assert [learning_rate(INITIAL, schedule, finished) for finished in range(len(rates))] == pytest.approx(rates)
