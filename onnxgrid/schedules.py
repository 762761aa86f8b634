"""Learning rates as a function of the epoch: no state, so a resumed run has the rates of one that was never
interrupted.
"""

from onnxgrid.config.schedule import ExponentialConfig, MultiStepConfig, ScheduleConfig, StepConfig, WarmupConfig

__all__ = ["learning_rate"]


def learning_rate(initial: float, schedule: ScheduleConfig | None, finished_epochs: int) -> float:
    """The learning rate to use after `finished_epochs` epochs (0 in the first)."""
    match schedule:
        case None:
            return initial
        case StepConfig():
            return initial * schedule.gamma ** (finished_epochs // schedule.step_size)
        case MultiStepConfig():
            return initial * schedule.gamma ** sum(milestone <= finished_epochs for milestone in schedule.milestones)
        case ExponentialConfig():
            return initial * schedule.gamma**finished_epochs
        case WarmupConfig():
            risen = min(finished_epochs, schedule.num_epochs) / schedule.num_epochs
            return initial * (schedule.start_factor + (1 - schedule.start_factor) * risen)
