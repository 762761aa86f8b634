"""Weights of NumPy's files; numpy.save and numpy.savez write them."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.errors import WeightFileError
from converters.weights import read_weights

ARRAYS = {
    "enc1/conv.weight": np.arange(24, dtype=np.float32).reshape(4, 3, 2, 1),
    "conv.bias": np.array([1.5, -0.0, np.nan, np.inf], np.float64),
    "in columns": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "the other byte order": np.arange(6, dtype=">f4").reshape(2, 3),
    "scalar": np.array(3.5, np.float32),
    "empty": np.zeros((0, 3), np.float32),
    "half": np.array([1.5, -2.0], np.float16),
    "bfloat16": np.array([[1.5], [-2.0]], ml_dtypes.bfloat16),
}


@pytest.mark.parametrize("compressed", [False, True])
def test_an_archive_gives_its_arrays_bit_by_bit(compressed: bool, tmp_path: Path) -> None:
    (np.savez_compressed if compressed else np.savez)(tmp_path / "a.npz", **ARRAYS)
    weights = read_weights(tmp_path / "a.npz")
    assert list(weights) == list(ARRAYS)
    for name, array in ARRAYS.items():
        native = array.astype(array.dtype.newbyteorder("="))
        assert (weights[name].shape, weights[name].dtype) == (array.shape, native.dtype)
        read = weights[name].read()
        assert (read.shape, read.dtype, read.tobytes()) == (array.shape, native.dtype, native.tobytes())


def test_what_is_not_compressed_is_mapped_not_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **{"a.weight": np.ones(5, np.float32)})
    assert not read_weights(tmp_path / "a.npz")["a.weight"].read().flags.owndata


def test_one_array_is_named_by_its_file(tmp_path: Path) -> None:
    np.save(tmp_path / "conv1.weight.npy", ARRAYS["enc1/conv.weight"])
    (weight,) = read_weights(tmp_path / "conv1.weight.npy").values()
    assert weight.name == "conv1.weight"
    np.testing.assert_array_equal(weight.read(), ARRAYS["enc1/conv.weight"])


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def header(text: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + data


def described(shape: str, descr: str = "'<f4'") -> bytes:
    return header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n", bytes(8))


FLOATS = npy(np.ones(3, np.float32))
NO_ARRAY = "is no NumPy array, or one of a broken header\n  Write it with numpy.save."

HOSTILE = {
    "pickled objects": (
        npy(np.array([{}, None])),
        "holds pickled Python objects, which are not read\n  Write it as an array of numbers.",
    ),
    "objects within records": (
        described("(1,)", "[('a', '|O')]"),
        "holds pickled Python objects, which are not read\n  Write it as an array of numbers.",
    ),
    "texts": (npy(np.array(["a"])), "is of type <U1, which is no number\n  Write it as numbers."),
    "a pickle": (b"\x80\x04\x95" + bytes(40), NO_ARRAY),
    "code in the header": (header("__import__('os').mkdir('x')\n"), NO_ARRAY),
    "a header of many brackets": (header("(" * 9000 + "\n"), NO_ARRAY),
    "cut data": (FLOATS[:-1], "has 11 bytes of data, and its shape (3,) needs 12\n  Give a whole file."),
    "trailing data": (FLOATS + b"x", "has 13 bytes of data, and its shape (3,) needs 12\n  Give a whole file."),
    "10^12 elements": (
        described("(1000000, 1000000)"),
        "has 8 bytes of data, and its shape (1000000, 1000000) needs 4000000000000\n  Give a whole file.",
    ),
    "a negative size": (
        described("(-1, -2)"),
        "has the shape (-1, -2), which none can have\n  Write it with numpy.save.",
    ),
}


@pytest.mark.parametrize(("content", "problem"), HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("archived", [False, True])
def test_an_array_that_is_refused_says_why(
    content: bytes, problem: str, archived: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / ("w.npz" if archived else "a.npy")
    if archived:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.npy", content)
    else:
        path.write_bytes(content)
    with pytest.raises(WeightFileError) as caught:
        read_weights(path)
    assert str(caught.value) == f"{path}, tensor 'a': {problem}"
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data(), compressed=st.booleans())
def test_a_damaged_archive_raises_a_weight_file_error_only(
    data: st.DataObject, compressed: bool, tmp_path: Path
) -> None:
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **ARRAYS)
    content = bytearray(stream.getvalue())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "a.npz").write_bytes(content[: data.draw(st.integers(1, len(content)) | st.just(len(content)))])
    try:
        for weight in read_weights(tmp_path / "a.npz").values():
            weight.read()
    except WeightFileError:
        pass
