"""A file that is written over in its place while a plan is held, or while its weights are, is refused."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from converters.errors import WeightFileError
from converters.weights import read_weights, write_weights
from converters.weights.onnx import initializer_weights
from onnxgrid.transplant import plan_transplant
from tests.small_models import numbered, save_small_model, small_model

MESSAGE = "{path}: changed since it was opened\n  Leave the file while it is read, and begin anew."

SUFFIXES = ["safetensors", "npz", "npy", "pt", "onnx"]


def written(path: Path, start: float, layer: str = "a") -> Path:
    arrays = {f"{layer}.weight": numbered((64, 400), start)}
    if path.suffix == ".onnx":
        return save_small_model(path, arrays)
    write_weights(path, initializer_weights(small_model(arrays), "made here"))
    return path


def written_over(path: Path, other: Path) -> None:
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("role", ["source", "target"])
def test_a_plan_for_files_that_changed_is_not_carried_out(role: str, suffix: str, tmp_path: Path) -> None:
    ends = {name: written(tmp_path / f"{name}.{suffix}", 0) for name in ("source", "target")}
    if suffix == "npy":
        ends["source"].rename(tmp_path / "a.weight.npy")
        (tmp_path / "of_target").mkdir()
        ends["target"].rename(tmp_path / "of_target" / "a.weight.npy")
        ends = {"source": tmp_path / "a.weight.npy", "target": tmp_path / "of_target" / "a.weight.npy"}
    planned = plan_transplant(ends["source"], ends["target"])
    written_over(ends[role], written(tmp_path / f"other.{suffix}", 7, "bb"))
    with pytest.raises(WeightFileError) as caught:
        planned.apply(tmp_path / f"out.{suffix}")
    assert str(caught.value) == MESSAGE.format(path=ends[role])
    assert not (tmp_path / f"out.{suffix}").exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_weights_of_a_file_that_changed_are_not_read(suffix: str, tmp_path: Path) -> None:
    path = written(tmp_path / f"held.{suffix}", 0)
    (weight,) = read_weights(path).values()
    written_over(path, written(tmp_path / f"other.{suffix}", 7, "bb"))
    with pytest.raises(WeightFileError) as caught:
        weight.read()
    assert str(caught.value) == MESSAGE.format(path=path)


def test_a_compressed_array_of_a_file_that_changed_is_not_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", **{"a.weight": numbered((64, 40))})
    np.savez_compressed(tmp_path / "b.npz", **{"a.weight": numbered((64, 40), 1)})
    weight = read_weights(tmp_path / "a.npz")["a.weight"]
    written_over(tmp_path / "a.npz", tmp_path / "b.npz")
    with pytest.raises(WeightFileError) as caught:
        weight.read()
    assert str(caught.value) == MESSAGE.format(path=tmp_path / "a.npz")


def test_a_turned_tensor_of_a_shorter_file_is_not_read(tmp_path: Path) -> None:
    import torch

    torch.save({"a.weight": torch.ones(600, 400).T}, tmp_path / "a.pt")
    weight = read_weights(tmp_path / "a.pt")["a.weight"]
    (tmp_path / "a.pt").write_bytes(b"short")
    with pytest.raises(WeightFileError) as caught:
        weight.read()
    assert str(caught.value) == MESSAGE.format(path=tmp_path / "a.pt")


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("role", ["source", "target"])
def test_external_data_that_changed_are_not_carried(role: str, in_place: bool, tmp_path: Path) -> None:
    for name in ("source", "target"):
        model = ir.to_proto(small_model({"a.weight": numbered((64, 40)), f"of_{name}.weight": numbered((64, 40))}))
        onnx.save(model, tmp_path / f"{name}.onnx", save_as_external_data=True, location=f"{name}.bin")
    planned = plan_transplant(tmp_path / "source.onnx", tmp_path / "target.onnx")
    data = tmp_path / f"{role}.bin"
    shutil.copy(data, tmp_path / "other.bin")
    if in_place:
        written_over(data, tmp_path / "other.bin")
    else:
        (tmp_path / "other.bin").replace(data)
    with pytest.raises(WeightFileError) as caught:
        planned.apply(tmp_path / "out.onnx")
    assert str(caught.value) == MESSAGE.format(path=data)
    assert sorted(path.name for path in tmp_path.iterdir() if "out" in path.name) == []
