"""What rules of adaptation did not do, or not as it may have been meant, for what they were not told: logged."""

import logging

from converters.roles import layer_of
from onnxgrid.transplant.adaptation.kernels import is_kernel
from onnxgrid.transplant.adaptation.rule import Slot
from onnxgrid.transplant.plan import TransplantPlan
from onnxgrid.transplant.rules import TransplantRules
from onnxgrid.transplant.sides import Side
from onnxgrid.transplant.usage import Uses

__all__ = ["warn_of_rules"]

logger = logging.getLogger(__name__)


def warn_of_rules(
    plan: TransplantPlan, source: tuple[Side, Uses], target: tuple[Side, Uses], rules: TransplantRules
) -> None:
    """Log what the rules that were asked for needed to know, and what they cannot do."""
    if "dense-resample" in rules.adapt:
        _warn_of_unknown_sizes(plan, source, target)
    if "slice-pad" in rules.adapt:
        _warn_of_unknown_parts(plan, source, target)
    if "galerkin" in rules.adapt:
        _warn_of_other_kernels(plan, target[0].place)


def _warn_of_unknown_sizes(plan: TransplantPlan, source: tuple[Side, Uses], target: tuple[Side, Uses]) -> None:
    for match in plan.shape_mismatch:
        shapes = match.source_shape, match.target.shape
        names, layers = (match.source, match.target.name), (layer_of(match.source), match.target.layer)
        known = [
            name in uses and uses[name].flattened is not None
            for (_side, uses), name in ((source, names[0]), (target, names[1]))
        ]
        if any(len(shape) != 2 for shape in shapes) or all(known):
            continue
        if any(known):
            index = known.index(False)
            which, side = (("source", source[0]), ("target", target[0]))[index]
            logger.warning(
                "%s: dense-resample needs to know what the input of '%s' was before the Flatten: "
                "give --%s-graph MODEL.onnx, or --%s-sizes %s=H,W,C",
                side.place,
                names[index],
                which,
                which,
                layers[index],
            )
        elif source[0].graph is None and target[0].graph is None and shapes[0][1] != shapes[1][1]:
            logger.warning(
                "%s and %s do not say what the input of '%s' was: if it stands behind a Flatten, dense-resample needs "
                "--source-graph and --target-graph, or --source-sizes %s=H,W,C and --target-sizes %s=H,W,C",
                source[0].place,
                target[0].place,
                names[1],
                *layers,
            )


def _warn_of_unknown_parts(plan: TransplantPlan, source: tuple[Side, Uses], target: tuple[Side, Uses]) -> None:
    """Log what stands behind a Concat in one end, and behind none, or one of other inputs, in the other."""
    for match in (*plan.adapted, *plan.shape_mismatch):
        uses = source[1].get(match.source), target[1].get(match.target.name)
        old, new = (None if use is None else use.parts for use in uses)
        if len(old or new or ()) < 2 or match.source_shape == match.target.shape:
            continue
        if old is None or new is None:
            which, unknown, known = (
                ("source", source[0], target[0]) if old is None else ("target", target[0], source[0])
            )
            logger.warning(
                "%s: '%s' stands behind a Concat of channels %s; %s does not say its parts, and slice-pad takes the "
                "first channels of the whole%s",
                known.place,
                match.target.name if old is None else match.source,
                old or new,
                unknown.place,
                "" if unknown.graph is not None else f": give --{which}-graph MODEL.onnx",
            )
        elif len(old) != len(new):
            logger.warning(
                "%s: '%s' is not sliced: the channels before it are of %d parts in the source and of %d in the target",
                target[0].place,
                match.target.name,
                len(old),
                len(new),
            )


def _warn_of_other_kernels(plan: TransplantPlan, place: str) -> None:
    kernels = [
        match.target
        for match in plan.copied
        if is_kernel(Slot(match.target.name, match.target.shape)) and max(match.target.shape[2:]) > 1
    ]
    if kernels:
        listed = ", ".join(f"{target.name} {target.shape[2:]}" for target in kernels)
        logger.warning("%s: galerkin cannot rescale these kernels, which are copied as they are: %s", place, listed)
