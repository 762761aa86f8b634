"""Which function converts which operation: a plain dict, filled by `@operation` where the functions stand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments, OperationConfig
from converters.layers.registry import Arity, LayerEntry, Result, giving_a_tuple
from converters.layers.tensor import Tensor

__all__ = ["KERAS_PREFIX", "OPERATIONS", "SIGNATURES", "TF_PREFIX", "Signature", "operation"]

KERAS_PREFIX = "keras.ops."
TF_PREFIX = "tf."

Function = Callable[[Arguments, LayerBuilder], Result]

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
        parameters: their names, in the order of the arguments, separated by blanks.

    Raises:
        ValueError: if a name has an owner already.
    """

    def register(function: Function) -> Function:
        def convert(config: OperationConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Result:
            return function(Arguments(parameters.split(), config, inputs, layer), layer)

        for name in names:
            if name in OPERATIONS:
                raise ValueError(f"{name} is converted already")
            SIGNATURES[name] = Signature(names[0], tuple(tuple(spelled.split("|")) for spelled in parameters.split()))
            OPERATIONS[name] = LayerEntry(name, OperationConfig.read, giving_a_tuple(convert), Arity.MANY)
        return function

    return register
