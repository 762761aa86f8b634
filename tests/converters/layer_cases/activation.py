"""Cases of activations."""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers as kl

from converters.layers.activation import ACTIVATIONS as CONVERTED
from converters.layers.activation import ALIASES
from tests.converters.layer_cases.case import IMAGE, INPUTS, Case, class_name, options, written_by

ACTIVATIONS = sorted(CONVERTED.keys() - {"glu"})
"""All but the one that halves the channels, which are odd here."""


class HardSigmoidOfKeras2(kl.Layer):
    """Source: keras/backend.py of Keras 2.15, `hard_sigmoid`."""

    def call(self, x: Any) -> Any:
        return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


class GELUByTanh(kl.Layer):
    """Keras' own function, which no layer of Keras gives this argument."""

    def call(self, x: Any) -> Any:
        return keras.activations.gelu(x, approximate=True)


def activation(name: str) -> Callable[[], keras.layers.Layer]:
    return lambda: kl.Activation(name, name="tested")


CASES: dict[str, dict[str, Case]] = {
    "Activation": {name: Case(activation(name), (IMAGE,)) for name in ACTIVATIONS}
    | {
        "softmax of features": Case(activation("softmax"), ((5,),)),
        "half of the channels gates the other": Case(activation("glu"), ((8, 11, 6),)),
        "hard_sigmoid of Keras 2": Case(
            lambda: HardSigmoidOfKeras2(name="tested"),
            (IMAGE,),
            written_by("2.15.0", class_name("Activation", activation="hard_sigmoid")),
        ),
        "LogSoftmax, in this spelling": Case(
            activation("log_softmax"), (IMAGE,), class_name("Activation", activation="LogSoftmax")
        ),
        "log_softmax_v2, as TensorFlow's function is named": Case(
            activation("log_softmax"), (IMAGE,), class_name("Activation", activation="log_softmax_v2")
        ),
        "a function object": Case(
            activation("log_softmax"),
            (IMAGE,),
            class_name("Activation", activation={"class_name": "function", "config": "log_softmax_v2"}),
        ),
        "an axis of the reference program": Case(activation("log_softmax"), ((5,),), class_name("Activation", axis=1)),
    },
    "ReLU": options(
        kl.ReLU,
        {
            "plain": {},
            "limit": {"max_value": 1.5},
            "relu6": {"max_value": 6},
            "slope": {"negative_slope": 0.2},
            "slope and limit": {"negative_slope": 0.2, "max_value": 1.0},
            "threshold": {"threshold": 0.7},
            "threshold and limit": {"threshold": 0.7, "max_value": 1.5},
            "all": {"negative_slope": 0.3, "max_value": 1.5, "threshold": 0.7},
        },
        IMAGE,
    )
    | {
        "no keys at all": Case(
            lambda: kl.ReLU(name="tested"),
            (IMAGE,),
            class_name("ReLU", "max_value", "negative_slope", "threshold"),
        )
    },
    "Softmax": options(
        kl.Softmax,
        {
            "plain": {},
            "over rows": {"axis": 1},
            "over columns": {"axis": -2},
            "over channels": {"axis": 3},
            "over an image": {"axis": [1, 2]},
            "over all but the batch": {"axis": [-1, 1, 2]},
        },
        IMAGE,
    )
    | {"features": Case(lambda: kl.Softmax(), ((5,),))},
    "Log_Softmax": {
        "image": Case(activation("log_softmax"), (IMAGE,), class_name("Log_Softmax", "activation")),
        "features, with an axis": Case(
            activation("log_softmax"), ((5,),), class_name("Log_Softmax", "activation", axis=1)
        ),
    },
    "Sigmoid": {"image": Case(activation("sigmoid"), (IMAGE,), class_name("Sigmoid", "activation"))},
    "Tanh": {"image": Case(activation("tanh"), (IMAGE,), class_name("Tanh", "activation"))},
    "LeakyReLU": options(kl.LeakyReLU, {"plain": {}, "slope": {"negative_slope": 0.1}}, IMAGE)
    | {
        "alpha, as Keras 2 calls it": Case(
            lambda: kl.LeakyReLU(0.15, name="tested"), (IMAGE,), class_name("LeakyReLU", "negative_slope", alpha=0.15)
        )
    },
    "ELU": options(kl.ELU, {"plain": {}, "alpha": {"alpha": 0.4}}, IMAGE),
    "PReLU": options(
        kl.PReLU,
        {"plain": {}, "one slope per channel": {"shared_axes": [1, 2]}, "shared columns": {"shared_axes": [2]}},
        IMAGE,
    )
    | {
        "features": Case(lambda: kl.PReLU(), ((5,),)),
        "unknown size": Case(lambda: kl.PReLU(shared_axes=[1, 2]), ((None, None, 3),), sizes=(IMAGE,)),
        "three spatial axes": Case(lambda: kl.PReLU(), (INPUTS[3],)),
    },
    "ThresholdedReLU": {
        "plain": Case(
            lambda: kl.ReLU(threshold=0.7, name="tested"),
            (IMAGE,),
            class_name("ThresholdedReLU", "max_value", "negative_slope", "threshold", theta=0.7),
        )
    },
    "GELU": {
        "exact": Case(activation("gelu"), (IMAGE,), class_name("GELU", "activation")),
        "by tanh": Case(lambda: GELUByTanh(name="tested"), (IMAGE,), class_name("Addons>GELU", approximate=True)),
    },
    "Swish": {"image": Case(activation("silu"), (IMAGE,), class_name("Swish", "activation"))},
}

CASES["Activation"] |= {
    f"{alias}, which is {name}": Case(activation(name), (IMAGE,), class_name("Activation", activation=alias))
    for alias, name in ALIASES.items()
}
CASES["Activation"] |= {
    "LeakyReLU fused into a convolution": Case(
        lambda: kl.Conv2D(4, 3, activation=kl.LeakyReLU(0.15), name="tested"), (IMAGE,)
    ),
    "ReLU with a limit fused into a Dense layer": Case(
        lambda: kl.Dense(4, activation=kl.ReLU(max_value=0.5), name="tested"), (IMAGE,)
    ),
    "ELU as the activation of an Activation": Case(lambda: kl.Activation(kl.ELU(0.4), name="tested"), (IMAGE,)),
}
