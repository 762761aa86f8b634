"""`onnxgrid.convert` and `onnxgrid.to_keras`: the steps together, and the files that they write."""

import json
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from keras import layers as kl

import converters
import onnxgrid
from converters.errors import ConversionError, UserError
from converters.weights import read_weights
from tests.converters.keras_oracle import random_inputs, randomize, run_onnx
from tests.converters.keras_round_trip import assert_predicts_the_same, predictions

# Keras' torch backend copies its variables for saving in a way that NumPy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

KERAS2 = Path(__file__).parents[1] / "converters" / "data" / "keras2"

EXAMPLE = Path(__file__).parents[2] / "models" / "digits_conv_16.json"

SHAPE = (8, 6, 3)


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> keras.Model:
    """A network in `net.json` and its weights in `net.weights.h5`, in the working directory."""
    monkeypatch.chdir(tmp_path)
    inputs = keras.Input(SHAPE, name="image")
    x = kl.BatchNormalization(name="norm")(kl.Conv2D(4, 3, name="conv")(inputs))
    model = keras.Model(inputs, kl.Dense(5, activation="softmax", name="head")(kl.Flatten(name="flat")(x)), name="net")
    randomize(model)
    Path("net.json").write_text(model.to_json())
    model.save_weights("net.weights.h5")
    return model


def test_a_network_with_its_weights_returns_to_keras(network: keras.Model) -> None:
    onnxgrid.convert("net.json", "net.onnx", weights="net.weights.h5", strict=True)
    done = onnxgrid.to_keras("net.onnx", "back.json", weights_out="back.weights.h5")
    assert Path("back.json").read_text() == done.json == converters.to_keras_json("net.onnx")
    assert done.counts() == {"layers": 5, "parameters": sum(w.size for w in map(np.asarray, trained(network)))}
    back = keras.models.model_from_json(Path("back.json").read_text())
    back.load_weights("back.weights.h5")
    inputs = random_inputs([SHAPE])
    assert_predicts_the_same(back, predictions(network, inputs), inputs)


def trained(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(variable.value.detach()) for variable in model.trainable_variables]


@pytest.mark.parametrize(("engine", "layers"), [("ort", str(EXAMPLE)), ("torch", str(EXAMPLE)), ("torch", "net.onnx")])
def test_a_network_trained_here_returns_to_keras(
    engine: str, layers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a checkpoint of `onnxgrid train`, of the network's JSON or of its model: one epoch on noise."""
    monkeypatch.chdir(tmp_path)
    onnxgrid.convert(EXAMPLE, "net.onnx")
    for side, values in (
        ("x", np.random.default_rng(0).random((24, 1, 16, 16), np.float32)),
        ("t", np.arange(24) % 10),
    ):
        Path(side).mkdir()
        for index, value in enumerate(values):
            np.save(f"{side}/{index:02}.npy", value)
    data = {"type": "numpy", "input_path": "x", "target_path": "t", "test_input_path": "x", "test_target_path": "t"}
    run = {
        "layers": layers,
        "num_epochs": 1,
        "outfile": "run.txt",
        "data": {**data, "batch_size": 8},
        "optimizer": {"type": "Adam", "learning_rate": 0.01},
        "loss": {"function": "NLL"},
        "checkpoints": {"save": "checkpoints"},
    }
    Path("run.json").write_text(json.dumps({"neural_network": run}))
    onnxgrid.train("run.json", engine=engine)
    trained, first = ir.load("checkpoints/model_checkpoint_1.onnx"), converters.convert(EXAMPLE)
    kernel, initial = (next(iter(m.graph.initializers.values())).const_value.numpy() for m in (trained, first))
    assert not np.array_equal(kernel, initial)
    onnxgrid.to_keras("checkpoints/model_checkpoint_1.onnx", "back.json", weights_out="back.weights.h5")
    back = keras.models.model_from_json(Path("back.json").read_text())
    back.load_weights("back.weights.h5")
    inputs = random_inputs([(16, 16, 1)])
    assert_predicts_the_same(back, run_onnx(trained, *inputs), inputs)


@pytest.mark.parametrize("name", ["seq", "unet", "multi"])
def test_weights_of_keras_2_go_to_keras_3(name: str, tmp_path: Path) -> None:
    """Networks, weights and predictions of tf_keras 2.21; the weights are written while the model is."""
    weights = tmp_path / "of_keras_3.weights.h5"
    onnxgrid.convert(
        KERAS2 / f"{name}.json",
        tmp_path / "net.onnx",
        weights=KERAS2 / f"{name}.weights_legacy.h5",
        strict=True,
        weights_out=weights,
    )
    back = keras.models.model_from_json(converters.to_keras_json(tmp_path / "net.onnx"))
    back.load_weights(weights)
    record = np.load(KERAS2 / f"{name}.io.npz")
    inputs, outputs = ([record[key] for key in sorted(record) if key.startswith(kind)] for kind in ("in", "out"))
    assert_predicts_the_same(back, outputs, inputs)


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pt", ".weights.h5"])
def test_weights_go_out_in_every_format(suffix: str, network: keras.Model) -> None:
    onnxgrid.convert("net.json", "net.onnx", weights="net.weights.h5", weights_out=f"direct{suffix}")
    onnxgrid.to_keras("net.onnx", weights_out=f"later{suffix}")
    want = read_weights(Path("net.onnx"))
    for path in (f"direct{suffix}", f"later{suffix}"):
        onnxgrid.convert("net.json", "again.onnx", weights=path, strict=True)
        found = read_weights(Path("again.onnx"))
        assert set(found) == set(want)
        for name, weight in want.items():
            np.testing.assert_array_equal(found[name].read(), weight.read())


def test_initial_weights_go_out_too(network: keras.Model) -> None:
    done = onnxgrid.convert("net.json", weights_out="first.npz", seed=3)
    assert done.weights_out is not None
    assert done.weights_out.line() == "first.npz: 8 weights"
    with np.load("first.npz") as arrays:
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, done.model.graph.initializers[name].const_value.numpy())
    assert not Path("net.onnx").exists()


