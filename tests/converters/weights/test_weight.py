"""A weight's values in another type, and the registry of readers."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from converters.errors import WeightFileError
from converters.weights import READERS, Weight, read_weights, reads
from converters.weights.weight import collect_weights


def weight(array, name="a.weight"):
    return Weight(name, array.shape, array.dtype, lambda: array, "w.pt")


CASTS = {
    "half to single": (np.float16, np.float32, [1.5, -2.25]),
    "bfloat16 to single": (ml_dtypes.bfloat16, np.float32, [1.5, -2.25]),
    "double to single": (np.float64, np.float32, [0.1, -2.25]),
    "single to bfloat16": (np.float32, ml_dtypes.bfloat16, [1.5, 256.0]),
    "NaN and infinity stay": (np.float64, np.float16, [np.nan, np.inf, -np.inf, 1.0]),
}


@pytest.mark.parametrize(("stored", "wanted", "values"), CASTS.values(), ids=CASTS)
def test_values_are_cast_between_floats(stored, wanted, values):
    cast = weight(np.array(values, dtype=stored)).values(wanted)
    assert cast.dtype == wanted
    np.testing.assert_array_equal(cast.astype(np.float64), np.array(values).astype(wanted).astype(np.float64))


def test_a_value_that_does_not_fit_is_refused():
    with pytest.raises(WeightFileError) as caught:
        weight(np.array([1e30, 1.0, 7e4], dtype=np.float32)).values(np.float16)
    assert str(caught.value) == (
        "w.pt, tensor 'a.weight': 2 of 3 values are too large for float16\n  Use a target whose weights are float32."
    )


def test_integers_are_not_cast():
    with pytest.raises(WeightFileError) as caught:
        weight(np.array([1, 2])).values(np.float32)
    assert str(caught.value) == (
        "w.pt, tensor 'a.weight': int64 cannot be cast to float32\n"
        "  Give a file whose weights are float16, bfloat16, float32 or float64."
    )


def test_two_weights_of_one_name_are_refused():
    with pytest.raises(WeightFileError) as caught:
        collect_weights([weight(np.ones(1)), weight(np.zeros(1))])
    assert str(caught.value) == (
        "w.pt, tensor 'a.weight': two tensors have this name\n  Write the file anew, each name once."
    )


def test_an_unknown_suffix_is_refused_naming_the_known_ones():
    with pytest.raises(WeightFileError) as caught:
        read_weights(Path("a.tar.gz"))
    assert str(caught.value) == (
        "a.tar.gz: the suffix '.gz' is not one of a weight file\n"
        "  Use one of: .h5, .hdf5, .keras, .npy, .npz, .onnx, .pt, .pth, .safetensors, .safetensors.index.json."
    )


def test_a_suffix_has_one_reader():
    with pytest.raises(ValueError, match=r"^\.onnx is read by converters\.weights\.onnx_file already$"):
        reads(".onnx")(lambda path: {})


def test_each_format_has_its_test_module():
    modules = {reader.__module__.rpartition(".")[2] for reader in READERS.values()}
    folder = Path(__file__).parent
    assert [m for m in sorted(modules) if not (folder / f"test_{m}_weights.py").exists()] == []
