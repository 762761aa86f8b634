"""Cases of the layers at the core, and of those that act in training only."""

from collections.abc import Callable
from typing import Any

from keras import layers as kl

from tests.converters.layer_cases.case import IMAGE, INPUTS, OPEN, Case, options


def unchanged(layer: Callable[..., Any], **config: Any) -> dict[str, Case]:
    """A layer that is the identity, before one that is not."""
    return {"plain": Case(lambda: [layer(**config), kl.ReLU()], (IMAGE,))}


CASES: dict[str, dict[str, Case]] = {
    "InputLayer": {
        "channels last in Keras are first in the graph": Case(lambda: kl.ReLU(), (IMAGE,)),
        "features": Case(lambda: kl.ReLU(), ((5,),)),
        "unknown sizes": Case(lambda: kl.ReLU(), (OPEN,), sizes=(IMAGE,)),
    },
    "Dense": {
        "features": Case(lambda: kl.Dense(4), ((5,),)),
        "no bias": Case(lambda: kl.Dense(4, use_bias=False), ((5,),)),
        "fused activation": Case(lambda: kl.Dense(4, activation="log_softmax"), ((5,),)),
        "one spatial axis": Case(lambda: kl.Dense(4), (INPUTS[1],)),
        "two spatial axes": Case(lambda: kl.Dense(4), (IMAGE,)),
        "three spatial axes": Case(lambda: kl.Dense(4), (INPUTS[3],)),
        "spatial axes and no bias": Case(lambda: kl.Dense(4, use_bias=False, activation="softmax"), (IMAGE,)),
        "after Flatten": Case(lambda: [kl.Flatten(), kl.Dense(4)], (IMAGE,)),
        "a sequence in Keras' order": Case(
            lambda: [kl.Reshape((24, 11)), kl.Dense(4, activation="relu")], (IMAGE,), raw_outputs=True
        ),
        "a sequence in Keras' order, no bias": Case(
            lambda: [kl.Reshape((24, 11)), kl.Dense(4, use_bias=False)], (IMAGE,), raw_outputs=True
        ),
    },
    "Embedding": {
        "a sentence": Case(lambda: kl.Embedding(9, 4), ((7,),), numbers_below=9, raw_outputs=True),
        "then a convolution": Case(lambda: [kl.Embedding(9, 4), kl.Conv1D(5, 3)], ((7,),), numbers_below=9),
    },
    "Identity": unchanged(kl.Identity),
    "Dropout": {
        "plain": Case(lambda: kl.Dropout(0.4), (IMAGE,)),
        "rate 0": Case(lambda: kl.Dropout(0.0), ((5,),)),
        "whole rows": Case(lambda: kl.Dropout(0.4, noise_shape=(None, 8, 1, 1)), (IMAGE,)),
    },
    "SpatialDropout1D": options(kl.SpatialDropout1D, {"plain": {"rate": 0.4}}, INPUTS[1]),
    "SpatialDropout2D": options(kl.SpatialDropout2D, {"plain": {"rate": 0.4}}, INPUTS[2]),
    "SpatialDropout3D": options(kl.SpatialDropout3D, {"plain": {"rate": 0.4}}, INPUTS[3]),
    "GaussianNoise": unchanged(kl.GaussianNoise, stddev=0.3),
    "GaussianDropout": unchanged(kl.GaussianDropout, rate=0.3),
    "AlphaDropout": unchanged(kl.AlphaDropout, rate=0.3),
    "ActivityRegularization": unchanged(kl.ActivityRegularization, l2=0.3),
}
