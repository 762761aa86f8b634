"""The console log of a run, line for line as the reference program's documentation shows it.

Blocks between rules of 45 dashes; labels padded to a fixed width; numbers with six significant digits. Lines go to a
callback: this module neither prints nor formats time stamps.
"""

from collections.abc import Callable, Sequence
from typing import Any

from onnxgrid.config.loss import BCELossConfig, LossConfig, MSELossConfig, NLLLossConfig
from onnxgrid.config.optimizer import AdamConfig, OptimizerConfig, SGDConfig
from onnxgrid.config.schedule import ExponentialConfig, MultiStepConfig, ScheduleConfig, StepConfig, WarmupConfig
from onnxgrid.data.batches import Share, batch_count
from onnxgrid.data.dataset import Dataset
from onnxgrid.inspection import ModelSummary
from onnxgrid.training.loop import EvaluatedBatch, TrainedBatch

__all__ = ["RunLog", "is_logged"]

RULE_WIDTH = 45
INDENT = "   "
DONE = "All done (return value = 0). "
"""The last line of a run that succeeded; the blank at its end belongs to it."""


def is_logged(batch: int, batches: int) -> bool:
    """Whether batch `batch` (from 0) of an epoch gets a line: every one up to 100, else one for each percent."""
    return 100 * (batch + 1) // batches > 100 * batch // batches


def titled_rule(title: str) -> str:
    """The title in the middle of a rule; the left side gets the odd dash."""
    dashes = RULE_WIDTH - len(title) - 2
    return "-" * (dashes - dashes // 2) + f" {title} " + "-" * (dashes // 2)


class RunLog:
    """Writes the blocks of a run, in the order in which its methods are called."""

    def __init__(self, write: Callable[[str], None], *, processes: int = 1) -> None:
        self.write, self._processes = write, processes

    def rule(self) -> None:
        self.write("-" * RULE_WIDTH)

    def start(self, version: str, device: str) -> None:
        self.write(f"onnxgrid {version}")
        self.write("1 process" if self._processes == 1 else f"{self._processes} processes")
        self.write(titled_rule("Device(s)"))
        self.write(INDENT + device)
        self.rule()
        if self._processes > 1:
            self.write(titled_rule("Gradient reducer"))
            self.write(f"{INDENT}Type: oneshot")
            self.rule()

    def network(self, summary: ModelSummary) -> None:
        self.write(titled_rule("Neural Network"))
        values = {
            "Model name": summary.name or "Unknown",
            "Total parameters": summary.total_parameters,
            "Trainable parameters": summary.trainable_parameters,
            "Num of operations": summary.operations,
        }
        self._values(20, values)
        self.rule()

    def optimizer(self, config: OptimizerConfig) -> None:
        self.write(titled_rule("Optimizer"))
        self._values(13, _optimizer_values(config))
        if config.lr_scheduler is not None:
            self.write(titled_rule("Learning rate scheduler"))
            self._values(7, _schedule_values(config.lr_scheduler))

    def loss(self, config: LossConfig) -> None:
        self.write(titled_rule("Loss"))
        self._values(12 if isinstance(config, NLLLossConfig) else 8, _loss_values(config))
        self.rule()

    def datasets(self, kind: str, sets: Sequence[tuple[str, Dataset, int, Share]]) -> None:
        """The data-set block: the type of the inputs, and each set with its heading ("Training dataset"), its batch
        size and this process's share.
        """
        self.write(titled_rule("Dataset"))
        for heading, dataset, batch_size, share in sets:
            self.write(f"{heading}:")
            values = {
                "Type": kind,
                f"Num {dataset.kind:<8}(total)": len(dataset),
                f"Num {dataset.kind:<8}(per process)": -(-len(dataset) // share.processes),
                "Batch size  (requested)": batch_size,
                "Batch size  (per process)": -(-batch_size // share.processes),
                "Num batches (per process)": batch_count(len(dataset), batch_size),
            }
            if share.accumulated > 1:
                values["Batches per step"] = share.accumulated
            self._values(25, values)
        self.rule()

    def trained(self, epoch: int, epochs: int, batches: int, batch: TrainedBatch) -> None:
        if is_logged(batch.index, batches):
            exchange = f"; Grad/Comm: {int(100 * batch.exchange_share)}%" if self._processes > 1 else ""
            self.write(
                f"Train Epoch [{epoch:3d}/{epochs:3d}] : Batch [{batch.index + 1:5d}/{batches:5d}]"
                f" (Loss = {batch.loss:.4f}; |g| = {batch.gradient_norm:.4f})"
                f" [Data: {int(100 * batch.data_share)}%; Compute: {int(100 * batch.compute_share)}%{exchange}]"
            )

    def evaluated(self, epoch: int, epochs: int, batches: int, batch: EvaluatedBatch) -> None:
        if is_logged(batch.index, batches):
            measured = "" if batch.loss is None else f" (Loss: {batch.loss:.4f})"
            measured += "" if batch.accuracy is None else f" | Accuracy: {batch.accuracy:.3f}"
            self.write(f"Eval  Epoch [{epoch:3d}/{epochs:3d}] : Batch [{batch.index + 1:5d}/{batches:5d}]{measured}")

    def profile(self, lines: Sequence[str]) -> None:
        self.write(titled_rule("Profile"))
        for line in lines:
            self.write(INDENT + line)
        self.rule()

    def done(self) -> None:
        self.write(DONE)

    def _values(self, width: int, values: dict[str, Any]) -> None:
        for label, value in values.items():
            self.write(f"{INDENT}{label:<{width}}: {value}")


def _number(value: float) -> str:
    return f"{value:g}"


def _optimizer_values(config: OptimizerConfig) -> dict[str, Any]:
    match config:
        case SGDConfig():
            return {
                "Type": "SGD",
                "Learning rate": _number(config.learning_rate),
                "Momentum": _number(config.momentum),
                "Dampening": _number(config.dampening),
                "Weight decay": _number(config.weight_decay),
                "Nesterov": int(config.nesterov),
            }
        case AdamConfig():
            return {
                "Type": "Adam",
                "Learning rate": _number(config.learning_rate),
                "Beta1": _number(config.beta1),
                "Beta2": _number(config.beta2),
                "Weight decay": _number(config.weight_decay),
                "Eps": _number(config.eps),
                "AMSGrad": int(config.amsgrad),
            }


def _schedule_values(config: ScheduleConfig) -> dict[str, Any]:
    values: dict[str, Any]
    match config:
        case StepConfig():
            values = {"Type": "Step", "Gamma": _number(config.gamma), "Step size": config.step_size}
        case MultiStepConfig():
            values = {"Type": "MultiStep", "Gamma": _number(config.gamma), "Milestones": list(config.milestones)}
        case ExponentialConfig():
            values = {"Type": "Exponential", "Gamma": _number(config.gamma)}
        case WarmupConfig():
            values = {"Type": "Warmup", "Epochs": config.num_epochs, "Factor": _number(config.start_factor)}
    return {**values, "Verbose": config.verbose}


def _loss_values(config: LossConfig) -> dict[str, Any]:
    match config:
        case NLLLossConfig():
            weight = None if config.weight is None else list(config.weight)
            return {"Function": "NLL (Negative Log-Likelihood)", "Weight": weight, "Ignore index": config.ignore_index}
        case BCELossConfig():
            return {"Function": "BCE (Binary Cross-Entropy)"}
        case MSELossConfig():
            return {"Function": "MSE (Mean Squared Error)"}
