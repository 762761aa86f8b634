"""Which function converts which layer class: a plain dict, filled by `@converts` where the functions stand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import wraps
from typing import Any, TypeVar

from converters.keys import Keys
from converters.layers.layer_builder import LayerBuilder
from converters.layers.tensor import Tensor

__all__ = ["LAYERS", "Arity", "LayerEntry", "Result", "converts", "find_layer", "giving_a_tuple"]

Config = TypeVar("Config")
Result = Tensor | tuple[Tensor, ...]
"""What a call gives: one tensor, or as many as it has outputs."""

Converter = Callable[[Config, Sequence[Tensor], LayerBuilder], Result]


class Arity(Enum):
    """How many tensors a call of a layer takes."""

    NONE = "no input"
    ONE = "one input"
    TWO = "two inputs"
    MANY = "one input or more"
    NAMED = "at least one input"
    """As many as its arguments hold; which is which, the call says."""

    def accepts(self, count: int) -> bool:
        return count == EXACTLY[self] if self in EXACTLY else count >= 1


EXACTLY = {Arity.NONE: 0, Arity.ONE: 1, Arity.TWO: 2}


@dataclass(frozen=True)
class LayerEntry:
    """A layer class that can be converted: `read_config` checks its JSON, `convert` builds one call.

    `class_name` is Keras' own name, also in the entry of an alias; `takes_floats` says that its inputs must be floats,
    so that what a comparison or a search gave is cast before.
    """

    class_name: str
    read_config: Callable[[Keys], Any]
    convert: Callable[[Any, Sequence[Tensor], LayerBuilder], tuple[Tensor, ...]]
    arity: Arity
    takes_floats: bool = True


LAYERS: dict[str, LayerEntry] = {}
"""Class name -> entry. Filled by `@converts`."""


def converts(
    *class_names: str, config: Callable[[Keys], Config], arity: Arity = Arity.ONE
) -> Callable[[Converter[Config]], Converter[Config]]:
    """A decorator that makes a function the converter of a class, named first, and of its aliases.

    Raises:
        ValueError: if a name has an owner already.
    """

    def register(function: Converter[Config]) -> Converter[Config]:
        for class_name in class_names:
            if class_name in LAYERS:
                owner = LAYERS[class_name].convert
                raise ValueError(f"{class_name} is converted by {owner.__module__}.{owner.__name__} already")
            LAYERS[class_name] = LayerEntry(class_names[0], config, giving_a_tuple(function), arity)
        return function

    return register


def giving_a_tuple(
    function: Converter[Config],
) -> Callable[[Config, Sequence[Tensor], LayerBuilder], tuple[Tensor, ...]]:
    """The function, giving a tuple also where it gives one tensor."""

    @wraps(function)
    def convert(config: Config, inputs: Sequence[Tensor], layer: LayerBuilder) -> tuple[Tensor, ...]:
        result = function(config, inputs, layer)
        return result if isinstance(result, tuple) else (result,)

    return convert


def find_layer(class_name: str) -> LayerEntry | None:
    """The entry of a class, which may be written `Package>Name`; None if there is none."""
    return LAYERS.get(class_name.rpartition(">")[2])
