"""Data that are copied before it is known what is wanted: what was foreseen rightly is used, all else written anew."""

from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from converters import head_start
from converters.head_start import HeadStart, Piece
from converters.weights import Writing, read_weights, rewrite_weights
from tests.small_models import initializers_of, numbered, small_model

SOURCE = {"a.weight": numbered((40, 50), 1), "b.weight": numbered((30, 20), 5), "c.bias": numbered((7,), 9)}
TARGET = {"a.weight": numbered((40, 50), 7000), "b.weight": numbered((30, 10), 8000), "c.bias": numbered((7,), 9000)}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(head_start, "WORTHWHILE_BYTES", 0)
    for name, arrays in (("source", SOURCE), ("target", TARGET)):
        (tmp_path / name).mkdir()
        ir.save(small_model(arrays), tmp_path / name / "a.onnx", external_data="a.bin", size_threshold_bytes=0)
    return tmp_path


def test_what_both_have_alike_comes_from_the_source_and_all_else_from_the_target(folder: Path) -> None:
    with HeadStart(folder / "source" / "a.onnx", folder / "target" / "a.onnx", folder / "out.onnx") as begun:
        copied = begun.take(folder / "taken")
    content = (folder / "taken").read_bytes()
    shape = np.array([0, -1])  # of a Reshape, at the end of both
    wanted = [SOURCE["a.weight"], TARGET["b.weight"], SOURCE["c.bias"], shape]
    arrays = sorted(array.tobytes() for array in wanted)
    assert sorted(content[start : start + piece.length] for start, piece in copied.items()) == arrays


def test_what_nobody_takes_is_removed(folder: Path) -> None:
    with HeadStart(folder / "source" / "a.onnx", folder / "target" / "a.onnx", folder / "out.onnx"):
        assert [path.name for path in folder.iterdir() if path.name.startswith(".out.onnx.")]
    assert sorted(path.name for path in folder.iterdir()) == ["source", "target"]


def test_small_data_are_not_begun(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_start, "WORTHWHILE_BYTES", 10**6)
    with HeadStart(folder / "source" / "a.onnx", folder / "target" / "a.onnx", folder / "out.onnx") as begun:
        assert begun.take(folder / "taken") == {}
    assert sorted(path.name for path in folder.iterdir()) == ["source", "target"]


@pytest.mark.parametrize("changed", [[], ["a.weight"], ["c.bias"], list(SOURCE)])
def test_a_model_is_the_same_whatever_was_foreseen(changed: list[str], folder: Path) -> None:
    source, target = folder / "source" / "a.onnx", folder / "target" / "a.onnx"
    weights = read_weights(source)
    carried = {name: weights[name] for name in changed if name != "b.weight"}
    (folder / "begun").mkdir()
    (folder / "plain").mkdir()
    with HeadStart(source, target, folder / "begun" / "o.onnx") as begun:
        rewrite_weights(folder / "begun" / "o.onnx", target, read_weights(target), carried, Writing(head_start=begun))
    rewrite_weights(folder / "plain" / "o.onnx", target, read_weights(target), carried)
    for name in ("o.onnx", "o.onnx.data"):
        assert (folder / "begun" / name).read_bytes() == (folder / "plain" / name).read_bytes()
    found = initializers_of(folder / "begun" / "o.onnx")
    for name, array in (TARGET | {name: SOURCE[name] for name in carried}).items():
        np.testing.assert_array_equal(found[name], array)
    assert sorted(path.name for path in (folder / "begun").iterdir()) == ["o.onnx", "o.onnx.data"]


def move_out(folder: Path) -> None:
    (folder / "target" / "a.bin").rename(folder / "outside.bin")
    (folder / "target" / "a.bin").symlink_to(folder / "outside.bin")


def lead_out(folder: Path) -> None:
    (folder / "target" / "a.bin").rename(folder / "outside.bin")
    proto = onnx.load(folder / "target" / "a.onnx", load_external_data=False)
    for tensor in proto.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../outside.bin"
    onnx.save(proto, folder / "target" / "a.onnx")


def cut(folder: Path) -> None:
    (folder / "target" / "a.bin").write_bytes(b"")


def no_model(folder: Path) -> None:
    (folder / "target" / "a.onnx").write_bytes(b"no model")


@pytest.mark.parametrize("break_it", [move_out, lead_out, cut, no_model])
def test_nothing_is_copied_from_where_it_may_not_be(break_it: object, folder: Path) -> None:
    break_it(folder)  # type: ignore[operator]
    with HeadStart(folder / "source" / "a.onnx", folder / "target" / "a.onnx", folder / "out.onnx") as begun:
        copied = begun.take(folder / "taken")
    status = (folder / "source" / "a.bin").stat()
    of_source = partial(Piece, status.st_dev, status.st_ino, status.st_mtime_ns)
    assert all(piece == of_source(piece.start, piece.length) for piece in copied.values())
