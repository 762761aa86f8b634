"""Names of sizes that are not known: what they say is so, whatever the sizes of the input."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers as kl

import converters
from converters.layers.symbolic_sizes import SymbolicSize

MODELS = Path(__file__).parents[2] / "models"

STEPS: dict[str, Callable[[Any, int], Any]] = {
    "plus": lambda size, n: size.plus(n - 3) if isinstance(size, SymbolicSize) else size + n - 3,
    "times": lambda size, n: size.times(n) if isinstance(size, SymbolicSize) else size * n,
    "over": lambda size, n: size.over(n) if isinstance(size, SymbolicSize) else size // n,
}


def value_of(text: str, **sizes: int) -> int:
    return int(eval(text, {"floor": math.floor, **sizes}))


@given(st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(1, 5)), max_size=8), st.integers(100, 140))
def test_a_name_is_the_size(steps: list[tuple[str, int]], size: int) -> None:
    symbolic, number = SymbolicSize("H"), size
    for step, n in steps:
        symbolic, number = STEPS[step](symbolic, n), STEPS[step](number, n)
    assert value_of(str(symbolic), H=size) == number


NAMES = {
    "H + 3": SymbolicSize("H").plus(2).plus(1),
    "H - 1": SymbolicSize("H").plus(-1),
    "2*H + 2": SymbolicSize("H").plus(1).times(2),
    "H": SymbolicSize("H").times(4).over(4),
    "floor(H/4)": SymbolicSize("H").over(2).over(2),
    "floor((H + 3)/4)": SymbolicSize("H").plus(1).over(2).plus(1).over(2),
    "2*floor(H/2) + 1": SymbolicSize("H").over(2).times(2).plus(1),
    "floor(H/2)": SymbolicSize("H").over(2).times(2).over(2),
    "floor((2*floor(H/2) + 1)/3)": SymbolicSize("H").over(2).times(2).plus(1).over(3),
}


@pytest.mark.parametrize(("name", "size"), NAMES.items())
def test_a_name_is_short(name: str, size: SymbolicSize) -> None:
    assert str(size) == name


def changing() -> keras.Model:
    """Every operator that changes sizes, and some that make new ones."""
    x = inputs = keras.Input((None, None, 3), name="x")
    x = kl.Conv2D(4, (3, 2), strides=(2, 3), padding="same")(x)
    x = kl.Conv2D(4, (2, 3), dilation_rate=(2, 1))(kl.ZeroPadding2D(((1, 2), (3, 0)))(x))
    x = kl.MaxPooling2D(3, strides=2, padding="same")(kl.UpSampling2D((3, 2))(x))
    x = kl.Conv2DTranspose(4, 3, strides=2, padding="same")(kl.AveragePooling2D((1, 2))(x))
    x = kl.Conv2DTranspose(4, (4, 2), strides=(2, 3), output_padding=(1, 2))(x)
    x = kl.Cropping2D(((1, 0), (2, 1)))(kl.DepthwiseConv2D(3, padding="same")(x))
    x = kl.Dense(2)(x)
    return keras.Model(inputs, [x, kl.Reshape((-1, 2))(x), kl.Concatenate(axis=1)([x, x])])


@pytest.mark.parametrize(("height", "width"), [(40, 64), (41, 65), (43, 67)])
def test_every_value_has_the_sizes_that_are_said_of_it(height: int, width: int, tmp_path: Path) -> None:
    (tmp_path / "net.json").write_text(changing().to_json())
    assert_sizes(converters.convert(tmp_path / "net.json"), height, width)


@pytest.mark.parametrize("network", ["digits_unet_32", "digits_conv_32"])
def test_every_value_of_a_network_has_the_sizes_that_are_said_of_it(network: str) -> None:
    assert_sizes(converters.convert(MODELS / f"{network}.json", dynamic_spatial=True), 24, 40)


def assert_sizes(model: ir.Model, height: int, width: int) -> None:
    """Every value of the graph, run at this size, has the shape that it declares; equal names are equal sizes."""
    values = [value for node in model.graph for value in node.outputs]
    declared = {str(value.name): [str(size) for size in value.shape] for value in values}
    model.graph.outputs[:] = values
    options = ort.SessionOptions()
    options.log_severity_level = 3
    proto = ir.to_proto(model)
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    channels = session.get_inputs()[0].shape[1]
    x = np.zeros((2, channels, height, width), np.float32)
    sizes = {"N": 2, "H": height, "W": width}
    results = session.run(list(declared), {session.get_inputs()[0].name: x})
    for (name, texts), result in zip(declared.items(), results, strict=True):
        assert len(texts) == result.ndim
        for text, size in zip(texts, result.shape, strict=True):
            if text.isidentifier():
                sizes.setdefault(text, size)
            assert value_of(text, **sizes) == size, (name, text)
