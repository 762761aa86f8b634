"""`checkpoints.load`: weights of any format, and what the log says of them."""

import json
from pathlib import Path

import h5py
import numpy as np
import onnx_ir as ir
import pytest

import converters
from onnxgrid.config import InputPath
from onnxgrid.errors import TransplantError
from onnxgrid.training.network import OpenedNetwork, load_weights


@pytest.fixture
def model(tmp_path: Path) -> ir.Model:
    layers = [
        {"class_name": "InputLayer", "config": {"name": "image", "batch_input_shape": [None, 6, 5, 2]}},
        {"class_name": "BatchNormalization", "config": {"name": "norm_in"}},
        {"class_name": "Conv2D", "config": {"name": "conv", "filters": 3, "kernel_size": [2, 1]}},
    ]
    (tmp_path / "net.json").write_text(json.dumps(layers))
    return converters.convert(tmp_path / "net.json")


KERNEL = np.arange(12, dtype=np.float32).reshape(2, 1, 2, 3)


@pytest.fixture
def file(tmp_path: Path) -> InputPath:
    """What Keras 2 saves of the network, had its normalization no scale."""
    path = tmp_path / "base.h5"
    with h5py.File(path, "w") as root:
        root.attrs["layer_names"] = ["norm_in", "conv"]
        held = {"norm_in": ("beta", "moving_mean", "moving_variance"), "conv": ("kernel", "bias")}
        for layer, variables in held.items():
            group = root.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/{variable}:0" for variable in variables]
            for variable in variables:
                values = KERNEL if variable == "kernel" else np.full(2 if layer == "norm_in" else 3, 4, np.float32)
                group.create_dataset(f"{layer}/{variable}:0", data=values)
    return InputPath(path=path, given="./pre/base.h5")


LINES = [
    "Loading model checkpoint from HDF5 file: ./pre/base.h5",
    "   Skipping parameter norm_in.weight (norm_in/gamma:0): not found in model",
]


def test_a_file_of_keras_is_loaded_by_name_and_the_log_says_what_it_calls_the_rest(
    model: ir.Model, file: InputPath
) -> None:
    lines: list[str] = []
    load_weights(OpenedNetwork(model, "net.json"), file, strict=False, write=lines.append)
    assert lines == LINES
    kernel = model.graph.initializers["conv.weight"].const_value
    assert kernel is not None
    np.testing.assert_array_equal(kernel.numpy(), KERNEL.transpose(3, 2, 0, 1))


def test_strict_refuses_a_file_that_lacks_something(model: ir.Model, file: InputPath) -> None:
    with pytest.raises(TransplantError) as caught:
        load_weights(OpenedNetwork(model, "net.json"), file, strict=True, write=lambda _line: None)
    assert str(caught.value) == (
        "./pre/base.h5: 1 differences between the checkpoint and the network, listed above\n"
        "  Rename layers so that they match, or leave --strict out."
    )
