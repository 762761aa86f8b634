"""What our parameters of a Keras layer are called and hold, told from Keras alone.

Layers that hold others are taken apart here by hand, array by array, so that nothing of the code under test is used.
"""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers as kl

from converters import axes

Arrays = Iterator[tuple[str, np.ndarray]]

NAMES = {
    "alpha": "weight",
    "depthwise_kernel": "depthwise.weight",
    "embeddings": "weight",
    "mean": "running_mean",
    "pointwise_kernel": "pointwise.weight",
    "scale": "weight",
    "variable": "weight",
    "variance": "running_var",
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
"""Keras' name of a variable -> ours."""

NOT_CONVERTED = frozenset({"count", "seed_generator_state"})
"""Variables of Keras that no output depends on."""


def parameters(layer: kl.Layer, name: str) -> Arrays:
    """The parameters of a layer that we call so, by name, as they lie in ONNX; a model's by its layers."""
    match layer:
        case keras.Model():
            for inner in layer.layers:
                yield from parameters(inner, f"{name}.{inner.name}" if name else inner.name)
        case kl.TimeDistributed():
            yield from parameters(layer.layer, name)
        case kl.Bidirectional():
            yield from parameters(layer.forward_layer, f"{name}.forward")
            yield from parameters(layer.backward_layer, f"{name}.backward")
        case kl.RNN() if isinstance(layer.cell, kl.StackedRNNCells):
            for number, cell in enumerate(layer.cell.cells):
                yield from _cell(cell, f"{name}.{number}")
        case kl.RNN():
            yield from _cell(layer.cell, name)
        case kl.MultiHeadAttention() | kl.GroupQueryAttention():
            yield from _heads(layer, name)
        case kl.Attention():  # AdditiveAttention is one
            for variable in layer.weights:
                yield f"{name}.{variable.name}", np.atleast_1d(array(variable))
        case kl.EinsumDense():
            for variable in layer.weights:
                yield f"{name}.{NAMES[variable.name]}", array(variable)
        case _:
            yield from _plain(layer, name)


def array(variable: keras.Variable) -> np.ndarray:
    return np.asarray(variable.value.detach())


def _plain(layer: kl.Layer, name: str) -> Arrays:
    for variable in layer.weights:
        if variable.name not in NOT_CONVERTED:
            # LayerScale of keras.applications gives its only variable no name.
            own = "weight" if variable.name.startswith("variable") else NAMES[variable.name]
            yield f"{name}.{own}", axis_order(layer, variable).to_onnx(array(variable))


def axis_order(layer: kl.Layer, variable: keras.Variable) -> axes.AxisOrder:
    """The axis order of a weight of a Keras layer."""
    rank = len(variable.shape)
    if "DepthwiseConv" in type(layer).__name__ and rank > 1:
        return axes.depthwise_kernel(rank - 2)
    match variable.name:
        case "kernel" if rank == 2:
            return axes.DENSE_KERNEL
        case "kernel" | "pointwise_kernel":
            return axes.convolution_kernel(rank - 2)
        case "depthwise_kernel":
            return axes.depthwise_kernel(rank - 2)
        case "alpha" | "gamma" | "beta" | "scale" | "mean" | "variance":  # its axes stand as those of a sample do
            return axes.AxisOrder((rank - 1, *range(rank - 1)))
    return axes.unchanged(rank)


def _cell(cell: Any, name: str) -> Arrays:
    """(1, gates * units, in), (1, gates * units, units) and (1, gates * units), the gates in ONNX' order."""
    kernel, recurrent = array(cell.kernel), array(cell.recurrent_kernel)
    yield f"{name}.weight_ih", _gates(kernel, cell).T[np.newaxis]
    yield f"{name}.weight_hh", _gates(recurrent, cell).T[np.newaxis]
    if cell.bias is not None:
        rows = np.atleast_2d(array(cell.bias))  # two of them where the reset gate acts behind the product
        yield f"{name}.bias", np.concatenate([_gates(row, cell) for row in rows])[np.newaxis]


def _gates(last_axis: np.ndarray, cell: Any) -> np.ndarray:
    """Keras' gates of an LSTM, input, forget, cell, output, as ONNX' input, output, forget, cell."""
    if not isinstance(cell, kl.LSTMCell):
        return last_axis
    i, f, c, o = np.split(last_axis, 4, axis=-1)
    return np.concatenate([i, o, f, c], axis=-1)


def _heads(layer: Any, name: str) -> Arrays:
    """(heads * size, in) and (heads * size,) of each projection, and (out, heads * size) of the last."""
    for part in ("query", "key", "gate", "value"):
        dense = getattr(layer, f"_{part}_dense", None)
        if dense is not None:
            kernel = array(dense.kernel)
            yield f"{name}.{part}.weight", kernel.reshape(len(kernel), -1).T
            if dense.bias is not None:
                yield f"{name}.{part}.bias", array(dense.bias).ravel()
    kernel = array(layer._output_dense.kernel)
    yield f"{name}.output.weight", kernel.reshape(kernel.shape[0] * kernel.shape[1], -1).T
    if layer._output_dense.bias is not None:
        yield f"{name}.output.bias", array(layer._output_dense.bias).ravel()
