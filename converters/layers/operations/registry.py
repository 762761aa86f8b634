"""Which function converts which operation: a plain dict, filled by `@operation` where the functions stand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from converters.keys import Keys
from converters.layers.graph_builder import BATCH
from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments, OperationConfig, Parameters
from converters.layers.registry import Arity, LayerEntry, Result, giving_a_tuple
from converters.layers.tensor import Layout, Numbers, Shared, Tensor

__all__ = [
    "KERAS_PREFIX",
    "OPERATIONS",
    "RAW_PREFIX",
    "SIGNATURES",
    "TF_PREFIX",
    "Signature",
    "function_of",
    "needs_batch",
    "operation",
]

KERAS_PREFIX = "keras.ops."
TF_PREFIX = "tf."
RAW_PREFIX = "tf.raw_ops."
"""Of operations in a `TensorFlowOpLayer`."""

AnyFunction = Callable[[Arguments, LayerBuilder], Result]
Function = TypeVar("Function", bound=AnyFunction)

FUNCTIONS: dict[str, AnyFunction] = {}
"""Name -> what converts it. Filled by `@operation`."""

WITH_BATCH: set[str] = set()
"""Names of operations on tensors with a batch only. Filled by `@operation`."""

OPERATIONS: dict[str, LayerEntry] = {}
"""Name -> entry, of the same kind as a layer's. Filled by `@operation`."""


@dataclass(frozen=True)
class Signature:
    """What an operation is called first, which is what Keras 3 calls it, and its parameters in their order.

    Each parameter is given by all its names, that of Keras 3 first.
    """

    name: str
    parameters: Parameters


SIGNATURES: dict[str, Signature] = {}
"""Name -> signature. Filled by `@operation`."""


def operation(*names: str, parameters: str, needs_batch: bool = True) -> Callable[[Function], Function]:
    """A decorator that makes a function the converter of operations of these names.

    Args:
        parameters: their names, in the order of the arguments, separated by blanks; `x1|x` has two spellings.
        needs_batch: whether it is an operation on tensors with a batch only, and not also on `Shared` ones.

    Raises:
        ValueError: if a name has an owner already.
    """
    known = Parameters.parse(parameters)

    def register(function: Function) -> Function:
        def convert(config: OperationConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Result:
            arguments = Arguments(known, config, inputs, layer, needs_batch=needs_batch)
            result = function(arguments, layer)
            arguments.require_all_read()
            of_none = all(isinstance(x, Numbers | Shared) for x in inputs)
            return _without_batch(result, layer) if of_none else result

        for name in names:
            if name in OPERATIONS:
                raise ValueError(f"{name} is converted already")
            SIGNATURES[name] = Signature(names[0], known)
            FUNCTIONS[name] = function
            if needs_batch:
                WITH_BATCH.add(name)
            OPERATIONS[name] = LayerEntry(name, _reader(name), giving_a_tuple(convert), Arity.NAMED, takes_floats=False)
        return function

    return register


def _without_batch(result: Result, layer: LayerBuilder) -> Result:
    """What was computed of tensors without a batch: it has none itself, but where it was given the batch's size."""
    if isinstance(result, tuple):
        return tuple(_one_without_batch(part, layer) for part in result)
    return _one_without_batch(result, layer)


def _one_without_batch(x: Tensor, layer: LayerBuilder) -> Tensor:
    of_batch = isinstance(x, Numbers) or x.stored_shape[:1] == (BATCH,)
    return x if of_batch else Shared(layer.keras_order(x).value, Layout.KERAS)


def function_of(name: str) -> AnyFunction:
    """What converts an operation, to be registered under other names with other parameters."""
    return FUNCTIONS[name]


def needs_batch(name: str) -> bool:
    """Whether an operation computes with tensors with a batch only."""
    return name in WITH_BATCH


def _reader(name: str) -> Callable[[Keys], OperationConfig]:
    if name.startswith(KERAS_PREFIX):
        return OperationConfig.read_keras
    return OperationConfig.read_node if name.startswith(RAW_PREFIX) else OperationConfig.read_tensorflow
