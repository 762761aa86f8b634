"""Operations in functional graphs: what `x * 2.0` or `keras.ops.mean(x)` leaves in a network's JSON.

Keras 3 writes one as a layer of module `keras.src.ops`, Keras 2 as a `TFOpLambda` or `SlicingOpLambda` that names a
TensorFlow function, or before as a `TensorFlowOpLayer` that holds an operation of TensorFlow's graph.
`converters.keras_json` names them alike: `keras.ops.Multiply`, `tf.math.multiply`, `tf.raw_ops.Mul`. Unlike a
layer, an operation may take part of its arguments from its call. Importing this package fills `registry.OPERATIONS`.
"""

from converters.layers.operations import (
    activations,
    arithmetic,
    elementwise,
    images,
    indexing,
    joining,
    linear_algebra,
    logic,
    matrices,
    numbers,
    orders,
    raw,
    reductions,
    repeating,
    shapes,
    windows,
    without_batch,
)
from converters.layers.operations.registry import KERAS_PREFIX, OPERATIONS, RAW_PREFIX, TF_PREFIX

__all__ = [
    "KERAS_PREFIX",
    "OPERATIONS",
    "RAW_PREFIX",
    "TF_PREFIX",
    "activations",
    "arithmetic",
    "elementwise",
    "images",
    "indexing",
    "joining",
    "linear_algebra",
    "logic",
    "matrices",
    "numbers",
    "orders",
    "raw",
    "reductions",
    "repeating",
    "shapes",
    "windows",
    "without_batch",
]

raw.register_raw_operations()