def test_weights_go_out_as_they_are_before_folding(network: keras.Model) -> None:
    for fold in (True, False):
        onnxgrid.convert("net.json", weights="net.weights.h5", weights_out=f"{fold}.weights.h5", fold_batchnorm=fold)
    with h5py.File("True.weights.h5") as folded, h5py.File("False.weights.h5") as plain:
        for path in ("layers/conv2d/vars/0", "layers/batch_normalization/vars/3"):
            np.testing.assert_array_equal(folded[path][:], plain[path][:])


def test_an_archive_brings_its_weights_along(network: keras.Model) -> None:
    network.save("net.keras")
    onnxgrid.convert("net.keras", "net.onnx", weights_out="out.pt")
    kernel = torch.load("out.pt", weights_only=True)["head.weight"].numpy()
    np.testing.assert_array_equal(kernel, np.asarray(network.get_layer("head").kernel.value.detach()).T)


def test_the_steps_tell_what_they_did(network: keras.Model) -> None:
    done = onnxgrid.convert("net.json", weights="net.weights.h5", check=True, weights_out="out.npz")
    assert done.checked is not None
    assert done.lines() == [*done.checked.lines(), "out.npz: 8 weights"]
    told = done.to_json()
    assert {key: told[key] for key in ("nodes", "initializers", "parameters", "weights_out")} == {
        **done.counts(),
        "weights_out": {"path": "out.npz", "weights": 8},
    }
    assert told["weights"]["counts"]["copied"] == 8
    assert told["check"] == done.checked.to_json()
    json.dumps(told)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "the network as output": (
        {"output": "net.json"},
        "net.json: is the network too\n  Give the output another file.",
    ),
    "the network as weights": (
        {"weights_out": "./net.json"},
        "net.json: is the network too\n  Give the weights another file.",
    ),
    "the weights that are loaded": (
        {"weights": "net.weights.h5", "weights_out": "net.weights.h5"},
        "net.weights.h5: is the file of weights that is loaded too\n  Give the weights another file.",
    ),
    "one file for both": (
        {"output": "both.npz", "weights_out": "both.npz"},
        "both.npz: is the output too\n  Give the weights another file.",
    ),
    "a link to the network": (
        {"output": "link.onnx"},
        "link.onnx: is the network too\n  Give the output another file.",
    ),
    "weights of an unknown kind": (
        {"output": "net.onnx", "weights_out": "out.tar"},
        "out.tar: the suffix '.tar' is not one of a weight file\n"
        "  Use one of: .h5, .hdf5, .keras, .npy, .npz, .pt, .pth, .safetensors, .safetensors.index.json, .weights.h5.",
    ),
    "weights in a folder that is not there": (
        {"output": "net.onnx", "weights_out": "absent/out.npz"},
        "absent/out.npz: cannot be written: No such file or directory\n"
        "  Give a file in a folder that exists and can be written.",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_files_that_would_be_overwritten_are_refused(
    arguments: dict[str, Any], message: str, network: keras.Model
) -> None:
    Path("link.onnx").symlink_to("net.json")
    before = {path: path.read_bytes() for path in Path().iterdir()}
    with pytest.raises(UserError) as error:
        onnxgrid.convert("net.json", **arguments)
    assert str(error.value) == message
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


def test_a_model_is_not_overwritten_by_what_comes_of_it(network: keras.Model) -> None:
    onnxgrid.convert("net.json", "net.onnx")
    model = Path("net.onnx").read_bytes()
    with pytest.raises(ConversionError) as error:
        onnxgrid.to_keras("net.onnx", "net.onnx")
    assert str(error.value) == "net.onnx: is the model too\n  Give the output another file."
    with pytest.raises(ConversionError) as error:
        onnxgrid.to_keras("net.onnx", "out.json", weights_out="./out.json")
    assert str(error.value) == "out.json: is the output too\n  Give the weights another file."
    with pytest.raises(ConversionError) as error:
        onnxgrid.to_keras("net.onnx", "absent/net.json")
    assert str(error.value) == (
        "absent/net.json: cannot be written: No such file or directory\n"
        "  Give a file in a folder that exists and can be written."
    )
    assert Path("net.onnx").read_bytes() == model


def test_a_network_that_keras_lacks_has_no_file_of_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    layers = [
        {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 4, 4, 4, 2]}},
        {"class_name": "DepthwiseConv3D", "config": {"name": "a", "kernel_size": 1}},
    ]
    Path("net.json").write_text(json.dumps(layers))
    with pytest.raises(ConversionError, match="cannot be given back"):
        onnxgrid.convert("net.json", "net.onnx", weights_out="net.weights.h5")
    assert [path.name for path in Path().iterdir()] == ["net.json"]
    onnxgrid.convert("net.json", "net.onnx", weights_out="net.npz")
    onnx.checker.check_model("net.onnx")
    assert sorted(np.load("net.npz")) == ["a.bias", "a.weight"]
