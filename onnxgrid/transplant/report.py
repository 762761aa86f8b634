"""What a transplant did: the plan and the files it was about, as log lines, one summary line, or JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters.atomic_file import not_written, replacing
from converters.weights.keras import HDF5_SUFFIXES
from onnxgrid.errors import TransplantError
from onnxgrid.transplant.plan import Match, TargetParameter, TransplantPlan
from onnxgrid.transplant.statistics import Change

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

__all__ = ["FIVE_LISTS", "FURTHER_LISTS", "TransplantReport", "loading_line", "save_report", "save_text"]

FIVE_LISTS = ("copied", "adapted", "unmatched_in_source", "unmatched_in_target", "shape_mismatch")
FURTHER_LISTS = ("uncertain", "excluded")
"""Those that only some options fill."""


@dataclass(frozen=True)
class TransplantReport:
    """The plan that was carried out between two ends.

    Args:
        source: the file, or what stands for it in errors.
        target: the same.
        out: the file; None where none was named.
        written: false after a dry run, and where nothing was to be carried.
        statistics: by name of the target's parameters, their values before and after, where this was asked for.
        moments: parameters of a checkpoint whose moments the optimizer has from the source.
        unused_renames: those that matched no name of the source.
        model: what came of a target in memory, of its type; None of a file.
    """

    source: str
    target: str
    out: str | None
    written: bool
    plan: TransplantPlan
    statistics: Mapping[str, Change] = field(default_factory=dict)
    moments: tuple[str, ...] = ()
    unused_renames: tuple[str, ...] = ()
    model: "onnx.ModelProto | ir.Model | None" = field(default=None, repr=False, compare=False)

    def lines(self) -> list[str]:
        """One line for each thing that was not carried (`TransplantPlan.lines`)."""
        return self.plan.lines()

    def counts(self) -> dict[str, int]:
        """How long each of the five lists is."""
        return {name: len(getattr(self.plan, name)) for name in FIVE_LISTS}

    def summary(self) -> str:
        """One line: the file that was written, or that none was, and the counts."""
        more = {name: len(getattr(self.plan, name)) for name in FURTHER_LISTS if getattr(self.plan, name)}
        counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in {**self.counts(), **more}.items())
        moments = f"; optimizer moments of {len(self.moments)} parameters" if self.moments else ""
        return f"{self._outcome()}: {counts}{moments}"

    def _outcome(self) -> str:
        if self.written:
            return str(self.out)
        if self.model is not None:
            return "model in memory"
        return "dry run, nothing written" if self.plan.carried else "nothing to carry, nothing written"

    def to_json(self) -> dict[str, Any]:
        """Files, counts and lists, of strings, numbers, lists, dicts and None only."""
        return {
            "source": self.source,
            "target": self.target,
            "out": self.out,
            "written": self.written,
            "counts": self.counts(),
            "copied": [self._match(match) for match in self.plan.copied],
            "adapted": [self._match(match) for match in self.plan.adapted],
            "unmatched_in_source": [
                {"name": unused.renamed, "source_name": unused.stored_name, "source_shape": list(unused.shape)}
                for unused in self.plan.unmatched_in_source
            ],
            "unmatched_in_target": [self._parameter(target) for target in self.plan.unmatched_in_target],
            "shape_mismatch": [self._match(match) for match in self.plan.shape_mismatch],
            "uncertain": [self._match(match) for match in self.plan.uncertain],
            "excluded": [self._parameter(target) for target in self.plan.excluded],
            "moments": list(self.moments),
            "unused_renames": list(self.unused_renames),
        }

    def _match(self, match: Match) -> dict[str, Any]:
        written = {
            **self._parameter(match.target),
            "source_name": match.stored_name,
            "source_shape": list(match.source_shape),
            "confidence": match.confidence,
            "paired_by": match.paired_by,
        }
        if match.adaptation is not None and match.adaptation.steps:
            written["adaptation"] = [{"rule": step.rule, "detail": step.detail} for step in match.adaptation.steps]
        return written

    def _parameter(self, target: TargetParameter) -> dict[str, Any]:
        written: dict[str, Any] = {"name": target.name, "layer": target.layer, "target_shape": list(target.shape)}
        if target.name in self.statistics:
            change = self.statistics[target.name]
            written |= {"before": change.before.to_json(), "after": change.after.to_json()}
        return written


def loading_line(given: str) -> str:
    """The line of the training log above the lines of a report; `given` is the path as the user wrote it."""
    kind = "HDF5 file" if given.lower().endswith(HDF5_SUFFIXES) else "file"
    return f"Loading model checkpoint from {kind}: {given}"


def save_report(report: TransplantReport, path: Path) -> None:
    """Write `to_json` to a file, whole or not at all.

    Raises:
        TransplantError: if the file cannot be written there.
        WritingFailed: if the disk is full or broken.
    """
    save_text(json.dumps(report.to_json(), indent=2) + "\n", path)


def save_text(text: str, path: Path) -> None:
    """Write a report to a file, whole or not at all. Raises as `save_report`."""
    try:
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise not_written(error, path, TransplantError, "the report") from None
