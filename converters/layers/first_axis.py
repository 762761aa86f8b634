"""Layers on tensors without a batch, such as a table's rows for the places of a sequence.

Keras takes the first axis of whatever a layer is called on for the batch, and a layer computes each entry of that by
itself. So what has no batch is given as it is; what comes of it has none either. Beside tensors with a batch, it must
be one that Keras repeats for all samples: its first size is 1.
"""

from collections.abc import Sequence

from converters.layers.registry import Arity, LayerEntry
from converters.layers.tensor import Layout, Numbers, Shared, Tensor

__all__ = ["has_no_batch", "with_first_axis"]

REPEATING = frozenset({"Add", "Average", "Maximum", "Minimum", "MultiHeadAttention", "Multiply", "Subtract"})
"""Classes of layers that repeat axes of size 1: all inputs of merges, and the mask of attention."""


def has_no_batch(inputs: Sequence[Tensor]) -> bool:
    """Whether nothing that a call is given has one."""
    return bool(inputs) and all(isinstance(x, Numbers | Shared) for x in inputs)


def with_first_axis(inputs: Sequence[Tensor], entry: LayerEntry) -> list[Tensor]:
    """The inputs of a call, those without a batch with their first axis in its place, where the layer can take them.

    Recurrent layers and attention cannot be called on such alone: they are not converted for a first axis of any size.
    """
    alone = has_no_batch(inputs)
    return [_with_first_axis(x, entry, alone=alone) if isinstance(x, Numbers | Shared) else x for x in inputs]


def _with_first_axis(x: Tensor, entry: LayerEntry, *, alone: bool) -> Tensor:
    vector = not isinstance(x, Numbers) or not x.scalar
    repeated = entry.class_name in REPEATING and vector and x.stored_shape[:1] == (1,)
    taken = vector and x.rank > 0 and entry.arity is not Arity.NAMED if alone else repeated
    return Tensor(x.value, Layout.KERAS) if taken else x
