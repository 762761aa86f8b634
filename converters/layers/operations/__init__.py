"""Operations in functional graphs: what `x * 2.0` or `keras.ops.mean(x)` leaves in a network's JSON.

Keras 3 writes one as a layer of module `keras.src.ops`, Keras 2 as a `TFOpLambda` or `SlicingOpLambda` that names a
TensorFlow function. `converters.keras_json` names both alike: `keras.ops.Multiply`, `tf.math.multiply`. Unlike a
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
    numbers,
    reductions,
    repeating,
    shapes,
    windows,
)
from converters.layers.operations.registry import KERAS_PREFIX, OPERATIONS, TF_PREFIX

__all__ = [
    "KERAS_PREFIX",
    "OPERATIONS",
    "TF_PREFIX",
    "activations",
    "arithmetic",
    "elementwise",
    "images",
    "indexing",
    "joining",
    "linear_algebra",
    "logic",
    "numbers",
    "reductions",
    "repeating",
    "shapes",
    "windows",
]
