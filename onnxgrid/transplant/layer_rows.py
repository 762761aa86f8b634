"""A plan by layers, as tables and pages show it: a row for each parameter, with what became of it in one word."""

from collections.abc import Mapping
from dataclasses import dataclass

from onnxgrid.transplant.plan import Match, TransplantPlan
from onnxgrid.transplant.statistics import Change

__all__ = ["OUTCOMES", "LayerRows", "ParameterRow", "rows_by_layer"]

OUTCOMES = ("copied", "adapted", "excluded", "uncertain", "shape mismatch", "not found")
"""What can become of a parameter of the target, best first."""


@dataclass(frozen=True)
class ParameterRow:
    """A parameter of the target.

    Args:
        outcome: one of `OUTCOMES`.
        source: what it was matched with, as the file calls it; "" if nothing.
        source_shape: None if nothing.
        remark: the adaptation, or how sure the match is; "" if there is nothing to say.
        change: its values before and after; None if they were not asked for.
    """

    name: str
    outcome: str
    shape: tuple[int, ...]
    source: str
    source_shape: tuple[int, ...] | None
    remark: str
    change: Change | None


@dataclass(frozen=True)
class LayerRows:
    """A layer of the target and its parameters."""

    name: str
    rows: tuple[ParameterRow, ...]

    @property
    def outcome(self) -> str:
        """That of all its parameters, or "in part" if they differ."""
        outcomes = {row.outcome for row in self.rows}
        return outcomes.pop() if len(outcomes) == 1 else "in part"


def rows_by_layer(plan: TransplantPlan, statistics: Mapping[str, Change]) -> tuple[LayerRows, ...]:
    """The layers of the target, in its order."""
    matched: dict[str, tuple[str, Match]] = {}
    for outcome, matches in (
        ("copied", plan.copied),
        ("adapted", plan.adapted),
        ("shape mismatch", plan.shape_mismatch),
        ("uncertain", plan.uncertain),
    ):
        matched |= {match.target.name: (outcome, match) for match in matches}
    excluded = {target.name for target in plan.excluded}
    layers: dict[str, list[ParameterRow]] = {}
    for target in plan.targets:
        outcome, match = matched.get(target.name, ("excluded" if target.name in excluded else "not found", None))
        row = ParameterRow(
            name=target.name,
            outcome=outcome,
            shape=target.shape,
            source="" if match is None else match.stored_name,
            source_shape=None if match is None else match.source_shape,
            remark="" if match is None else _remark(match),
            change=statistics.get(target.name),
        )
        layers.setdefault(target.layer, []).append(row)
    return tuple(LayerRows(name, tuple(rows)) for name, rows in layers.items())


def _remark(match: Match) -> str:
    remarks = [] if match.adaptation is None or not match.adaptation.steps else [match.adaptation.detail]
    if match.confidence < 1:
        remarks.append(f"confidence {match.confidence:.2f}")
    return "; ".join(remarks)
