"""The profile of a run's steps as a table: one row a layer, as lines for the log and as a CSV file."""

import csv
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from converters.atomic_file import replacing
from onnxgrid.engines.profiling import UNCOUNTED_STEPS, StepProfile
from onnxgrid.engines.recorded_work import Work
from onnxgrid.training.log import RunLog

__all__ = ["TABLE", "TRACE", "ProfileRow", "Report", "profile_rows"]

logger = logging.getLogger(__name__)

TABLE, TRACE = "layers.csv", "trace.json"
"""Files in the folder of a profile."""
LOGGED_ROWS = 20
BETWEEN = "(between nodes)"
"""The last row: what of a step no node accounts for."""


class Report:
    """Writes a profile into a folder and to the log; given None, says that there is none."""

    def __init__(self, folder: Path, log: RunLog) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.trace = folder / TRACE
        self._folder, self._log = folder, log

    def __call__(self, profile: StepProfile | None) -> None:
        if profile is None:
            logger.warning("the run was too short to be profiled: %d steps come before those that are", UNCOUNTED_STEPS)
            return
        rows = profile_rows(profile)
        _write_table(self._folder / TABLE, rows)
        self._log.profile(_lines(profile, rows, self._folder))


@dataclass(frozen=True)
class ProfileRow:
    """A layer in one step, on average. MB are 10^6 bytes."""

    layer: str
    forward_ms: float
    backward_ms: float
    share: float
    """Of the step's time."""
    calls: float
    """Of nodes, forward and backward."""
    forward_mb: float
    backward_mb: float

    @property
    def ms(self) -> float:
        return self.forward_ms + self.backward_ms


def profile_rows(profile: StepProfile) -> list[ProfileRow]:
    """A row for each layer, the slowest first, and the last for the time between nodes: they add up to the step."""
    layers: dict[str, list[Work]] = {}
    for work in profile.work:
        layers.setdefault(work.layer, []).append(work)
    rows = [_row(layer, works, profile) for layer, works in layers.items()]
    rows.sort(key=lambda row: -row.ms)
    rest = max(0.0, 1e3 * profile.seconds / profile.steps - sum(row.ms for row in rows))
    return [*rows, ProfileRow(BETWEEN, rest, 0.0, _share(rest, profile), 0.0, 0.0, 0.0)]


def _row(layer: str, works: Iterable[Work], profile: StepProfile) -> ProfileRow:
    forward, backward = ([w for w in works if w.backward == side] for side in (False, True))
    forward_ms, backward_ms = (1e3 * sum(w.seconds for w in side) / profile.steps for side in (forward, backward))
    forward_mb, backward_mb = (sum(w.bytes for w in side) / 1e6 / profile.steps for side in (forward, backward))
    calls = (len(forward) + len(backward)) / profile.steps
    return ProfileRow(
        layer, forward_ms, backward_ms, _share(forward_ms + backward_ms, profile), calls, forward_mb, backward_mb
    )


def _share(milliseconds: float, profile: StepProfile) -> float:
    return milliseconds * profile.steps / (1e3 * profile.seconds)


def _lines(profile: StepProfile, rows: Sequence[ProfileRow], folder: Path) -> list[str]:
    """The table for the log: the slowest layers, the others in one line, and the time between nodes."""
    *layers, rest = rows
    shown, others = layers[:LOGGED_ROWS], layers[LOGGED_ROWS:]
    if others:
        names = f"{len(others)} more"
        sums = [sum(values) for values in zip(*((*_numbers(row),) for row in others), strict=True)]
        shown = [*shown, ProfileRow(names, *sums)]
    width = max(len(row.layer) for row in [*shown, rest])
    head = f"{'Layer':<{width}}  Forward ms  Backward ms   Share  Calls  Forward MB  Backward MB"
    return [
        f"Steps: {profile.steps}, of {1e3 * profile.seconds / profile.steps:.1f} ms each",
        head,
        *(_line(row, width) for row in [*shown, rest]),
        f"All layers: {folder / TABLE}",
        f"Chrome trace: {folder / TRACE}",
    ]


def _numbers(row: ProfileRow) -> tuple[float, ...]:
    return row.forward_ms, row.backward_ms, row.share, row.calls, row.forward_mb, row.backward_mb


def _line(row: ProfileRow, width: int) -> str:
    return (
        f"{row.layer:<{width}}  {row.forward_ms:10.3f}  {row.backward_ms:11.3f}  {100 * row.share:5.1f}%"
        f"  {row.calls:5.0f}  {row.forward_mb:10.3f}  {row.backward_mb:11.3f}"
    )


def _write_table(path: Path, rows: Sequence[ProfileRow]) -> None:
    """All rows as comma-separated values."""
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("layer", "forward_ms", "backward_ms", "share", "calls", "forward_mb", "backward_mb"))
        for row in rows:
            writer.writerow((row.layer, *(f"{value:.6g}" for value in _numbers(row))))
