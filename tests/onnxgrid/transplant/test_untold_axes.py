"""Normalizations over several axes in files of Keras, with and without a model that tells how it has them."""

from pathlib import Path

import keras
import numpy as np
import onnx_ir as ir
import pytest
from keras import layers

import onnxgrid
from converters.weights import read_weights
from tests.converters.keras_oracle import convert_keras, functional, randomize

torch = pytest.importorskip("torch", reason="writes .pt files")

# Keras' torch backend copies its variables for saving in a way that NumPy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

SUFFIXES = [".keras", ".h5", ".weights.h5"]


@pytest.fixture
def network() -> keras.Model:
    made = functional([layers.LayerNormalization(axis=[1, 2, 3], name="ln"), layers.Conv2D(2, 3, name="c")], (4, 5, 3))
    randomize(made)
    return made


def saved(network: keras.Model, folder: Path, suffix: str) -> Path:
    path = folder / f"own{suffix}"
    (network.save_weights if suffix == ".weights.h5" else network.save)(path)
    return path


def of_torch(folder: Path, shape: tuple[int, ...] = (3, 4, 5)) -> Path:
    torch.save({"ln.weight": torch.ones(shape), "ln.bias": torch.ones(shape)}, folder / "torch.pt")
    return folder / "torch.pt"


def ours(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("onnxgrid")]


def warning(place: Path, which: str) -> str:
    return (
        f"{place}: 'ln.weight', 'ln.bias' of normalizations over several axes stand as Keras has them, as (H, W, C), "
        f"and nothing tells how a model has them: give --{which}-graph MODEL.onnx, or leave them out with --exclude"
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_between_two_weight_files_what_is_missing_is_said(
    suffix: str, network: keras.Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own, other = saved(network, tmp_path, suffix), of_torch(tmp_path)
    for ends, which in (((own, other), "source"), ((other, own), "target")):
        caplog.clear()
        assert len(onnxgrid.plan_transplant(*ends).plan.shape_mismatch) == 2
        assert ours(caplog) == [warning(own, which)]


def test_equal_sizes_that_would_hide_the_order_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cube = functional([layers.LayerNormalization(axis=[1, 2, 3], name="ln")], (3, 3, 3))
    own, other = saved(cube, tmp_path, ".weights.h5"), of_torch(tmp_path, (3, 3, 3))
    assert len(onnxgrid.plan_transplant(own, other).plan.copied) == 2
    assert ours(caplog) == [warning(own, "source")]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_graph_tells_the_order(
    suffix: str, network: keras.Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own, graph = saved(network, tmp_path, suffix), tmp_path / "graph.onnx"
    ir.save(convert_keras(network, tmp_path), graph)
    onnxgrid.transplant(own, of_torch(tmp_path), tmp_path / "out.pt", source_graph=graph)
    onnxgrid.transplant(own, own, tmp_path / "out.npz", target_graph=graph)
    assert ours(caplog) == []
    gamma = network.get_layer("ln").gamma.numpy().transpose(2, 0, 1)
    for out in ("out.pt", "out.npz"):
        np.testing.assert_array_equal(read_weights(tmp_path / out)["ln.weight"].read(), gamma)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_of_keras_among_themselves_agree(
    suffix: str, network: keras.Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own, other = saved(network, tmp_path, suffix), tmp_path / "other.weights.h5"
    network.save_weights(other)
    assert len(onnxgrid.plan_transplant(own, other).plan.copied) == 4
    assert ours(caplog) == []


def test_another_kind_of_file_that_gets_keras_order_is_warned_of(
    network: keras.Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = saved(network, tmp_path, ".keras")
    onnxgrid.transplant(own, own, tmp_path / "out.npz")
    assert ours(caplog) == [
        f"{own}: 'ln.weight', 'ln.bias' of normalizations over several axes are written as Keras has them, as (H, W, "
        "C), and nothing tells how a model has them: give --target-graph MODEL.onnx"
    ]
