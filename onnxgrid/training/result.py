"""What a finished run tells its caller."""

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["EpochResult", "TrainingResult"]


@dataclass(frozen=True)
class EpochResult:
    """Means over the samples of one epoch; None for what was not measured. Seconds count from the start of training."""

    epoch: int
    seconds: float
    train_loss: float | None
    test_loss: float | None
    accuracy: float | None


@dataclass(frozen=True)
class TrainingResult:
    """A run: the epochs that this call ran, and the newest checkpoint (its `.onnx` file), if any was saved."""

    engine: str
    epochs: tuple[EpochResult, ...]
    checkpoint: str | None

    def to_json(self) -> dict[str, Any]:
        """The result as plain values."""
        return asdict(self)
