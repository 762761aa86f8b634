"""Weights written in each format and read again, bit by bit; and Keras itself reads what is written for it."""

from collections.abc import Mapping
from pathlib import Path

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from keras import layers

from converters.errors import WeightFileError
from converters.roles import Role, initializer_roles
from converters.weights import Weight, Weights, Writing, network_layers, read_weights, write_weights
from converters.weights.onnx import initializer_weights
from tests.converters.keras_oracle import convert_keras, functional, random_inputs, randomize

# Keras' torch backend copies its variables for saving in a way that NumPy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def in_memory(arrays: Mapping[str, np.ndarray]) -> Weights:
    return {name: Weight(name, a.shape, a.dtype, lambda a=a: a, "memory") for name, a in arrays.items()}


SELF_NAMED = [".npz", ".safetensors", ".pt", ".pth"]
"""Formats whose tensors have names, so that they need no network."""

NAMES = st.from_regex(r"[a-z]{1,6}(/[a-z]{1,3})?\.(weight|bias)", fullmatch=True)

DTYPES = [np.float16, np.float32, np.float64, ml_dtypes.bfloat16]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    shapes=st.dictionaries(NAMES, hnp.array_shapes(min_dims=0, min_side=0, max_side=4), max_size=4),
    dtype=st.sampled_from(DTYPES),
    suffix=st.sampled_from(SELF_NAMED),
    seed=st.integers(0, 99),
)
def test_weights_survive_write_and_read(
    shapes: dict[str, tuple[int, ...]], dtype: type, suffix: str, seed: int, tmp_path: Path
) -> None:
    random = np.random.default_rng(seed)
    arrays = {name: np.asarray(random.standard_normal(shape)).astype(dtype) for name, shape in shapes.items()}
    path = tmp_path / f"a{suffix}"
    write_weights(path, in_memory(arrays))
    read = read_weights(path)
    assert set(read) == set(arrays)
    for name, array in arrays.items():
        values = read[name].read()
        assert (values.shape, values.dtype, values.tobytes()) == (array.shape, array.dtype, array.tobytes())


ARRAYS = {"conv.weight": np.arange(24, dtype=np.float32).reshape(4, 3, 2, 1), "conv.bias": np.ones(4, np.float32)}


def test_the_formats_own_libraries_read_them(tmp_path: Path) -> None:
    for suffix in SELF_NAMED:
        write_weights(tmp_path / f"a{suffix}", in_memory(ARRAYS))
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(np.load(tmp_path / "a.npz")[name], array)
        np.testing.assert_array_equal(safetensors.numpy.load_file(tmp_path / "a.safetensors")[name], array)
        np.testing.assert_array_equal(torch.load(tmp_path / "a.pt", weights_only=True)[name].numpy(), array)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_the_same_weights_give_the_same_bytes(suffix: str, tmp_path: Path) -> None:
    for stem in "ab":
        write_weights(tmp_path / f"{stem}{suffix}", in_memory(ARRAYS))
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def every_kind_of_layer() -> keras.Model:
    return functional(
        [
            layers.Conv2D(4, (3, 2)),
            layers.BatchNormalization(scale=False),
            layers.BatchNormalization(),
            layers.PReLU(shared_axes=[1]),
            layers.DepthwiseConv2D((3, 2), depth_multiplier=2),
            layers.SeparableConv2D(6, (2, 3), depth_multiplier=2, use_bias=False),
            layers.Conv2DTranspose(5, (2, 3)),
            layers.LayerNormalization(axis=[1, 2, 3]),
            layers.GroupNormalization(5),
            layers.Conv2D(3, 1, use_bias=False),
            layers.Flatten(),
            layers.Dense(7),
            layers.Dense(2),
        ],
        (9, 8, 3),
    )


