"""Operations and attention over axes whose size is open, against Keras, at two sizes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import converters
from converters.layers.graph_builder import IoLayout
from tests.converters.keras_oracle import RELATIVE_TOLERANCE, put_weights, randomize, run_onnx

FEATURES = 4

Compute = Callable[[Any, Any], Any]


def scores(x: Any) -> Any:
    return ops.matmul(x, ops.transpose(x, (0, 2, 1)))


def looking(x: Any) -> Any:
    heads = ops.reshape(x, (-1, ops.shape(x)[1], 1, FEATURES)) if ops.shape(x)[1] else x[:, :, None]
    return ops.dot_product_attention(heads, heads, heads, is_causal=True)


CASES: dict[str, Compute] = {
    "tril": lambda x, y: ops.tril(scores(x)),
    "triu of a diagonal": lambda x, y: ops.triu(scores(x), k=1),
    "roll": lambda x, y: ops.roll(x, 2, axis=1),
    "roll backwards, all around": lambda x, y: ops.roll(x, -9, axis=1),
    "diff": lambda x, y: ops.diff(x, axis=1),
    "median": lambda x, y: ops.median(x, axis=1),
    "median, its axis kept": lambda x, y: ops.median(x, axis=1, keepdims=True),
    "quantile of two axes": lambda x, y: ops.quantile(x, 0.3, axis=(1, 2)),
    "quantile besides": lambda x, y: ops.quantile(x, 0.3, axis=2),
    "sort": lambda x, y: ops.sort(x, axis=1),
    "argsort": lambda x, y: ops.cast(ops.argsort(x, axis=1), "float32"),
    "cumprod": lambda x, y: ops.cumprod(x, axis=1),
    "sparsemax": lambda x, y: ops.sparsemax(x, axis=1),
    "trace": lambda x, y: ops.trace(scores(x), offset=1, axis1=1, axis2=2),
    "diagonal": lambda x, y: ops.diagonal(scores(x), axis1=1, axis2=2),
    "the batch behind": lambda x, y: ops.transpose(ops.expand_dims(x, 3), (2, 0, 3, 1))[1],
    "causal attention": lambda x, y: looking(x),
    "heads and scores": lambda x, y: kl.MultiHeadAttention(2, 3)(
        x, y, use_causal_mask=True, return_attention_scores=True
    ),
    "shared heads and scores": lambda x, y: kl.GroupQueryAttention(3, 4, 2)(
        x, y, use_causal_mask=True, return_attention_scores=True
    ),
}
"""The fact under test -> what is computed of two sequences of open length."""


@pytest.mark.parametrize("compute", CASES.values(), ids=CASES)
def test_an_operation_over_an_open_axis_equals_keras(compute: Compute, tmp_path: Path) -> None:
    x, y = (keras.Input((None, FEATURES), name=name) for name in "xy")
    assert_equals_keras_at([(5, 5), (8, 3)], keras.Model([x, y], [compute(x, y), kl.ReLU()(y)]), tmp_path)


@pytest.mark.parametrize("layer", [kl.MultiHeadAttention(2, 3), kl.GroupQueryAttention(3, 4, 2)], ids=["own", "shared"])
def test_values_and_keys_may_be_two_open_sequences(layer: keras.layers.Layer, tmp_path: Path) -> None:
    x, y, z = (keras.Input((None, FEATURES), name=name) for name in "xyz")
    assert_equals_keras_at([(5, 4, 4), (2, 7, 7)], keras.Model([x, y, z], layer(x, y, z)), tmp_path)


def assert_equals_keras_at(lengths: list[tuple[int, ...]], model: keras.Model, folder: Path) -> None:
    """Nothing, if the converted network gives what Keras gives for sequences of these lengths."""
    randomize(model)
    (folder / "net.json").write_text(model.to_json())
    converted = converters.convert(folder / "net.json", io_layout=IoLayout.CHANNELS_LAST)
    put_weights(converted, model)
    random = np.random.default_rng(0)
    for of_inputs in lengths:
        inputs = [random.standard_normal((2, length, FEATURES)).astype(np.float32) for length in of_inputs]
        wanted = keras.tree.flatten(model(inputs, training=False))
        for output, want in zip(run_onnx(converted, *inputs, raw_inputs=True, raw_outputs=True), wanted, strict=True):
            expected = np.asarray(want.detach())
            assert output.shape == expected.shape
            np.testing.assert_allclose(output, expected, rtol=0, atol=RELATIVE_TOLERANCE * np.abs(expected).max())
