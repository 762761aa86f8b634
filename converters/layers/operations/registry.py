"""Which function converts which operation: a plain dict, filled by `@operation` where the functions stand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments, OperationConfig, Parameters
from converters.layers.registry import Arity, LayerEntry, Result, giving_a_tuple
from converters.layers.tensor import Tensor

__all__ = ["KERAS_PREFIX", "OPERATIONS", "SIGNATURES", "TF_PREFIX", "Signature", "operation"]

KERAS_PREFIX = "keras.ops."
TF_PREFIX = "tf."

Function = TypeVar("Function", bound=Callable[[Arguments, LayerBuilder], Result])

OPERATIONS: dict[str, LayerEntry] = {}
"""Name -> entry, of the same kind as a layer's. Filled by `@operation`."""


@dataclass(frozen=True)
class Signature:
    """What an operation is called first, which is what Keras 3 calls it, and its parameters in their order.

    Each parameter is given by all its names, that of Keras 3 first.
    """

    name: str
    parameters: tuple[tuple[str, ...], ...]


SIGNATURES: dict[str, Signature] = {}
"""Name -> signature. Filled by `@operation`."""


def operation(*names: str, parameters: str) -> Callable[[Function], Function]:
    """A decorator that makes a function the converter of operations of these names.

    Args:
        parameters: their names, in the order of the arguments, separated by blanks; `x1|x` has two spellings.

    Raises:
        ValueError: if a name has an owner already.
    """
    known = Parameters.parse(parameters)

    def register(function: Function) -> Function:
        def convert(config: OperationConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Result:
            arguments = Arguments(known, config, inputs, layer)
            result = function(arguments, layer)
            arguments.require_all_read()
            return result

        for name in names:
            if name in OPERATIONS:
                raise ValueError(f"{name} is converted already")
            SIGNATURES[name] = Signature(names[0], known.spellings)
            read = OperationConfig.read_keras if name.startswith(KERAS_PREFIX) else OperationConfig.read_tensorflow
            OPERATIONS[name] = LayerEntry(name, read, giving_a_tuple(convert), Arity.NAMED, takes_floats=False)
        return function

    return register
