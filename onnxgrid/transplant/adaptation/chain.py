"""Rules one after the other, until an array has the shape that is wanted."""

from collections.abc import Sequence

from onnxgrid.errors import TransplantError
from onnxgrid.transplant.adaptation.axis_order import in_order_of
from onnxgrid.transplant.adaptation.rule import RULES, Adaptation, Slot, Step

__all__ = ["adapt", "require_rules"]


def require_rules(names: Sequence[str]) -> None:
    """Nothing, if all of these are rules, each named once.

    Raises:
        TransplantError: else.
    """
    for index, name in enumerate(names):
        if name not in RULES:
            raise TransplantError(
                "there is no such rule", place=f"adaptation '{name}'", fix=f"Use one of: {', '.join(sorted(RULES))}."
            )
        if name in names[:index]:
            raise TransplantError("is asked for twice", place=f"adaptation '{name}'", fix="Name each rule once.")


def adapt(source: Slot, target: Slot, names: Sequence[str] = ()) -> Adaptation | None:
    """The steps that give the source the target's shape and order: none if it has them; None if the rules do not do it.

    The first rule that has something to do goes first, each at most once, until none has. A rule may change an array
    whose shape is right already.
    """
    ordering, now = in_order_of(source, target)
    steps, waiting = [*ordering], list(names)
    while (found := _first(now, target, waiting)) is not None:
        name, step = found
        waiting.remove(name)
        steps.append(step)
        now = now.after(step)
    return Adaptation(tuple(steps)) if now.shape == target.shape else None


def _first(now: Slot, target: Slot, names: Sequence[str]) -> tuple[str, Step] | None:
    for name in names:
        step = RULES[name](now, target)
        if step is not None:
            return name, step
    return None
