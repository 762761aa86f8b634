"""Initializers against Keras' own: read from Keras' JSON, drawn large, and compared as distributions."""

import json
from typing import Any

import keras
import numpy as np
import pytest

from converters.initializers import READERS, Constant, Initializer, generator, read_initializer
from converters.json_text import parse_json
from converters.keys import Keys
from converters.notices import Notices

KERNEL = (3, 5, 40, 60)
ki = keras.initializers

keras.utils.set_random_seed(0)  # an initializer without a seed draws one when it is made: these values shall not vary

CASES = {
    "Constant": [ki.Constant(2.5)],
    "GlorotNormal": [ki.GlorotNormal()],
    "GlorotUniform": [ki.GlorotUniform()],
    "HeNormal": [ki.HeNormal()],
    "HeUniform": [ki.HeUniform()],
    "LecunNormal": [ki.LecunNormal()],
    "LecunUniform": [ki.LecunUniform()],
    "Ones": [ki.Ones()],
    "RandomNormal": [ki.RandomNormal(), ki.RandomNormal(0.3, 2.0)],
    "RandomUniform": [ki.RandomUniform(), ki.RandomUniform(-1.0, 3.0)],
    "TruncatedNormal": [ki.TruncatedNormal(), ki.TruncatedNormal(0.3, 2.0)],
    "VarianceScaling": [
        ki.VarianceScaling(),
        ki.VarianceScaling(2.0, "fan_out", "uniform"),
        ki.VarianceScaling(0.5, "fan_avg", "untruncated_normal"),
    ],
    "Zeros": [ki.Zeros()],
    "Identity": [ki.Identity()],
    "Orthogonal": [ki.Orthogonal(), ki.Orthogonal(3.0)],
}


def read(written: Any) -> Initializer:
    keys = Keys(
        parse_json(json.dumps({"kernel_initializer": written}), "net.json"),
        layer="a",
        class_name="Dense",
        notices=Notices(),
    )
    return read_initializer(keys, "kernel_initializer", Constant(-7.0))


def ours(initializer: keras.initializers.Initializer, shape: tuple[int, ...]) -> np.ndarray:
    return read(keras.initializers.serialize(initializer)).draw(shape, generator(0, "a.weight"))


SPREAD = [
    (name, index)
    for name, initializers in CASES.items()
    for index in range(len(initializers))
    if name not in ("Identity", "Orthogonal")
]


@pytest.mark.parametrize(("name", "index"), SPREAD)
def test_values_are_spread_as_keras_spreads_them(name: str, index: int) -> None:
    values = ours(CASES[name][index], KERNEL)
    expected = np.asarray(CASES[name][index](KERNEL, dtype="float32"))
    assert (values.shape, values.dtype) == (KERNEL, np.float32)
    scale = max(float(np.abs(expected).max()), 1e-6)
    assert abs(values.mean() - expected.mean()) < 0.02 * scale
    np.testing.assert_allclose(values.std(), expected.std(), rtol=0.02, atol=1e-7)
    quantiles = np.linspace(0.02, 0.98, 25)
    np.testing.assert_allclose(np.quantile(values, quantiles), np.quantile(expected, quantiles), atol=0.03 * scale)
    if "Uniform" in name or "Truncated" in name:
        np.testing.assert_allclose([values.min(), values.max()], [expected.min(), expected.max()], atol=0.03 * scale)


@pytest.mark.parametrize("gain", [1.0, 2.0])
def test_identity_is_keras_s(gain: float) -> None:
    written = {"class_name": "Identity", "config": {"gain": gain}}  # which Keras reads, but does not write
    values = read(written).draw((3, 5), generator(0, "a.weight"))
    np.testing.assert_array_equal(values, np.asarray(ki.Identity(gain)((3, 5))))


@pytest.mark.parametrize("shape", [(12, 5), (5, 12), (3, 2, 4, 7), (2, 2, 3, 30)])
def test_orthogonal_columns_or_rows_are_orthonormal_times_the_gain(shape: tuple[int, ...]) -> None:
    matrix = ours(ki.Orthogonal(3.0), shape).reshape(-1, shape[-1])
    short = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    np.testing.assert_allclose(short @ short.T, 9 * np.eye(len(short)), atol=1e-5)


@pytest.mark.parametrize("name", READERS)
def test_every_initializer_has_a_case(name: str) -> None:
    assert CASES.get(name), f"add {name} to CASES"


def test_a_name_in_small_letters_is_the_class() -> None:
    assert read("he_normal") == read({"class_name": "HeNormal", "config": {"seed": 3}}) == read("HeNormal")


def test_null_is_the_default_of_the_layer() -> None:
    assert read(None) == Constant(-7.0)


def test_the_old_spelling_of_a_truncated_normal_is_one() -> None:
    written = {"class_name": "VarianceScaling", "config": {"scale": 2, "mode": "fan_in", "distribution": "normal"}}
    assert np.abs(read(written).draw(KERNEL, generator(0, "w"))).max() < 2.3 * np.sqrt(2 / (15 * 40))


def test_null_of_tensorflow_js_is_the_default_of_an_option() -> None:
    written = {"scale": 1, "mode": None, "distribution": None, "seed": None}
    assert read({"class_name": "VarianceScaling", "config": written}) == read("VarianceScaling")


def test_parameters_draw_independently_and_repeatably() -> None:
    first, again = (generator(3, "a.weight").random(5) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, generator(3, "b.weight").random(5))
    assert not np.array_equal(first, generator(4, "a.weight").random(5))
