"""`optimizer.lr_scheduler`: how the learning rate changes from epoch to epoch."""

from typing import Annotated, Literal

from pydantic import Field, PlainValidator

from onnxgrid.config.section import Section, Variants
from onnxgrid.config.values import Count, Factor, Flag, OpenFraction, array_of

__all__ = ["SCHEDULES", "ExponentialConfig", "MultiStepConfig", "ScheduleConfig", "StepConfig", "WarmupConfig"]


class StepConfig(Section):
    """lr0 * gamma^floor(e / step_size), where e counts the finished epochs."""

    type: Literal["Step"] = "Step"
    gamma: Factor = 0.1
    step_size: Count = Field(description="an integer of 1 or more: the number of epochs between two steps")
    verbose: Flag = True


class MultiStepConfig(Section):
    """lr0 * gamma^(number of milestones <= e), where e counts the finished epochs."""

    type: Literal["MultiStep"] = "MultiStep"
    gamma: Factor = 0.1
    milestones: Annotated[tuple[Count, ...], array_of("epochs")] = Field(
        description="an array of integers: the epochs after which the learning rate changes"
    )
    verbose: Flag = True


class ExponentialConfig(Section):
    """lr0 * gamma^e, where e counts the finished epochs."""

    type: Literal["Exponential"] = "Exponential"
    gamma: Factor = 0.1
    verbose: Flag = True


class WarmupConfig(Section):
    """lr0 * (f + (1 - f) * min(e, n) / n) with n `num_epochs`, f `start_factor` and e finished epochs."""

    type: Literal["Warmup"] = "Warmup"
    num_epochs: Count = Field(description="an integer of 1 or more: the number of epochs until the full learning rate")
    start_factor: OpenFraction = Field(description="a number between 0 and 1: the first epoch's share of the rate")
    verbose: Flag = True


SCHEDULES = Variants(
    "type",
    {"Step": StepConfig, "MultiStep": MultiStepConfig, "Exponential": ExponentialConfig, "Warmup": WarmupConfig},
)

ScheduleConfig = Annotated[
    StepConfig | MultiStepConfig | ExponentialConfig | WarmupConfig, PlainValidator(SCHEDULES.validate)
]
