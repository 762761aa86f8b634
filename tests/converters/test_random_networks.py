"""Random small networks of the layers that most networks are made of, against Keras."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers as kl

from tests.converters.keras_oracle import assert_equals_keras

EXAMPLES = 40
"""Some 15 s on two cores."""

WINDOWS = st.sampled_from([1, 2, 3, (2, 3), (3, 1)])
PADDINGS = st.sampled_from(["same", "valid"])
ACTIVATIONS = st.sampled_from([None, "relu", "tanh", "elu", "softplus", "hard_sigmoid", "gelu"])


Draw = Callable[[st.SearchStrategy[Any]], Any]
"""Draws while the test runs: Keras asks for seeds, which a strategy must not."""


def layer(draw: Draw, size: tuple[int, int]) -> kl.Layer:
    """A layer that takes an image of this size and gives one."""
    padding = draw(PADDINGS) if min(size) > 3 else "same"
    strides = draw(st.sampled_from([1, 2])) if min(size) > 3 else 1
    window: dict[str, Any] = {"kernel_size": draw(WINDOWS), "padding": padding, "strides": strides}
    convolution = window | {"activation": draw(ACTIVATIONS), "use_bias": draw(st.booleans())}
    filters = draw(st.integers(1, 4))
    pool = {"pool_size": draw(st.sampled_from([2, 3])), "strides": strides, "padding": padding}
    kinds = {
        "convolution": lambda: kl.Conv2D(filters, **convolution),
        "transposed": lambda: kl.Conv2DTranspose(filters, **convolution),
        "depthwise": lambda: kl.DepthwiseConv2D(depth_multiplier=filters, **convolution),
        "separable": lambda: kl.SeparableConv2D(filters, **convolution),
        "norm": lambda: kl.BatchNormalization(scale=draw(st.booleans()), center=draw(st.booleans())),
        "layer norm": lambda: kl.LayerNormalization(),
        "maximum": lambda: kl.MaxPooling2D(**pool),
        # With these three, Keras on torch repeats the edge instead of leaving it out, as Keras does elsewhere.
        "mean": lambda: kl.AveragePooling2D(**pool | ({"strides": 1} if pool["pool_size"] == 3 else {})),
        "pad": lambda: kl.ZeroPadding2D(draw(st.sampled_from([1, (0, 2), ((1, 0), (2, 1))]))),
        "crop": lambda: kl.Cropping2D(((1, 0), (0, 1))) if min(size) > 3 else kl.ReLU(),
        "up": lambda: kl.UpSampling2D(2, interpolation=draw(st.sampled_from(["nearest", "bilinear"]))),
        "dense": lambda: kl.Dense(filters, activation=draw(ACTIVATIONS)),
        "slope": lambda: kl.LeakyReLU(negative_slope=0.2),
    }
    kinds = {name: kind for name, kind in kinds.items() if name != "up" or max(size) < 20}
    return kinds[draw(st.sampled_from(sorted(kinds)))]()


def network(draw: Draw) -> keras.Model:
    """Some layers in a row; where sizes allow it, what an earlier one gave is joined with what a later one gives."""
    keras.utils.clear_session()
    size = draw(st.integers(3, 9)), draw(st.integers(3, 9))
    x = inputs = keras.Input((*size, draw(st.integers(1, 3))))
    earlier = [x]
    for _number in range(draw(st.integers(1, 5))):
        x = layer(draw, x.shape[1:3])(x)
        alike = [other for other in earlier if other.shape[1:3] == x.shape[1:3]]
        if alike and draw(st.booleans()):
            other = draw(st.sampled_from(alike))
            join = kl.Multiply() if other.shape == x.shape else kl.Concatenate()
            x = join([x, other])
        earlier.append(x)
    if draw(st.booleans()):
        x = kl.Dense(3, activation="softmax")(draw(st.sampled_from([kl.Flatten, kl.GlobalAveragePooling2D]))()(x))
    return keras.Model(inputs, x)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_a_random_network_equals_keras(data: st.DataObject, tmp_path: Path) -> None:
    assert_equals_keras(network(data.draw), tmp_path)
