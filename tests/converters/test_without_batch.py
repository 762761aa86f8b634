"""Tensors without a batch in layers and operations, against what Keras 2 computed: recorded in `data/tensorflow`."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import converters
from converters.errors import ConversionError
from converters.layers.graph_builder import IoLayout
from onnxgrid import convert
from tests.converters.keras_oracle import RELATIVE_TOLERANCE, run_onnx

FILES = Path(__file__).parent / "data" / "tensorflow" / "without_batch"
NETWORKS: dict[str, Any] = json.loads(FILES.with_suffix(".json").read_text())


@cache
def arrays() -> dict[str, np.ndarray]:
    with np.load(FILES.with_suffix(".npz")) as found:
        return dict(found)


def weights_of(case: str) -> Iterator[tuple[str, str, np.ndarray]]:
    """Each weight of a network, with the names of its layer and its own."""
    for name, array in arrays().items():
        if name.startswith(f"{case}|") and name.count("|") == 2:
            _case, layer, weight = name.split("|")
            yield layer, weight, array


def write_weights(case: str, path: Path) -> Path:
    """The weights of a network in a file as Keras 2 writes it."""
    with h5py.File(path, "w") as file:
        names: dict[str, list[str]] = {}
        for layer, weight, array in weights_of(case):
            file.require_group(layer).create_dataset(weight, data=array)
            names.setdefault(layer, []).append(weight)
        file.attrs["layer_names"] = [name.encode() for name in names]
        for layer, listed in names.items():
            file[layer].attrs["weight_names"] = [weight.encode() for weight in listed]
    return path


def assert_equals_keras_2(case: str, folder: Path, network: Any) -> None:
    (folder / "net.json").write_text(json.dumps(network))
    weights = write_weights(case, folder / "net.h5") if any(weights_of(case)) else None
    how: Any = {"weights": weights, "strict": weights is not None, "io_layout": IoLayout.CHANNELS_LAST}
    model = convert(folder / "net.json", **how).model
    (output,) = run_onnx(model, arrays()[f"{case}|in"], raw_inputs=True, raw_outputs=True)
    want = arrays()[f"{case}|out"]
    assert output.shape == want.shape
    np.testing.assert_allclose(output, want, rtol=0, atol=RELATIVE_TOLERANCE * np.abs(want).max())


@pytest.mark.parametrize("case", NETWORKS)
def test_a_network_equals_keras_2(case: str, tmp_path: Path) -> None:
    assert_equals_keras_2(case, tmp_path, NETWORKS[case])


OF_ANY_LENGTH = [
    *("a table of places", "LayerNormalization of a table", "Add repeats a table", "the first rows of a table"),
    *("a token, broadcast", "a token, tiled", "attention to the places before", "linear biases", "rotary places"),
    *("waves, joined", "waves, stacked"),
]


@pytest.mark.parametrize("case", OF_ANY_LENGTH)
def test_a_network_equals_keras_2_where_the_length_is_open(case: str, tmp_path: Path) -> None:
    network = json.loads(json.dumps(NETWORKS[case]))
    network["config"]["layers"][0]["config"]["batch_input_shape"][1] = None
    assert_equals_keras_2(case, tmp_path, network)


def refusal(case: str, folder: Path, edit: Any) -> str:
    network = json.loads(json.dumps(NETWORKS[case]))
    edit(network["config"])
    (folder / "net.json").write_text(json.dumps(network))
    with pytest.raises(ConversionError) as error:
        converters.convert(folder / "net.json")
    return str(error.value).partition(": ")[2]


def test_an_output_without_a_batch_is_refused(tmp_path: Path) -> None:
    def give_the_table(config: Any) -> None:
        config["output_layers"] = [["table", 0, 0]]

    assert refusal("a table of places", tmp_path, give_the_table) == (
        "layer 'table' (Embedding): is given numbers that are computed from a shape, which have no batch\n"
        "  Compute with them, no more."
    )


def test_what_has_no_batch_is_not_joined_with_what_has_one(tmp_path: Path) -> None:
    def join_the_table(config: Any) -> None:
        config["layers"][-1]["inbound_nodes"][0][0][0] = config["layers"][-4]["name"]

    text = refusal("a token, repeated", tmp_path, join_the_table)
    assert text == (
        "layer 'tf.concat' (tf.concat): joins tensors with a batch and without: (1, 1, 4), (N, 6, 4)\n"
        "  Repeat those without for the batch first, by tf.tile or tf.broadcast_to."
    )
