"""What a transplant did: the plan and the files it was about, as log lines, one summary line, or JSON."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.atomic_file import replacing
from converters.weights.keras import HDF5_SUFFIXES
from onnxgrid.errors import TransplantError
from onnxgrid.transplant.plan import Match, TransplantPlan

__all__ = ["TransplantReport", "loading_line", "save_report"]


@dataclass(frozen=True)
class TransplantReport:
    """The plan that was carried out between these files; `written` is false after a dry run."""

    source: str
    target: str
    out: str | None
    written: bool
    plan: TransplantPlan

    def lines(self) -> list[str]:
        """One line for each thing that was not carried (`TransplantPlan.lines`)."""
        return self.plan.lines()

    def counts(self) -> dict[str, int]:
        """How long each of the five lists is."""
        return {
            "copied": len(self.plan.copied),
            "adapted": len(self.plan.adapted),
            "unmatched_in_source": len(self.plan.unmatched_in_source),
            "unmatched_in_target": len(self.plan.unmatched_in_target),
            "shape_mismatch": len(self.plan.shape_mismatch),
        }

    def summary(self) -> str:
        """One line: the file that was written, or that none was, and the counts."""
        counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in self.counts().items())
        return f"{self.out if self.written else 'dry run, nothing written'}: {counts}"

    def to_json(self) -> dict[str, Any]:
        """Files, counts and the five lists, of strings, numbers, lists and dicts only."""
        return {
            "source": self.source,
            "target": self.target,
            "out": self.out,
            "written": self.written,
            "counts": self.counts(),
            "copied": [_match(match) for match in self.plan.copied],
            "adapted": [_match(match) for match in self.plan.adapted],
            "unmatched_in_source": [
                {"name": unused.renamed, "source_name": unused.stored_name, "source_shape": list(unused.shape)}
                for unused in self.plan.unmatched_in_source
            ],
            "unmatched_in_target": [
                {"name": target.name, "layer": target.layer, "target_shape": list(target.shape)}
                for target in self.plan.unmatched_in_target
            ],
            "shape_mismatch": [_match(match) for match in self.plan.shape_mismatch],
        }


def _match(match: Match) -> dict[str, Any]:
    return {
        "name": match.target.name,
        "layer": match.target.layer,
        "source_name": match.stored_name,
        "source_shape": list(match.source_shape),
        "target_shape": list(match.target.shape),
    }


def loading_line(given: str) -> str:
    """The line of the training log above the lines of a report; `given` is the path as the user wrote it."""
    kind = "HDF5 file" if given.lower().endswith(HDF5_SUFFIXES) else "file"
    return f"Loading model checkpoint from {kind}: {given}"


def save_report(report: TransplantReport, path: Path) -> None:
    """Write `to_json` to a file, whole or not at all.

    Raises:
        TransplantError: if the file cannot be written.
    """
    try:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise TransplantError(
            f"the report cannot be written: {error.strerror}",
            place=str(path),
            fix="Give the path of a file in a folder that exists.",
        ) from None
