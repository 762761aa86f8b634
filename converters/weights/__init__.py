"""Named arrays in and out of files, one module a format; a weight always has the ONNX/torch name and axis order.

`read_weights` gives names, shapes and types at once and the values when they are asked for; `write_weights` reads them
as it writes; `rewrite_weights` leaves all else in a file as it is.
"""

from converters.weights import keras, numpy, onnx, onnx_file, safetensors, torch
from converters.weights.keras_names import NetworkLayer, network_layers
from converters.weights.registry import (
    READERS,
    WRITERS,
    Writing,
    files_of,
    is_rewritten_as,
    is_written_by_network,
    read_weights,
    reads,
    rewrite_weights,
    write_weights,
    writes,
)
from converters.weights.weight import Weight, Weights, cast_weights, without_counters

__all__ = [
    "READERS",
    "WRITERS",
    "NetworkLayer",
    "Weight",
    "Weights",
    "Writing",
    "cast_weights",
    "files_of",
    "is_rewritten_as",
    "is_written_by_network",
    "keras",
    "network_layers",
    "numpy",
    "onnx",
    "onnx_file",
    "read_weights",
    "reads",
    "rewrite_weights",
    "safetensors",
    "torch",
    "without_counters",
    "write_weights",
    "writes",
]
