"""What published networks are built like, against Keras: values, and a size or a name of it for every axis of each."""

from pathlib import Path

import keras
import numpy as np
import onnx_ir as ir
import pytest

from tests.converters.architectures import ARCHITECTURES, Architecture
from tests.converters.keras_oracle import assert_equals_keras


def vary(model: keras.Model) -> None:
    """Give kernels a spread that keeps the size of what passes, and all else values near those of the start."""
    random = np.random.default_rng(0)
    for variable in model.weights:
        if variable.name == "seed_generator_state":
            continue
        if len(variable.shape) > 1:
            spread = np.sqrt(1.5 / np.prod(variable.shape[:-1]))
            variable.assign((spread * random.standard_normal(variable.shape)).astype(np.float32))
        else:
            centre = 0.0 if variable.name in ("beta", "bias", "moving_mean") else 1.0
            variable.assign((centre + 0.2 * (random.random(variable.shape) - 0.5)).astype(np.float32))


def is_named(size: int | ir.SymbolicDim) -> bool:
    return isinstance(size, int) or size.value is not None


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_an_architecture_equals_keras(architecture: Architecture, tmp_path: Path) -> None:
    sizes, raw = architecture.sizes, architecture.raw_outputs
    model = assert_equals_keras(architecture.build(), tmp_path, sizes=sizes, raw_outputs=raw, fill=vary)
    for node in model.graph:
        for value in node.outputs:
            assert value.shape is not None, value.name
            assert all(is_named(size) for size in value.shape), f"{value.name}: {value.shape}"
