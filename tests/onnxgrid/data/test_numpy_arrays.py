"""What .npy and .npz files become, and how unusable ones are told."""

import numpy as np
import pytest

from onnxgrid.data.numpy_arrays import NumpyArrays
from onnxgrid.errors import DataError

CUBE = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)


def message(root):
    with pytest.raises(DataError) as caught:
        NumpyArrays(root, memory_map=False)
    return str(caught.value)


@pytest.mark.parametrize("memory_map", [False, True])
def test_every_array_of_every_file_is_a_sample(tmp_path, memory_map):
    (tmp_path / "sub").mkdir()
    np.save(tmp_path / "sub" / "b.npy", CUBE + 2)
    np.savez(tmp_path / "m.npz", y=CUBE + 1, x=CUBE)
    np.savez_compressed(tmp_path / "a.npz", only=CUBE + 3)
    arrays = NumpyArrays(tmp_path, memory_map=memory_map)
    assert arrays.names == ("a.npz/only", "m.npz/x", "m.npz/y", "sub/b.npy")
    assert [path.name for path in arrays.files] == ["a.npz", "m.npz", "m.npz", "b.npy"]
    assert arrays.shape == (2, 3, 4)
    for index, added in enumerate([3, 0, 1, 2]):
        np.testing.assert_array_equal(arrays.read(index), CUBE + added)


def test_a_single_file_may_be_opened(tmp_path):
    np.save(tmp_path / "a.npy", CUBE)
    assert NumpyArrays(tmp_path / "a.npy", memory_map=True).names == ("a.npy",)


@pytest.mark.parametrize("dtype", ["bool", "u1", "i8", "f2", "f8", ">f4"])
def test_numbers_of_any_type_are_read(tmp_path, dtype):
    np.save(tmp_path / "a.npy", np.ones((1, 2), dtype))
    assert NumpyArrays(tmp_path, memory_map=True).read(0).dtype == np.dtype(dtype)


def test_arrays_in_fortran_order_are_read(tmp_path):
    np.save(tmp_path / "a.npy", np.asfortranarray(CUBE))
    np.testing.assert_array_equal(NumpyArrays(tmp_path, memory_map=True).read(0), CUBE)


def test_a_truncated_file_is_told(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, CUBE)
    path.write_bytes(path.read_bytes()[:-10])
    assert message(tmp_path) == (
        f"{path}: cannot be read: it is cut off: 96 bytes of values announced, 86 there\n"
        "  Write the file anew, or take it away."
    )


@pytest.mark.parametrize("length", [0, 5, 20, 100])
def test_a_header_that_is_cut_off_is_a_data_error(tmp_path, length):
    path = tmp_path / "a.npy"
    np.save(path, CUBE)
    path.write_bytes(path.read_bytes()[:length])
    assert message(tmp_path).startswith(f"{path}: cannot be read: ")


def test_python_objects_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}, 1], dtype=object))
    assert message(tmp_path) == (
        f"{tmp_path}/a.npy: holds Python objects\n  Save it as an array of numbers; pickled objects are never loaded."
    )


@pytest.mark.parametrize(("dtype", "name"), [("c8", "complex64"), ("U3", "<U3"), ("M8[s]", "datetime64[s]")])
def test_what_is_no_number_is_refused(tmp_path, dtype, name):
    np.savez(tmp_path / "a.npz", k=np.zeros(2, dtype))
    assert message(tmp_path) == (
        f"{tmp_path}/a.npz, array 'k': holds {name}\n  Save it as booleans, integers or floating-point numbers."
    )


def test_arrays_of_two_shapes_are_told_with_both(tmp_path):
    np.save(tmp_path / "a.npy", CUBE)
    np.savez(tmp_path / "b.npz", k=CUBE[:, :2])
    assert message(tmp_path) == (
        f"{tmp_path}/b.npz, array 'k': this array has shape (2, 2, 4), but {tmp_path}/a.npy has (2, 3, 4)\n"
        "  Give arrays of one shape: one batch is one array."
    )


def test_an_archive_without_arrays_is_told(tmp_path):
    np.savez(tmp_path / "a.npz")
    assert message(tmp_path) == f"{tmp_path}/a.npz: holds no array\n  Put arrays into it, or take it away."


def test_a_file_that_is_no_archive_is_told(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK nothing")
    assert message(tmp_path) == (
        f"{tmp_path}/a.npz: cannot be read: not a whole .npz archive\n  Write the file anew, or take it away."
    )


def test_a_damaged_array_of_an_archive_is_told_when_read(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, k=CUBE)
    content = bytearray(path.read_bytes())
    at = content.index(CUBE.tobytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        NumpyArrays(tmp_path, memory_map=False).read(0)
    assert str(caught.value) == (
        f"{path}, array 'k': cannot be read: Bad CRC-32 for file 'k.npy'\n  Write the file anew, or take it away."
    )


def test_an_empty_directory_is_told(tmp_path):
    assert (
        message(tmp_path) == f"{tmp_path}: the directory holds no NumPy files\n  Give files of these kinds: .npy, .npz."
    )
