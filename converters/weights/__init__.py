"""Named arrays in and out of files, one module a format; a weight always has the ONNX/torch name and axis order.

`read_weights` gives names, shapes and types at once and the values when they are asked for.
"""

from converters.weights import onnx, torch
from converters.weights.registry import READERS, read_weights, reads
from converters.weights.weight import Weight, Weights

__all__ = ["READERS", "Weight", "Weights", "onnx", "read_weights", "reads", "torch"]
