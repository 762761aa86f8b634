"""Named arrays in and out of files, one module a format; a weight always has the ONNX/torch name and axis order.

`read_weights` gives names, shapes and types at once and the values when they are asked for.
"""

from converters.weights import keras, numpy, onnx, safetensors, torch
from converters.weights.keras_names import NetworkLayer, network_layers
from converters.weights.registry import (
    READERS,
    WRITERS,
    is_written_by_network,
    read_weights,
    reads,
    write_weights,
    writes,
)
from converters.weights.weight import Weight, Weights

__all__ = [
    "READERS",
    "WRITERS",
    "NetworkLayer",
    "Weight",
    "Weights",
    "is_written_by_network",
    "keras",
    "network_layers",
    "numpy",
    "onnx",
    "read_weights",
    "reads",
    "safetensors",
    "torch",
    "write_weights",
    "writes",
]
