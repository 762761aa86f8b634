"""One function per Keras layer, grouped by family. Importing this package fills `registry.LAYERS`."""

from converters.layers import activation, convolution, core, merge, normalization, pooling, reshape
from converters.layers.registry import LAYERS, Arity, LayerEntry, converts, find_layer

__all__ = [
    "LAYERS",
    "Arity",
    "LayerEntry",
    "activation",
    "converts",
    "convolution",
    "core",
    "find_layer",
    "merge",
    "normalization",
    "pooling",
    "reshape",
]
