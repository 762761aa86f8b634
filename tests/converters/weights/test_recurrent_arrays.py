"""Recurrent layers in files that do not say what they hold: what the shapes of their arrays say of them."""

from pathlib import Path

import h5py
import numpy as np
import pytest

import converters
from converters.weights import network_layers, read_weights

RANDOM = np.random.default_rng(0)
DATA = Path(__file__).parents[1] / "data" / "keras2"


def numbers(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def file_of(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """A file of Keras 2 with the layer `net`, which holds arrays by name, and no network."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["net"]
        group = file.create_group("net")
        group.attrs["weight_names"] = list(arrays)
        for name, values in arrays.items():
            group.create_dataset(name, data=values)
    return path


def cell(gates: int, *, inputs: int = 3, units: int = 2, bias: tuple[int, ...] | None = None) -> dict[str, np.ndarray]:
    arrays = {"kernel": numbers(inputs, gates * units), "recurrent_kernel": numbers(units, gates * units)}
    return arrays if bias is None else {**arrays, "bias": numbers(*bias)}


def in_part(part: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"net/{part}/{name}:0": values for name, values in arrays.items()}


@pytest.mark.parametrize(
    ("gates", "bias", "order"),
    [(4, (8,), [0, 3, 1, 2]), (3, (2, 6), [0, 1, 2]), (3, (6,), [0, 1, 2]), (1, (2,), [0])],
    ids=["LSTM", "GRU", "GRU of Keras 1", "SimpleRNN"],
)
def test_the_class_follows_from_the_shapes(gates: int, bias: tuple[int, ...], order: list[int], tmp_path: Path) -> None:
    """ONNX wants the gates of an LSTM in another order, and each array transposed, behind an axis of one direction."""
    arrays = cell(gates, bias=bias)
    read = read_weights(file_of(tmp_path / "a.h5", in_part("cell", arrays)))

    def in_order(array: np.ndarray) -> np.ndarray:
        parts = np.split(array, gates, axis=-1)
        return np.concatenate([parts[number] for number in order], axis=-1)

    wanted = {
        "net.weight_ih": in_order(arrays["kernel"]).T[None],
        "net.weight_hh": in_order(arrays["recurrent_kernel"]).T[None],
        "net.bias": in_order(arrays["bias"]).reshape(1, -1),
    }
    assert read.keys() == wanted.keys()
    for name, weight in read.items():
        np.testing.assert_array_equal(weight.read(), wanted[name])
        assert weight.shape == wanted[name].shape


@pytest.mark.parametrize(
    "arrays",
    [
        in_part("cell", cell(2)),
        in_part("cell", cell(5)),
        in_part("cell", {"kernel": numbers(3, 8), "recurrent_kernel": numbers(2, 6)}),
        in_part("cell", {"kernel": numbers(3, 7), "recurrent_kernel": numbers(2, 7)}),
        in_part("cell", {"kernel": numbers(3, 0), "recurrent_kernel": numbers(0, 0)}),
        in_part("cell", {"kernel": numbers(3, 8), "recurrent_kernel": numbers(2, 2, 2)}),
        in_part("cell", {"kernel": numbers(8), "recurrent_kernel": numbers(2, 8)}),
        in_part("cell", {"recurrent_kernel": numbers(2, 8)}),
    ],
    ids=["2 gates", "5 gates", "two widths", "no whole gates", "empty", "three axes", "one axis", "no kernel"],
)
def test_what_is_no_cell_of_keras_keeps_its_arrays(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    read = read_weights(file_of(tmp_path / "a.h5", arrays))
    assert {name.rpartition(".")[2] for name in read} <= {"kernel", "recurrent_kernel", "weight"}
    for weight, stored in zip(read.values(), arrays.values(), strict=True):
        values = weight.read()
        assert sorted(values.flatten()) == sorted(stored.flatten())
        assert weight.shape == values.shape


def test_a_layer_of_two_cells_has_those_of_both(tmp_path: Path) -> None:
    arrays = {**in_part("a", cell(4, bias=(8,))), **in_part("b", cell(3, bias=(6,)))}
    read = read_weights(file_of(tmp_path / "a.h5", arrays))
    parameters = ("weight_ih", "weight_hh", "bias")
    assert list(read) == [f"net.{part}.{parameter}" for part in "ab" for parameter in parameters]
    assert [weight.shape for weight in read.values()] == [(1, 8, 3), (1, 8, 2), (1, 8), (1, 6, 3), (1, 6, 2), (1, 6)]


def test_what_a_gpu_wanted_is_found_by_its_bias() -> None:
    """CuDNNLSTM's arrays are the same to us whether the network says the class or the shapes do."""
    path = DATA / "cudnn.weights_legacy.h5"
    told = read_weights(path, network_layers(converters.convert(DATA / "cudnn.json")))
    found = read_weights(path)
    for name in ("lstm.weight_ih", "lstm.weight_hh", "lstm.bias"):
        np.testing.assert_array_equal(found[name].read(), told[name].read())
