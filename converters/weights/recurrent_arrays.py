"""What the shapes of a recurrent cell's arrays say of it: its class, where nothing else does, and the layout.

Keras 2's CuDNNLSTM and CuDNNGRU store their weights as NVIDIA's library wants them. Nothing in a file says it but the
bias, which is twice as long. Their weights become those of LSTM and GRU, as in Keras' own `load_weights`.

Source: tf_keras/src/saving/legacy/hdf5_format.py, `_convert_rnn_weights`.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from converters.weights.weight import Array, Weight

if TYPE_CHECKING:
    from converters.weights.keras_names import NamedVariable

__all__ = ["with_recurrent_classes", "without_cudnn_layout"]

GRU_GATES = 3

CLASSES = {1: "SimpleRNN", GRU_GATES: "GRU", 4: "LSTM"}
"""Number of gates -> class."""

_Cell = dict[str, Weight]
"""The arrays that lie in one part of a layer, by the last parts of their names."""


def with_recurrent_classes(variables: Sequence["NamedVariable"]) -> list["NamedVariable"]:
    """The variables, recurrent layers of one cell being of the class that shapes show, where nothing says theirs."""
    cells = _cells(variables)
    parts = defaultdict(list)
    for layer, part in cells:
        parts[layer].append(part)
    shown = {layer: CLASSES.get(_gates(cells[layer, own[0]]), "") for layer, own in parts.items() if len(own) == 1}
    return [v if v.class_name else replace(v, class_name=shown.get(v.layer, "")) for v in variables]


def without_cudnn_layout(variables: Sequence["NamedVariable"]) -> list["NamedVariable"]:
    """The variables, those of recurrent layers in the layout of LSTM and GRU."""
    cudnn = {key: _gates(cell) for key, cell in _cells(variables).items() if _is_cudnn(cell)}
    return [_standard(v, cudnn.get((v.layer, v.variable.rpartition("/")[0]), 0)) for v in variables]


def _cells(variables: Sequence["NamedVariable"]) -> dict[tuple[str, str], _Cell]:
    """By layer and part."""
    cells: dict[tuple[str, str], _Cell] = {}
    for v in variables:
        part, _slash, own = v.variable.rpartition("/")
        cells.setdefault((v.layer, part), {})[own] = v.weight
    return cells


def _gates(cell: _Cell) -> int:
    """How many gates a cell has; 0 for what is none."""
    kernel, recurrent = cell.get("kernel"), cell.get("recurrent_kernel")
    if kernel is None or recurrent is None or len(kernel.shape) != 2 or len(recurrent.shape) != 2:
        return 0
    units, width = recurrent.shape
    return width // units if units and width % units == 0 and kernel.shape[1] == width else 0


def _is_cudnn(cell: _Cell) -> bool:
    bias = cell.get("bias")
    return bias is not None and _gates(cell) > 1 and bias.shape == (2 * cell["recurrent_kernel"].shape[1],)


def _standard(variable: "NamedVariable", gates: int) -> "NamedVariable":
    own, stored = variable.variable.rpartition("/")[2], variable.weight
    shape, change = stored.shape, CHANGES.get(own)
    if not gates or change is None:
        return variable
    if own == "bias":
        shape = (2, shape[0] // 2) if gates == GRU_GATES else (shape[0] // 2,)
    return replace(variable, weight=replace(stored, shape=shape, read=lambda: change(stored.read(), gates)))


def _kernel(array: Array, gates: int) -> Array:
    """(in, gates * units); NVIDIA holds each gate's transposed, read as if it were not."""
    blocks = [block.T.reshape(block.shape, order="F") for block in np.split(array, gates, axis=1)]
    return np.concatenate(blocks, axis=1)


def _recurrent_kernel(array: Array, gates: int) -> Array:
    """(units, gates * units), each gate's transposed."""
    return np.concatenate([block.T for block in np.split(array, gates, axis=1)], axis=1)


def _bias(array: Array, gates: int) -> Array:
    """The sum of both biases, or for a GRU, which needs them apart, both: (2, gates * units)."""
    both = array.reshape(2, -1)
    return both if gates == GRU_GATES else both.sum(axis=0, dtype=array.dtype)


CHANGES: dict[str, Callable[[Array, int], Array]] = {
    "kernel": _kernel,
    "recurrent_kernel": _recurrent_kernel,
    "bias": _bias,
}
