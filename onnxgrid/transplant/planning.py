"""From two ends and the rules to a plan: asks the graphs, where there are any, what names and shapes do not tell."""

import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from converters.roles import layer_of
from converters.weights import Weights
from onnxgrid.errors import TransplantError
from onnxgrid.transplant.flatten_order import require_known_orders, warn_of_unknown_orders
from onnxgrid.transplant.matching import Rename, common_prefix, rename_all
from onnxgrid.transplant.pairing import NOTHING, pair_weights
from onnxgrid.transplant.plan import TargetParameter, TransplantPlan
from onnxgrid.transplant.rule_warnings import warn_of_rules
from onnxgrid.transplant.rules import MatchBy, TransplantRules
from onnxgrid.transplant.sides import Side, with_graphs
from onnxgrid.transplant.structure import Pair, pair_by_structure
from onnxgrid.transplant.usage import Flattened, ParameterUse, Uses, parameter_uses

__all__ = ["plan_between"]

logger = logging.getLogger(__name__)


def plan_between(
    source: Weights,
    source_side: Side,
    targets: Sequence[TargetParameter],
    target_side: Side,
    rules: TransplantRules,
    expected_names: Mapping[str, str],
    *,
    forced: Mapping[str, Pair] = NOTHING,
) -> TransplantPlan:
    """What of the source goes where in the targets by these rules; no values are read.

    Args:
        expected_names: as of `TransplantPlan`.
        forced: by name of the target, what is paired by hand.

    Raises:
        TransplantError: if the rules do not fit these names, or ask for a graph that is not known.
    """
    source_side, target_side = with_graphs(source_side, target_side, rules)
    pairs: Mapping[str, Pair] = {}
    if rules.match is MatchBy.STRUCTURE:
        pairs = _pairs(source, source_side, target_side)
    # Where nothing is to be adapted, and one graph is alone with what Keras wrote, it has nothing to say.
    told = source_side.graph is not None and target_side.graph is not None
    asked = rules.asks_for_sizes or told or not (source_side.is_of_keras and target_side.is_of_keras)
    shapes = {name: weight.shape for name, weight in source.items()}
    wanted = {target.name: target.shape for target in targets}
    source_uses = _uses(source_side, shapes, rules.source_sizes, rules, asked=asked)
    target_uses = _uses(target_side, wanted, rules.target_sizes, rules, asked=asked)
    rules = _without_prefix(source, source_side, wanted, target_side, rules)
    plan = pair_weights(
        source,
        targets,
        rules,
        source_uses=source_uses,
        target_uses=target_uses,
        pairs=pairs,
        forced=forced,
        expected_names=expected_names,
    )
    sides = (source_side, source_uses), (target_side, target_uses)
    require_known_orders(plan, *sides, {"source": rules.source_sizes, "target": rules.target_sizes})
    warn_of_unknown_orders(plan, *sides)
    warn_of_rules(plan, *sides, rules)
    return plan


def _without_prefix(
    source: Weights, source_side: Side, wanted: Collection[str], target_side: Side, rules: TransplantRules
) -> TransplantRules:
    """The rules; where no name of the source is one of the target's but for one prefix, those that take it off too."""
    prefix = common_prefix(list(rename_all(source, rules.renames)), wanted)
    if not prefix:
        return rules
    rename = Rename(re.compile(f"^{re.escape(prefix)}"), "")
    logger.warning(
        "%s: all names begin with '%s', and those of %s do not: it was taken off, as by --map '%s'",
        source_side.place,
        prefix,
        target_side.place,
        rename,
    )
    return replace(rules, renames=(*rules.renames, rename))


def _pairs(source: Weights, source_side: Side, target_side: Side) -> dict[str, Pair]:
    for what, side in (("source", source_side), ("target", target_side)):
        if side.graph is None:
            raise TransplantError(
                f"is a weight file, and layers are matched by their places in a graph, which the {what} lacks",
                place=side.place,
                fix=f"Give the model that its weights are of (--{what}-graph MODEL.onnx).",
            )
    assert source_side.graph is not None
    assert target_side.graph is not None
    pairs = pair_by_structure(source_side.graph, target_side.graph)
    return {name: pair for name, pair in pairs.items() if pair.source in source}


def _uses(
    side: Side,
    shapes: Mapping[str, tuple[int, ...]],
    sizes: Mapping[str, Flattened],
    rules: TransplantRules,
    *,
    asked: bool,
) -> Uses:
    parts = "slice-pad" in rules.adapt
    uses = parameter_uses(side.graph, parts=parts) if side.graph is not None and asked else {}
    for layer, flattened in sizes.items():
        name = _dense_weight(layer, shapes, side.place)
        use = uses.get(name, ParameterUse("Gemm", 1))
        axis = 0 if use.transposed else 1
        if flattened.size != shapes[name][axis]:
            raise TransplantError(
                f"the sizes {flattened.shape} of '{layer}' make {flattened.size} inputs, "
                f"and '{name}' has {shapes[name][axis]}",
                place=side.place,
                fix="Give the sizes of what goes into the Flatten before it.",
            )
        uses[name] = replace(use, flattened=flattened)
    return uses


def _dense_weight(layer: str, shapes: Mapping[str, tuple[int, ...]], place: str) -> str:
    for name, shape in shapes.items():
        if layer_of(name) == layer and len(shape) == 2:
            return name
    raise TransplantError(
        f"sizes are given of '{layer}', and it holds no weight with two axes of that layer",
        place=place,
        fix="Give the name of a Dense, as `onnxgrid inspect` shows it.",
    )
