"""One function per Keras layer, grouped by family. Importing this package fills `registry.LAYERS`."""

from converters.layers import (
    activation,
    applications,
    attention,
    bidirectional,
    convolution,
    core,
    einsum_dense,
    merge,
    multi_head_attention,
    normalization,
    pooling,
    preprocessing,
    recurrent,
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
    "attention",
    "bidirectional",
    "converts",
    "convolution",
    "core",
    "einsum_dense",
    "find_layer",
    "merge",
    "multi_head_attention",
    "normalization",
    "pooling",
    "preprocessing",
    "recurrent",
    "regularization",
    "reshape",
]
