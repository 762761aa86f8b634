"""Weights from each format into each other and back again, bit by bit."""

import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

import h5py
import keras
import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
from keras import layers

import converters
from converters.weights import Weights, read_weights
from onnxgrid.difference import diff
from onnxgrid.errors import TransplantError, WritingFailed
from onnxgrid.transplant import transplant
from tests.converters.keras_oracle import convert_keras, functional, randomize

# Keras' torch backend copies its variables for saving in a way that NumPy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

FORMATS = {
    "onnx": ".onnx",
    "onnx with external data": ".onnx",
    "torch": ".pt",
    "torch, in a checkpoint": ".pth",
    "Keras 2": ".h5",
    "Keras 3": ".weights.h5",
    "Keras archive": ".keras",
    "safetensors": ".safetensors",
    "safetensors, sharded": ".safetensors.index.json",
    "NumPy": ".npz",
}


def network() -> keras.Model:
    return functional(
        [
            layers.Conv2D(4, (3, 2), name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.PReLU(shared_axes=[1, 2], name="prelu"),
            layers.DepthwiseConv2D((3, 2), depth_multiplier=2, name="depthwise"),
            layers.SeparableConv2D(6, (2, 3), name="separable"),
            layers.Conv2DTranspose(5, (2, 3), use_bias=False, name="transposed"),
            layers.Flatten(),
            layers.Dense(3, name="dense"),
        ],
        (7, 6, 2),
    )


@dataclass(frozen=True)
class Files:
    """By format, a file with weights of its own and one with zeros."""

    full: dict[str, Path]
    empty: dict[str, Path]


def bits(weights: Weights) -> dict[str, tuple[tuple[int, ...], str, bytes]]:
    return {n: (w.shape, str(w.dtype), w.read().tobytes()) for n, w in sorted(weights.items())}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    made: dict[str, dict[str, Path]] = {}
    for kind, seed in (("full", 0), ("empty", None)):
        folder = tmp_path_factory.mktemp(kind)
        model = network()
        if seed is None:
            for variable in model.weights:
                variable.assign(np.zeros(variable.shape))
        else:
            randomize(model, seed)
        converted = convert_keras(model, folder)
        made[kind] = {name: in_format(name, converted, folder) for name in FORMATS}
    return Files(**made)


def in_format(name: str, model: ir.Model, folder: Path) -> Path:
    path = folder / name.replace(" ", "_") / f"a{FORMATS[name]}"
    path.parent.mkdir()
    plain = folder / "plain.onnx"
    if not plain.exists():
        converters.save_model(model, plain)
    if name == "onnx with external data":
        ir.save(model, path, external_data="a.bin", size_threshold_bytes=0)
    elif name == "onnx":
        converters.save_model(model, path)
    else:
        shard = 300 if "sharded" in name else None
        transplant(plain, plain, path, max_shard_bytes=shard)
    if name == "torch, in a checkpoint":
        import torch

        torch.save({"model": {f"module.{k}": v for k, v in torch.load(path).items()}, "epoch": 3}, path)
    return path


@pytest.mark.parametrize("second", FORMATS)
@pytest.mark.parametrize("first", FORMATS)
def test_there_and_back_again_is_the_same_bit_by_bit(first: str, second: str, files: Files, tmp_path: Path) -> None:
    there, back = tmp_path / f"there{FORMATS[second]}", tmp_path / f"back{FORMATS[first]}"
    transplant(files.full[first], files.empty[second], there, strict=True)
    transplant(there, files.empty[first], back, strict=True)
    wanted = bits(read_weights(files.full["onnx"]))
    assert bits(read_weights(there)) == wanted
    assert bits(read_weights(back)) == wanted


def test_sharded_files_are_as_small_as_asked_for(files: Files) -> None:
    index = files.full["safetensors, sharded"]
    shards = sorted(path.name for path in index.parent.iterdir() if path != index)
    count = len(shards)
    assert count > 2
    assert shards == [f"a-{n:05d}-of-{count:05d}.safetensors" for n in range(1, count + 1)]
    for name in shards:
        weights = read_weights(index.parent / name)
        assert len(weights) == 1 or sum(weight.nbytes for weight in weights.values()) <= 300


DTYPES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float64": np.float64}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in FORMATS if not name.startswith("onnx")])
def test_weights_are_cast_on_request_and_read_in_that_type(name: str, dtype: str, files: Files, tmp_path: Path) -> None:
    out = tmp_path / f"out{FORMATS[name]}"
    transplant(files.full[name], files.empty[name], out, dtype=DTYPES[dtype])
    source, cast = read_weights(files.full["onnx"]), read_weights(out)
    assert set(cast) == set(source)
    for name_, weight in cast.items():
        assert weight.dtype == DTYPES[dtype]
        assert weight.read().tobytes() == source[name_].read().astype(DTYPES[dtype]).tobytes()


@pytest.mark.parametrize("end", [".h5", ".weights.h5", ".keras"])
def test_keras_reads_what_is_written_for_it_and_what_was_changed_in_its_own(
    end: str, files: Files, tmp_path: Path
) -> None:
    written = network()
    written.load_weights(next(path for name, path in files.full.items() if FORMATS[name] == end))
    own, out = tmp_path / f"own{end}", tmp_path / f"out{end}"
    model = network()
    model.save_weights(own) if end == ".weights.h5" else model.save(own)
    transplant(files.full["torch"], own, out, strict=True)
    loaded = network()
    loaded.load_weights(out)
    x = np.random.default_rng(0).standard_normal((2, 7, 6, 2)).astype(np.float32)
    expected = network()
    randomize(expected, 0)
    outputs = [np.asarray(m(x, training=False).detach()) for m in (expected, written, loaded)]
    np.testing.assert_array_equal(outputs[1], outputs[0])
    np.testing.assert_array_equal(outputs[2], outputs[0])


@pytest.mark.parametrize("named", [".keras", ".h5"])
def test_a_file_without_names_of_layers_goes_by_the_network_that_the_other_states(
    named: str, files: Files, tmp_path: Path
) -> None:
    """As TensorFlow 2.12 to 2.15 and Keras 3.0 to 3.4 wrote them."""
    nameless, stating = tmp_path / "nameless.weights.h5", tmp_path / f"stating{named}"
    shutil.copy(files.full["Keras 3"], nameless)
    with h5py.File(nameless, "r+") as file:
        for layer in file["layers"].values():
            del layer["vars"].attrs["name"]
    network().save(stating)
    transplant(nameless, stating, tmp_path / f"there{named}", strict=True)
    assert bits(read_weights(tmp_path / f"there{named}")) == bits(read_weights(files.full["onnx"]))
    back = tmp_path / "back.weights.h5"
    transplant(stating, nameless, back, strict=True)
    transplant(back, stating, tmp_path / f"again{named}", strict=True)
    assert bits(read_weights(tmp_path / f"again{named}")) == bits(read_weights(stating))


def test_keras_loads_an_archive_that_was_written_for_it(files: Files, tmp_path: Path) -> None:
    loaded = keras.models.load_model(files.full["Keras archive"])
    x = np.random.default_rng(0).standard_normal((2, 7, 6, 2)).astype(np.float32)
    expected = network()
    randomize(expected, 0)
    outputs = [np.asarray(m(x, training=False).detach()) for m in (expected, loaded)]
    np.testing.assert_array_equal(outputs[1], outputs[0])


@pytest.mark.parametrize("second", [".h5", ".weights.h5", ".keras"])
@pytest.mark.parametrize("first", [".h5", ".keras"])
def test_a_file_of_keras_with_its_network_becomes_one_of_another_kind(first: str, second: str, tmp_path: Path) -> None:
    model, out = network(), tmp_path / f"out{second}"
    randomize(model, 3)
    model.save(tmp_path / f"own{first}")
    transplant(tmp_path / f"own{first}", tmp_path / f"own{first}", out, strict=True)
    loaded = network()
    loaded.load_weights(out)
    x = np.random.default_rng(0).standard_normal((2, 7, 6, 2)).astype(np.float32)
    outputs = [np.asarray(m(x, training=False).detach()) for m in (model, loaded)]
    np.testing.assert_array_equal(outputs[1], outputs[0])


def test_axes_that_only_a_model_tells_are_not_guessed(tmp_path: Path) -> None:
    model = functional([layers.LayerNormalization(axis=[1, 2, 3], name="norm")], (3, 3, 3))
    model.save(tmp_path / "own.keras")
    with pytest.raises(TransplantError) as caught:
        transplant(tmp_path / "own.keras", tmp_path / "own.keras", tmp_path / "out.h5")
    assert str(caught.value) == (
        f"{tmp_path}/own.keras, tensor 'norm.weight': lies in Keras in an order of axes that only a model tells\n"
        "  Give a target that is a model which onnxgrid convert wrote."
    )


def test_weights_alone_do_not_become_a_file_by_layers(files: Files, tmp_path: Path) -> None:
    with pytest.raises(TransplantError) as caught:
        transplant(files.full["NumPy"], files.full["NumPy"], tmp_path / "out.keras")
    assert str(caught.value) == (
        f"{files.full['NumPy']}: does not say which layers its weights are of, and in which order Keras has them, "
        "so that no such file can be made of it\n"
        "  Give a target that is a file of the output's kind, or a model that onnxgrid convert wrote."
    )


COUNTED = {"bn.weight": np.float32([1, 2]), "bn.num_batches_tracked": np.int64(7)}


@pytest.mark.parametrize("second", [".pt", ".safetensors", ".npz"])
@pytest.mark.parametrize("first", [".pt", ".safetensors", ".npz"])
def test_counters_of_torch_stay_those_of_the_target(first: str, second: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="writes .pt files")
    safetensors = pytest.importorskip("safetensors.numpy")
    write = {
        ".pt": lambda held, path: torch.save({n: torch.from_numpy(np.asarray(a)) for n, a in held.items()}, path),
        ".safetensors": lambda held, path: safetensors.save_file({n: np.asarray(a) for n, a in held.items()}, path),
        ".npz": lambda held, path: np.savez(path, **held),
    }
    read = {".pt": torch.load, ".safetensors": safetensors.load_file, ".npz": np.load}
    source, target, out = tmp_path / f"a{first}", tmp_path / f"b{second}", tmp_path / f"out{second}"
    write[first](COUNTED, source)
    write[second]({name: values * 0 for name, values in COUNTED.items()}, target)
    report = transplant(source, target, out, strict=True)
    assert report.counts() == dict.fromkeys(report.counts(), 0) | {"copied": 1}
    filled = {name: np.asarray(read[second](out)[name]).tolist() for name in COUNTED}
    assert filled == {"bn.weight": [1, 2], "bn.num_batches_tracked": 0}
    assert diff(source, out).equal


def test_a_file_that_becomes_another_format_says_once_what_it_lacks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "nameless.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.zeros((2, 3), np.float32)
    transplant(path, path, tmp_path / "out.npz")
    assert list(np.load(tmp_path / "out.npz")) == ["dense.weight"]
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("dtype", [None, "float16"])
@pytest.mark.parametrize("name", FORMATS)
def test_a_full_disk_is_said_of_every_format_and_nothing_is_left(
    name: str, dtype: str | None, files: Files, tmp_path: Path
) -> None:
    if dtype is not None and name.startswith("onnx"):
        pytest.skip("a model keeps its types")
    out = tmp_path / f"out{FORMATS[name]}"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(WritingFailed) as caught:
            transplant(files.full[name], files.empty[name], out, dtype=dtype)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(caught.value) == (
        f"{out}: cannot be written: File too large\n"
        "  Raise the limit of the size of files, or write to a disk that holds larger ones."
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5", ".keras"])
def test_a_full_disk_is_said_of_files_for_keras_that_are_made_anew(suffix: str, files: Files, tmp_path: Path) -> None:
    out = tmp_path / f"out{suffix}"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        with pytest.raises(WritingFailed) as caught:
            transplant(files.full["onnx"], files.full["onnx"], out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(caught.value).startswith(f"{out}: cannot be written: File too large\n")
    assert list(tmp_path.iterdir()) == []
