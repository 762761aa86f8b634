"""What a recorder of training steps gives: the work that was done for each node of a network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["LOSS_ROW", "OTHER_ROW", "STEP_MARK", "Recorder", "Work"]

LOSS_ROW, OTHER_ROW = "(loss)", "(other)"
"""In place of a layer: what is done for the loss, and what for none of them, as clearing the gradients."""
STEP_MARK = "onnxgrid/step"
"""The event of a whole step in torch's profiler."""


@dataclass(frozen=True)
class Work:
    """What a node did, each time that it ran."""

    layer: str
    """Or the node's own name, if the model does not say; or one of `LOSS_ROW` and `OTHER_ROW`."""
    node: str
    backward: bool
    seconds: float
    bytes: int
    """ort engine: of the values that it gave; torch engine: of the tensors that it allocated."""


class Recorder(Protocol):
    """Records steps of an engine, which takes them with the same numbers."""

    def prepare(self) -> None:
        """Before a step that is not counted."""

    def begin(self) -> None:
        """Before the first step that is."""

    def end(self, trace: Path | None) -> Sequence[Work]:
        """Leave the engine as it was. What was done since `begin`, written to `trace` in Chrome's format as well."""