def every_kind_of_sequence() -> keras.Model:
    x = inputs = keras.Input((7, 6))
    x = layers.LSTM(5, return_sequences=True, dropout=0.1)(x)
    x = layers.GRU(4, return_sequences=True, reset_after=False)(x)
    x = layers.GRU(4, return_sequences=True, use_bias=False)(x)
    x = layers.SimpleRNN(4, return_sequences=True)(x)
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(x)
    backward = layers.SimpleRNN(4, return_sequences=True, go_backwards=True, name="back")
    x = layers.Bidirectional(layers.GRU(4, return_sequences=True, name="there"), backward_layer=backward)(x)
    cells = [layers.LSTMCell(3), layers.GRUCell(4), layers.LSTMCell(5)]
    x = layers.RNN(layers.StackedRNNCells(cells), return_sequences=True)(x)
    x = layers.RNN(layers.GRUCell(4), return_sequences=True)(x)
    x = layers.TimeDistributed(layers.Dense(6))(x)
    x = layers.TimeDistributed(layers.BatchNormalization(scale=False))(x)
    x = layers.MultiHeadAttention(2, 3, value_dim=4, use_gate=True)(x, inputs)
    x = layers.MultiHeadAttention(2, 3, use_bias=False, output_shape=(3, 2))(x, inputs)
    x = layers.Reshape((7, 6))(x)
    x = layers.GroupQueryAttention(3, 4, 2)(x, x)
    x = layers.Attention(use_scale=True, score_mode="concat")([x, x])
    x = layers.AdditiveAttention()([x, x])
    return keras.Model(inputs, layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de")(x), name="net")


EVERY_KIND = {"images": every_kind_of_layer, "sequences": every_kind_of_sequence}


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_keras_predicts_the_same_with_the_weights_written_for_it(kind: str, tmp_path: Path) -> None:
    model = EVERY_KIND[kind]()
    randomize(model)
    converted = convert_keras(model, tmp_path)
    write_weights(
        tmp_path / "a.weights.h5", initializer_weights(converted, "net"), Writing(network=network_layers(converted))
    )
    restored = keras.models.clone_model(model)
    restored.load_weights(tmp_path / "a.weights.h5")
    (x,) = random_inputs([tuple(model.inputs[0].shape[1:])])
    wanted = np.asarray(model(x, training=False).detach())
    np.testing.assert_array_equal(np.asarray(restored(x, training=False).detach()), wanted)


def test_the_file_has_the_group_that_keras_3_5_looks_for_at_its_root(tmp_path: Path) -> None:
    converted = convert_keras(functional(layers.Dense(2, name="d"), (3,)), tmp_path)
    write_weights(
        tmp_path / "a.weights.h5", initializer_weights(converted, "net"), Writing(network=network_layers(converted))
    )
    with h5py.File(tmp_path / "a.weights.h5") as file:
        assert list(file) == ["layers", "vars"]
        assert len(file["vars"]) == 0


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_what_was_written_for_keras_is_read_bit_by_bit(kind: str, tmp_path: Path) -> None:
    converted = convert_keras(EVERY_KIND[kind](), tmp_path)
    network, weights = network_layers(converted), initializer_weights(converted, "net")
    write_weights(tmp_path / "a.weights.h5", weights, Writing(network=network))
    read = read_weights(tmp_path / "a.weights.h5", network)
    assert set(read) == {n for n, r in initializer_roles(converted).items() if r.kind is not Role.CONSTANT}
    for name, weight in weights.items():
        assert read[name].read().tobytes() == weight.read().tobytes(), name


def refused(path: Path, weights: Weights, network: object = ()) -> str:
    with pytest.raises(WeightFileError) as caught:
        write_weights(path, weights, Writing(network=network))  # type: ignore[arg-type]
    assert not path.exists()
    return str(caught.value)


def test_what_cannot_be_written_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    converted = convert_keras(functional(layers.Dense(2, name="d"), (3,)), tmp_path)
    network, weights = network_layers(converted), initializer_weights(converted, "net")
    path = tmp_path / "a.weights.h5"
    assert refused(path, {"d.weight": weights["d.weight"]}, network) == (
        "layer 'd': the weights lack 'd.bias'\n  Give all weights of the network."
    )
    assert refused(path, weights) == (
        "net, tensor 'd.weight': no layer of the network has a variable of Keras that 'd.weight' is\n"
        "  Write the weights of a network that was converted from Keras."
    )
    assert refused(tmp_path / "a.tar", weights) == (
        f"{tmp_path}/a.tar: the suffix '.tar' is not one of a weight file\n"
        "  Use one of: .h5, .hdf5, .keras, .npy, .npz, .pt, .pth, .safetensors, .safetensors.index.json, .weights.h5."
    )
    assert refused(tmp_path / "absent" / "a.npz", weights) == (
        f"{tmp_path}/absent/a.npz: cannot be written: No such file or directory\n"
        "  Give a file in a folder that exists and can be written."
    )
    assert [found.name for found in tmp_path.iterdir()] == ["net.json"]


def test_several_weights_for_a_file_of_one_array_are_refused_by_its_name(tmp_path: Path) -> None:
    array = np.zeros(3, np.float32)
    weights = {name: Weight(name, array.shape, array.dtype, lambda: array, "memory") for name in ("a", "b")}
    with pytest.raises(WeightFileError) as caught:
        write_weights(tmp_path / "x.npy", weights)
    assert str(caught.value) == (
        f"{tmp_path / 'x.npy'}: holds one array, and there are 2 weights\n  Write a .npz file."
    )
    assert list(tmp_path.iterdir()) == []
