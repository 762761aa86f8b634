"""Which weight of the source goes to which parameter of the target, from names, shapes and rules alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from converters.roles import layer_of
from converters.weights import Weights
from onnxgrid.transplant.adaptation import Slot, adapt
from onnxgrid.transplant.adaptation.folded import scaled
from onnxgrid.transplant.matching import rename_all
from onnxgrid.transplant.plan import Match, PairedBy, TargetParameter, TransplantPlan, Unused
from onnxgrid.transplant.rules import NO_RULES, TransplantRules
from onnxgrid.transplant.structure import MIN_CONFIDENCE, Pair
from onnxgrid.transplant.usage import ParameterUse, Uses

__all__ = ["NOTHING", "pair_weights"]

NOTHING: Mapping[str, Any] = MappingProxyType({})


def pair_weights(
    source: Weights,
    targets: Sequence[TargetParameter],
    rules: TransplantRules = NO_RULES,
    *,
    source_uses: Uses = NOTHING,
    target_uses: Uses = NOTHING,
    pairs: Mapping[str, Pair] = NOTHING,
    forced: Mapping[str, Pair] = NOTHING,
    expected_names: Mapping[str, str] = NOTHING,
) -> TransplantPlan:
    """What of `source` goes where in `targets`; nothing is read or changed.

    Args:
        pairs: by name of the target, what stands for those targets that the source has not by name.
        forced: the same for those that are paired by hand, whatever their names.
        expected_names: as of `TransplantPlan`.

    Raises:
        TransplantError: if the renames give two weights one name, or a glob matches nothing.
    """
    available = rename_all(source, rules.renames)
    rules.require_matches([*((t.layer, t.name) for t in targets), *((layer_of(name), name) for name in available)])
    selected = [target for target in targets if rules.selects(target.layer, target.name)]
    by_name = {target.name: Pair(available[target.name], 1.0) for target in selected if target.name in available}
    taken = {pair.source for pair in (*by_name.values(), *forced.values())}
    chosen = {**{name: pair for name, pair in pairs.items() if pair.source not in taken}, **by_name, **forced}
    lists: dict[str, list[Match]] = {"copied": [], "adapted": [], "shape_mismatch": [], "uncertain": []}
    for target in selected:
        if target.name in chosen:
            pair = chosen[target.name]
            match = _match(target, source, pair, source_uses.get(pair.source), target_uses.get(target.name), rules)
            how: PairedBy = "hand" if target.name in forced else "name" if target.name in by_name else "structure"
            match = replace(match, paired_by=how)
            kind = "uncertain" if match.confidence < MIN_CONFIDENCE and not rules.accept_uncertain else match.kind
            lists[kind].append(match)
    used = {match.source for matches in lists.values() for match in matches}
    return TransplantPlan(
        targets=tuple(targets),
        unmatched_in_source=tuple(
            Unused(name, _stored_name(source, name), renamed, source[name].shape)
            for renamed, name in available.items()
            if name not in used and rules.selects(layer_of(renamed), renamed)
        ),
        unmatched_in_target=tuple(target for target in selected if target.name not in chosen),
        excluded=tuple(target for target in targets if not rules.selects(target.layer, target.name)),
        expected_names=expected_names,
        **{name: tuple(matches) for name, matches in lists.items()},
    )


def _match(
    target: TargetParameter,
    source: Weights,
    pair: Pair,
    source_use: ParameterUse | None,
    target_use: ParameterUse | None,
    rules: TransplantRules,
) -> Match:
    shape = source[pair.source].shape
    before, after = Slot(pair.source, shape, source_use), Slot(target.name, target.shape, target_use)
    adaptation = adapt(before, after, rules.adapt)
    if adaptation is not None and (pair.factor, pair.constant) != (1, 0):
        adaptation = scaled(adaptation, shape, pair.factor, pair.constant)
    return Match(target, pair.source, _stored_name(source, pair.source), shape, adaptation, pair.confidence)


def _stored_name(source: Weights, name: str) -> str:
    return source[name].stored_name or name
