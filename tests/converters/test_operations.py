"""Every operation of Keras 3 against Keras itself: the cases of `operation_cases`."""

import json
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

from converters.layers.operations import KERAS_PREFIX, OPERATIONS
from tests.converters.keras_oracle import BATCH, assert_equals_keras
from tests.converters.operation_cases import CASES, flat
from tests.converters.operation_cases.case import SHAPE, Compute

NOT_WRITTEN_BY_KERAS_3 = {"keras.ops.Abs", "keras.ops.Conj", "keras.ops.Identity"}
"""Names that other versions of it write."""

COMPUTED_AT_ONCE = {
    "keras.ops.CountNonzero": "it calls torch in a way that torch has deprecated",
    "keras.ops.Cross": "it calls torch in a way that torch has deprecated",
    "keras.ops.ConvTranspose": "the operation swaps padding and output padding",
    "keras.ops.Tensordot: lists of axes": "the operation's own inference of shapes is deprecated Python",
}
"""What Keras 3.15 computes rightly, but in a network not, or with a warning -> why."""

BY_DEFINITION: dict[str, Compute] = {
    "keras.ops.Pad: its edge": lambda x, y: np.pad(x, ((0, 0), (1, 2), (0, 3), (0, 0)), mode="edge"),
    "keras.ops.Pad: symmetric, far": lambda x, y: np.pad(x, ((0, 0), (3, 2), (0, 6), (0, 0)), mode="symmetric"),
    "keras.ops.Pad: wrapped": lambda x, y: np.pad(x, ((0, 0), (3, 2), (0, 6), (0, 0)), mode="wrap"),
    "keras.ops.Repeat: one number for each": lambda x, y: np.repeat(x, [2, 0, 1], axis=-1),
}
"""What Keras on torch refuses, or computes otherwise than it says -> what it is by NumPy's definition."""

NOT_FLOATS = ("bool", "int32", "int64")


def joined(given: Any) -> Any:
    """One vector of floats of all that was computed."""
    parts = given if isinstance(given, list | tuple) else [given]
    floats = [ops.cast(part, "float32") if str(part.dtype).endswith(NOT_FLOATS) else part for part in parts]
    flattened = [kl.Flatten()(part) for part in floats]
    return kl.Concatenate()(flattened) if len(flattened) > 1 else flattened[0]


@pytest.mark.filterwarnings("ignore:Using torch.cross without", "ignore:The use of `x.T`")  # within Keras
@pytest.mark.parametrize("name", flat())
def test_an_operation_equals_keras(name: str, tmp_path: Path) -> None:
    batch = BATCH if name.endswith("a known batch") else None
    x, y = (keras.Input(SHAPE, batch_size=batch, name=name) for name in ("x", "y"))
    with warnings.catch_warnings(action="ignore"):
        model = keras.Model([x, y], computed(name, x, y))
    written = {layer["class_name"] for layer in json.loads(model.to_json())["config"]["layers"]}
    assert name.partition(":")[0].removeprefix(KERAS_PREFIX) in written
    compute = None
    if name in BY_DEFINITION or any(name.startswith(other) for other in COMPUTED_AT_ONCE):
        compute = partial(computed, name)
    raw = name.endswith("channels first")
    assert_equals_keras(model, tmp_path, compute=compute, raw_inputs=raw, raw_outputs=raw)


def computed(name: str, x: Any, y: Any) -> list[Any]:
    if name in BY_DEFINITION and not isinstance(x, keras.KerasTensor):
        return [ops.convert_to_tensor(BY_DEFINITION[name](np.asarray(x), y).reshape(BATCH, -1)), kl.ReLU()(y)]
    return [joined(flat()[name](x, y)), kl.ReLU()(y)]


def test_every_operation_has_a_case() -> None:
    named = {name for name in OPERATIONS if name.startswith(KERAS_PREFIX)}
    assert named == set(CASES) | NOT_WRITTEN_BY_KERAS_3
