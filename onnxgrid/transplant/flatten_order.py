"""Dense layers behind a Flatten of which only one end says in which order it has their inputs.

A state dict of torch fits into a network of Keras by names and shapes, and yet its inputs stand as (C, H, W) where
Keras has (H, W, C): copied as they are, the numbers are wrong.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from converters.roles import layer_of
from converters.weights.torch_content import load_content
from onnxgrid.checkpoint_format import FORMAT
from onnxgrid.errors import TransplantError
from onnxgrid.transplant.adaptation.kernels import is_kernel
from onnxgrid.transplant.adaptation.rule import Slot
from onnxgrid.transplant.moments import SUFFIXES
from onnxgrid.transplant.plan import TargetParameter, TransplantPlan
from onnxgrid.transplant.rules import CHANNELS_FIRST
from onnxgrid.transplant.sides import Side
from onnxgrid.transplant.usage import Flattened, Uses

__all__ = ["require_known_orders", "warn_of_unknown_orders"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Doubt:
    """A Dense whose inputs have an order in one end, and none that is known in the other.

    Args:
        known_layer: its name where the order is known.
        unknown_layer: its name in the other end.
        order: that is known.
        of_source: whether the source is the other end.
    """

    known_layer: str
    unknown_layer: str
    order: Flattened
    of_source: bool

    @property
    def axes(self) -> str:
        """The order, as `(H, W, C)`."""
        letters = "DHW"[-len(self.order.spatial) :] if len(self.order.spatial) <= len("DHW") else "..."
        listed = [*letters, "C"] if self.order.channels_last else ["C", *letters]
        return f"({', '.join(listed)})"

    @property
    def other_sizes(self) -> str:
        """What to give as sizes of the other end if it has the other order."""
        spatial, channels = self.order.spatial, self.order.channels
        sizes, prefix = (
            ((channels, *spatial), CHANNELS_FIRST) if self.order.channels_last else ((*spatial, channels), "")
        )
        return f"{self.unknown_layer}={prefix}{','.join(map(str, sizes))}"


def _doubts(plan: TransplantPlan, source_uses: Uses, target_uses: Uses) -> Iterator[_Doubt]:
    for match in plan.carried:
        uses = source_uses.get(match.source), target_uses.get(match.target.name)
        old, new = (None if use is None else use.flattened for use in uses)
        known = old or new
        if known is None or (old is not None and new is not None) or len(match.target.shape) != 2:
            continue
        if known.channels > 1 and known.size > known.channels:  # else both orders are the same
            layers = layer_of(match.source), match.target.layer
            yield _Doubt(*(layers[::-1] if old is None else layers), known, of_source=old is None)


def require_known_orders(
    plan: TransplantPlan,
    source: tuple[Side, Uses],
    target: tuple[Side, Uses],
    stated: Mapping[str, Mapping[str, Flattened]],
) -> None:
    """Nothing, if what is stated of one end can be brought into the order of the other.

    Args:
        stated: the sizes that were given, by "source" and "target", by layer.

    Raises:
        TransplantError: if the other end does not say its order.
    """
    for doubt in _doubts(plan, source[1], target[1]):
        known, unknown = ("target", "source") if doubt.of_source else ("source", "target")
        if doubt.known_layer in stated[known]:
            side = source[0] if doubt.of_source else target[0]
            raise TransplantError(
                f"does not say in which order it has the inputs of '{doubt.unknown_layer}', so that the {known}'s "
                f"{doubt.order.shape} cannot be brought into it",
                place=side.place,
                fix=f"Give --{unknown}-graph MODEL.onnx, or --{unknown}-sizes for '{doubt.unknown_layer}': H,W,C if "
                f"Keras wrote it, {CHANNELS_FIRST}C,H,W if torch did.",
            )


def warn_of_unknown_orders(plan: TransplantPlan, source: tuple[Side, Uses], target: tuple[Side, Uses]) -> None:
    """Log the layers whose inputs one end has in an order that the other does not say, nor has by what wrote it; and
    those of which neither end says anything.
    """
    doubts = list(_doubts(plan, source[1], target[1]))
    for of_source in (True, False):
        unknown, known = (source[0], target[0]) if of_source else (target[0], source[0])
        found = [doubt for doubt in doubts if doubt.of_source is of_source and not _is_so(unknown, doubt.order)]
        if not found or _is_own_checkpoint(unknown):
            continue
        which, author = "source" if of_source else "target", "torch" if found[0].order.channels_last else "Keras"
        options = " ".join(f"--{which}-sizes {doubt.other_sizes}" for doubt in found)
        logger.warning(
            "%s: the inputs of %s stand behind a Flatten, in the order %s; %s does not say its order, and they are "
            "copied as they are: transplant with --%s-graph MODEL.onnx, or %s if %s wrote it",
            known.place,
            ", ".join(f"'{doubt.known_layer}'" for doubt in found),
            found[0].axes,
            unknown.place,
            which,
            options,
            author,
        )
    _warn_of_silence(plan, source, target)


def _warn_of_silence(plan: TransplantPlan, source: tuple[Side, Uses], target: tuple[Side, Uses]) -> None:
    """Log what may stand behind a Flatten, where one end alone is a file of Keras, and neither knows its network."""
    sides = source[0], target[0]
    if any(side.graph is not None for side in sides) or source[0].is_file_of_keras == target[0].is_file_of_keras:
        return
    unstated = [match for match in plan.carried if match.source not in source[1] or match.target.name not in target[1]]
    flattening = _may_be_flattened(plan)
    layers = [match.target.layer for match in unstated if match.target in flattening]
    if layers and not any(_is_own_checkpoint(side) for side in sides):
        logger.warning(
            "neither %s nor %s says its network: if %s %s behind a Flatten, Keras has the inputs as (H, W, C), and "
            "torch as (C, H, W); they are copied as they are: transplant with --source-graph and --target-graph, or "
            "with --source-sizes and --target-sizes (%s=H,W,C of Keras, %s=%sC,H,W of torch)",
            source[0].place,
            target[0].place,
            ", ".join(f"'{layer}'" for layer in layers),
            "stands" if len(layers) == 1 else "stand",
            layers[0],
            layers[0],
            CHANNELS_FIRST,
        )


def _may_be_flattened(plan: TransplantPlan) -> set[TargetParameter]:
    """Weights of a Dense that have several inputs for each channel of a convolution, and as many as no layer gives."""
    shapes = [parameter.shape for parameter in plan.targets]
    given = {shape[0] for shape in shapes if shape}
    channels = {p.shape[0] for p in plan.targets if is_kernel(Slot(p.name, p.shape)) and p.shape[0] > 1}
    return {
        parameter
        for parameter in plan.targets
        if len(parameter.shape) == 2
        and parameter.shape[1] not in given
        and any(parameter.shape[1] % count == 0 for count in channels)
    }


def _is_so(side: Side, order: Flattened) -> bool:
    """Whether what wrote a file without a graph has this order always."""
    return side.is_file_of_keras and order.channels_last


def _is_own_checkpoint(side: Side) -> bool:
    """Whether `onnxgrid train` wrote it, for the network that it is now used with."""
    if side.path is None or side.path.suffix.lower() not in SUFFIXES:
        return False
    content = load_content(side.path).content
    return isinstance(content, dict) and content.get("format") == FORMAT
