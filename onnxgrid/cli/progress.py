"""A progress bar for training, on stderr, that never disturbs the log lines."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["TrainingProgress"]

REFRESH_EVERY_S = 0.1
"""Drawing costs about a millisecond: ten times a second is smooth and takes about a hundredth of the time."""


class TrainingProgress:
    """A bar over all batches of all epochs; a context manager, shown while it is open."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        # No thread of its own: nothing changes between two batches, and it would take processor time from training.
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            transient=True,
        )
        self._task = self._bar.add_task("Starting", total=None)
        self._epoch, self._epochs, self._batches = 0, 0, 0
        self._next_refresh = 0.0

    def __enter__(self) -> "TrainingProgress":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def epoch_started(self, epoch: int, epochs: int, batches: int) -> None:
        """Note that `epoch` of `epochs`, counted from 1, begins, with `batches` batches to come."""
        self._epoch, self._epochs, self._batches = epoch, epochs, batches
        self._draw(0, f"Epoch {epoch}/{epochs}")

    def batch_done(self, batch: int, loss: float) -> None:
        """Note that `batch` of the epoch, counted from 1, is done; draws at most every `REFRESH_EVERY_S`."""
        if time.monotonic() >= self._next_refresh:
            self._draw(batch, f"Epoch {self._epoch}/{self._epochs}  loss {loss:.4f}")

    def print_line(self, line: str) -> None:
        """Print a line above the bar, on the bar's terminal."""
        self._console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def _draw(self, batch: int, description: str) -> None:
        self._bar.update(
            self._task,
            total=self._epochs * self._batches,
            completed=(self._epoch - 1) * self._batches + batch,
            description=description,
            refresh=True,
        )
        self._next_refresh = time.monotonic() + REFRESH_EVERY_S
