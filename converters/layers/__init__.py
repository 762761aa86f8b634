"""One function per Keras layer, grouped by family. Importing this package fills `registry.LAYERS`."""

from converters.layers import (
    activation,
    applications,
    convolution,
    core,
    merge,
    normalization,
    pooling,
    preprocessing,
    regularization,
    reshape,
)
from converters.layers.registry import LAYERS, Arity, LayerEntry, converts, find_layer

__all__ = [
    "LAYERS",
    "Arity",
    "LayerEntry",
    "activation",
    "applications",
    "converts",
    "convolution",
    "core",
    "find_layer",
    "merge",
    "normalization",
    "pooling",
    "preprocessing",
    "regularization",
    "reshape",
]
