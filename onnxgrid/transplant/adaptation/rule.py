"""What a rule of adaptation is: from names and shapes, it says how an array of one shape becomes one of another.

Nothing here reads values: a rule gives a `Step`, whose function is called when the array is copied.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from converters.weights import Weight
from onnxgrid.transplant.usage import Flattened, ParameterUse

__all__ = [
    "RULES",
    "Adaptation",
    "Array",
    "ReadTarget",
    "Slot",
    "Step",
    "adaptation_rule",
]

Array = np.ndarray[Any, np.dtype[Any]]

ReadTarget = Callable[[], Array]
"""Gives the values that the target has so far."""


@dataclass(frozen=True)
class Slot:
    """An array as a rule sees it: name, shape in ONNX axis order, and how the graph uses it, where a graph says."""

    name: str
    shape: tuple[int, ...]
    use: ParameterUse | None = None

    @property
    def input_axis(self) -> int:
        """Where the weight of a Dense has its inputs; (out, in) unless the graph says otherwise."""
        return 0 if self.use is not None and self.use.transposed else 1

    @property
    def flattened(self) -> Flattened | None:
        """What the input axis of a Dense was before a Flatten, if that is known and fits."""
        found = None if self.use is None else self.use.flattened
        return (
            found if found is not None and len(self.shape) == 2 and found.size == self.shape[self.input_axis] else None
        )

    @property
    def parts(self) -> tuple[int, ...] | None:
        """How many channels each part has that a Concat put together, if the graph tells (`ParameterUse.parts`)."""
        return None if self.use is None else self.use.parts

    def after(self, step: "Step") -> "Slot":
        """The array that a step makes of it."""
        if step.flattened is None or self.use is None:
            return replace(self, shape=step.shape)
        return replace(self, shape=step.shape, use=replace(self.use, flattened=step.flattened))


@dataclass(frozen=True)
class Step:
    """What one rule does to an array.

    Args:
        rule: the rule's name.
        shape: of the array afterwards.
        detail: from what to what, for reports.
        change: of the values, and of what the target has so far; gives an array of that shape in the type it is given.
        fills: whether it takes values of the target: then all other steps come first, so that the shapes agree.
        flattened: what the input axis of a Dense then was before the Flatten, if the step changes that.
    """

    rule: str
    shape: tuple[int, ...]
    detail: str
    change: Callable[[Array, ReadTarget], Array] = field(compare=False)
    fills: bool = False
    flattened: Flattened | None = None


Rule = Callable[[Slot, Slot], Step | None]

RULES: dict[str, Rule] = {}
"""Name -> rule: of an array as it is now and the array that it is to become; None where the rule has nothing to do.
Filled by `@adaptation_rule`."""


def adaptation_rule(name: str) -> Callable[[Rule], Rule]:
    """A decorator that makes a function the rule of this name; a name has one owner."""

    def register(rule: Rule) -> Rule:
        if name in RULES:
            raise ValueError(f"rule '{name}' is {RULES[name].__module__}'s already")
        RULES[name] = rule
        return rule

    return register


@dataclass(frozen=True)
class Adaptation:
    """The steps that make an array of the source one of the target."""

    steps: tuple[Step, ...]

    @property
    def detail(self) -> str:
        """The rules, and what each did, as `center: kernel (3, 3) -> (5, 5)`."""
        return "; ".join(f"{step.rule}: {step.detail}" for step in self.steps)

    def apply(self, values: Array, read_target: ReadTarget) -> Array:
        """The values in the target's shape, in the type they are given in.

        Args:
            read_target: called by the rules that fill up with what the target has.
        """
        for step in sorted(self.steps, key=lambda step: step.fills):
            values = step.change(values, read_target)
        return values

    def weight(self, source: Weight, read_target: ReadTarget) -> Weight:
        """What the steps make of a weight of the source: float32, or float64 if it is that; itself, without steps."""
        if not self.steps:
            return source
        calculated = np.dtype(np.float64 if source.dtype == np.float64 else np.float32)

        def read() -> Array:
            return self.apply(source.values(calculated), lambda: read_target().astype(calculated))

        return replace(source, shape=self.steps[-1].shape, dtype=calculated, read=read)
