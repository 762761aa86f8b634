"""A model on its way to a file."""

import os
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

import converters
from converters.errors import ConversionError, WritingFailed
from tests.small_models import numbered, small_model

MODEL = small_model({"conv.weight": numbered((3, 3, 1, 1)), "conv.bias": numbered((3,))})


def test_a_saved_model_is_valid(tmp_path: Path) -> None:
    converters.save_model(MODEL, tmp_path / "net.onnx")
    onnx.checker.check_model(tmp_path / "net.onnx")


def test_saving_leaves_nothing_but_the_file(tmp_path: Path) -> None:
    path = tmp_path / "out" / "net.onnx"
    path.parent.mkdir()
    path.write_text("old")
    converters.save_model(MODEL, path)
    assert os.listdir(path.parent) == ["net.onnx"]


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out" / "net.onnx"
    path.parent.mkdir()
    path.write_text("old")

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(WritingFailed) as error:
        converters.save_model(MODEL, path)
    assert str(error.value) == (
        f"{path}: cannot be written: No space left on device\n  Free some space there, or write to another disk."
    )
    assert os.listdir(path.parent) == ["net.onnx"]
    assert path.read_text() == "old"


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "net.onnx"
    with pytest.raises(ConversionError) as error:
        converters.save_model(MODEL, path)
    assert str(error.value) == (
        f"{path}: cannot be written: No such file or directory\n"
        "  Give a file in a folder that exists and can be written."
    )


def test_a_model_of_more_than_2_gib_is_refused_before_its_values_are_read(tmp_path: Path) -> None:
    model = small_model({"conv.weight": numbered((3, 3, 1, 1))})

    def read() -> ir.Tensor:
        raise AssertionError("read")

    weight = model.graph.initializers["conv.weight"]
    weight.const_value = ir.LazyTensor(read, dtype=ir.DataType.FLOAT, shape=ir.Shape([3, 2**28]), name="conv.weight")
    with pytest.raises(ConversionError) as error:
        converters.save_model(model, tmp_path / "net.onnx")
    assert str(error.value) == (
        f"{tmp_path}/net.onnx: cannot be written: the model holds 3.0 GiB of initializers, and a file ends at 2 GiB\n"
        "  Use a smaller model."
    )
    assert os.listdir(tmp_path) == []
