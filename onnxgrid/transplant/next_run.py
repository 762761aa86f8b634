"""What a transplant says to the run that goes on from it: layers to freeze, and layers to train more slowly."""

import json
from typing import Any

from onnxgrid.config.layers import FREEZE, LAYER_RATES
from onnxgrid.transplant.plan import TargetParameter, TransplantPlan

__all__ = ["freeze_text", "frozen_layers", "rate_groups", "rates_text"]

COPIED_FACTOR, ADAPTED_FACTOR, NEW_FACTOR = 0.1, 0.3, 1.0
"""What the learning rate is multiplied by: a start, to be changed in the file."""


def rate_groups(plan: TransplantPlan) -> dict[str, tuple[str, ...]]:
    """The target's layers: "copied" as they were, "adapted" or carried in part, and "new", which keep their values."""
    copied = {match.target for match in plan.copied}
    carried = {match.target for match in plan.carried}
    layers: dict[str, set[TargetParameter]] = {}
    for target in plan.targets:
        layers.setdefault(target.layer, set()).add(target)
    groups: dict[str, list[str]] = {"copied": [], "adapted": [], "new": []}
    for layer, parameters in layers.items():
        kind = "copied" if parameters <= copied else "adapted" if parameters & carried else "new"
        groups[kind].append(layer)
    return {kind: tuple(names) for kind, names in groups.items()}


def frozen_layers(plan: TransplantPlan) -> tuple[str, ...]:
    """Layers all of whose parameters were copied as they are."""
    return rate_groups(plan)["copied"]


def freeze_text(plan: TransplantPlan) -> str:
    """A file for `freeze` of the next run's configuration."""
    return _json({FREEZE: list(frozen_layers(plan))})


def rates_text(plan: TransplantPlan) -> str:
    """A file for `optimizer.layer_rates` of the next run's configuration."""
    groups, factors = rate_groups(plan), (COPIED_FACTOR, ADAPTED_FACTOR, NEW_FACTOR)
    rates = [
        {"layers": list(layers), "factor": factor}
        for layers, factor in zip(groups.values(), factors, strict=True)
        if layers
    ]
    return _json({LAYER_RATES: rates})


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"
