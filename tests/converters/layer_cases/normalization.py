"""Cases of normalisations."""

import functools
from typing import Any

import keras
from keras import layers as kl

from tests.converters.layer_cases.case import IMAGE, INPUTS, OPEN, Case, class_name, options

SIX = (8, 11, 6)
"""Channels that can be grouped."""


def instances(table: dict[str, dict[str, Any]], **written: Any) -> dict[str, Case]:
    """InstanceNormalization, which Keras has not, against groups of one channel each."""
    group = functools.partial(kl.GroupNormalization, groups=-1, name="tested")
    edit = class_name("InstanceNormalization", **written)
    return {fact: Case(lambda changes=changes: group(**changes), (IMAGE,), edit) for fact, changes in table.items()}


class InstanceNormalizationOfContrib(kl.Layer):
    """What keras-contrib says of its layer: epsilon is added to the deviation, and there may be no axis."""

    def __init__(self, axis: int | None, *, center: bool = True, scale: bool = True, epsilon: float = 1e-3) -> None:
        super().__init__(name="tested")
        self.axis, self.center, self.scale, self.epsilon = axis, center, scale, epsilon

    def build(self, shape: Any) -> None:
        size = 1 if self.axis is None else shape[self.axis]
        self.gamma = self.add_weight(shape=(size,), name="gamma") if self.scale else 1.0
        self.beta = self.add_weight(shape=(size,), name="beta") if self.center else 0.0

    def call(self, x: Any) -> Any:
        alone = {0} if self.axis is None else {0, self.axis % x.ndim}
        mean, variance = keras.ops.moments(x, axes=[i for i in range(x.ndim) if i not in alone], keepdims=True)
        y = (x - mean) / (keras.ops.sqrt(variance) + self.epsilon)
        sizes = [1] * x.ndim if self.axis is None else sizes_of(x, [self.axis])
        scale = keras.ops.reshape(self.gamma, sizes) if self.scale else 1.0
        return y * scale + (keras.ops.reshape(self.beta, sizes) if self.center else 0.0)

    def get_config(self) -> dict[str, Any]:
        own = {"axis": self.axis, "epsilon": self.epsilon, "center": self.center, "scale": self.scale}
        return super().get_config() | own


def of_contrib(table: dict[str, dict[str, Any]], *shapes: tuple[int, ...]) -> dict[str, Case]:
    edit = class_name("InstanceNormalization")
    return {
        f"of keras-contrib, {fact}": Case(
            lambda changes=changes: InstanceNormalizationOfContrib(**changes), (shape,), edit
        )
        for (fact, changes), shape in zip(table.items(), shapes, strict=True)
    }


def sizes_of(x: Any, axes: list[int]) -> list[int]:
    """The sizes of these axes, and 1 for the others."""
    return [size if axis in {a % x.ndim for a in axes} else 1 for axis, size in enumerate(x.shape)]


class LayerNormalizationByDefinition(kl.LayerNormalization):
    """What Keras says of the layer, in its own operations.

    On torch, Keras 3.15 refuses some axes, and says with a warning that `rms_scaling` is deprecated.
    """

    def call(self, x: Any) -> Any:
        mean, variance = keras.ops.moments(x, axes=self.axis, keepdims=True)
        sizes = sizes_of(x, self.axis)
        scale = 1.0 if self.gamma is None else keras.ops.reshape(self.gamma, sizes)
        if self.rms_scaling:
            return x * keras.ops.rsqrt(variance + self.epsilon) * scale
        shift = 0.0 if self.beta is None else keras.ops.reshape(self.beta, sizes)
        return (x - mean) * keras.ops.rsqrt(variance + self.epsilon) * scale + shift


class RMSNormalizationByDefinition(kl.RMSNormalization):
    """What Keras says of the layer, in its own operations: on torch it refuses some axes."""

    def call(self, x: Any) -> Any:
        mean = keras.ops.mean(x * x, axis=self.axis, keepdims=True)
        sizes = sizes_of(x, self.axis)
        return x * keras.ops.rsqrt(mean + self.epsilon) * keras.ops.reshape(self.scale, sizes)


def by_definition(layer: Any, rms_scaling: bool = False, **config: Any) -> Case:
    def make() -> Any:
        made = layer(**config, name="tested")
        if rms_scaling:
            made.rms_scaling = True
        return made

    return Case(make, (IMAGE,), class_name(layer.__name__.removesuffix("ByDefinition")))


CASES: dict[str, dict[str, Case]] = {
    "BatchNormalization": options(
        kl.BatchNormalization,
        {
            "plain": {},
            "no scale": {"scale": False},
            "no shift": {"center": False},
            "neither": {"scale": False, "center": False},
            "epsilon": {"epsilon": 0.3},
            "axis counted from the front": {"axis": 3},
        },
        IMAGE,
    )
    | {
        "features": Case(lambda: kl.BatchNormalization(), ((5,),)),
        "one spatial axis": Case(lambda: kl.BatchNormalization(), (INPUTS[1],)),
        "three spatial axes": Case(lambda: kl.BatchNormalization(), (INPUTS[3],)),
        "axis in a list, as Keras 2 writes it": Case(
            lambda: kl.BatchNormalization(name="tested"), (IMAGE,), class_name("BatchNormalization", axis=[3])
        ),
        "rows": Case(lambda: kl.BatchNormalization(axis=1), (IMAGE,)),
        "columns": Case(lambda: kl.BatchNormalization(axis=-2, scale=False), (IMAGE,)),
        "channels first": Case(
            lambda: [kl.Conv2D(4, 3, data_format="channels_first"), kl.BatchNormalization(axis=1)],
            ((3, 8, 11),),
            raw_inputs=True,
            raw_outputs=True,
        ),
    },
    "LayerNormalization": options(
        kl.LayerNormalization,
        {
            "plain": {},
            "no scale": {"scale": False},
            "no shift": {"center": False},
            "neither": {"scale": False, "center": False},
            "epsilon": {"epsilon": 0.3},
            "columns and channels": {"axis": [2, 3]},
            "rows and channels": {"axis": [1, 3], "epsilon": 0.2},
            "the whole sample": {"axis": [1, 2, 3]},
        },
        IMAGE,
    )
    | {
        "features": Case(lambda: kl.LayerNormalization(), ((5,),)),
        "one spatial axis": Case(lambda: kl.LayerNormalization(), (INPUTS[1],)),
        "unknown size": Case(lambda: kl.LayerNormalization(), (OPEN,), sizes=(IMAGE,)),
        "rows": by_definition(LayerNormalizationByDefinition, axis=1),
        "scaled by the deviation alone": by_definition(LayerNormalizationByDefinition, rms_scaling=True),
        "scaled by the deviation alone, of rows and channels": by_definition(
            LayerNormalizationByDefinition, rms_scaling=True, axis=[1, 3], epsilon=0.2
        ),
        "two in a row": Case(lambda: [kl.LayerNormalization(), kl.LayerNormalization()], (IMAGE,)),
    },
    "RMSNormalization": options(
        kl.RMSNormalization, {"plain": {}, "columns and channels": {"axis": [2, 3]}, "epsilon": {"epsilon": 0.3}}, IMAGE
    )
    | {"rows and channels": by_definition(RMSNormalizationByDefinition, axis=[1, 3])}
    | {"features": Case(lambda: kl.RMSNormalization(), ((5,),))},
    "GroupNormalization": options(
        kl.GroupNormalization,
        {
            "plain": {"groups": 2},
            "no scale": {"groups": 3, "scale": False},
            "no shift": {"groups": 3, "center": False},
            "one group": {"groups": 1, "epsilon": 0.3},
            "as many groups as channels": {"groups": 6},
            "instances": {"groups": -1, "scale": False},
        },
        SIX,
    )
    | {
        "features": Case(lambda: kl.GroupNormalization(3), ((6,),)),
        "unknown size": Case(lambda: kl.GroupNormalization(3), ((None, None, 6),), sizes=(SIX,)),
        "one unknown size": Case(lambda: kl.GroupNormalization(3), ((8, None, 6),), sizes=(SIX,)),
        "rows": Case(lambda: kl.GroupNormalization(4, axis=1), (SIX,)),
    },
    "InstanceNormalization": instances({"plain": {}, "no shift": {"center": False}, "epsilon": {"epsilon": 0.3}})
    | of_contrib(
        {
            "per channel": {"axis": -1},
            "of a volume, with nothing behind": {"axis": 4, "center": False, "scale": False, "epsilon": 0.3},
            "per row, no shift": {"axis": 1, "center": False},
            "one channel": {"axis": -1},
            "the whole sample": {"axis": None, "epsilon": 0.3},
            "the whole sample, no scale": {"axis": None, "scale": False},
            "of features": {"axis": None},
        },
        *(IMAGE, INPUTS[3], IMAGE, (8, 11, 1), IMAGE, IMAGE, (5,)),
    )
    | instances({"torch's keys": {"center": False, "scale": False}}, affine=False, momentum=0.1)
    | {
        "a package before the name": Case(
            lambda: kl.GroupNormalization(-1, name="tested"),
            (INPUTS[3],),
            class_name("Addons>InstanceNormalization", groups=-1),
        )
    },
    "UnitNormalization": options(
        kl.UnitNormalization, {"plain": {}, "rows": {"axis": 1}, "several axes": {"axis": [1, 3]}}, IMAGE
    )
    | {"features": Case(lambda: kl.UnitNormalization(), ((5,),))},
    "Rescaling": options(
        kl.Rescaling,
        {
            "plain": {"scale": 0.3},
            "offset": {"scale": 0.3, "offset": -0.7},
            "per channel": {"scale": [0.3, 2.0, 0.1], "offset": [1.0, 0.0, -1.0]},
        },
        IMAGE,
    )
    | {"features": Case(lambda: kl.Rescaling([1.0, 2.0], 0.5), ((2,),))},
    "Normalization": options(
        kl.Normalization,
        {
            "of weights": {},
            "of one number": {"mean": 0.3, "variance": 2.0},
            "per channel": {"mean": [0.3, 2.0, 0.1], "variance": [1.0, 0.5, 0.0]},
            "inverted": {"mean": [0.3, 2.0, 0.1], "variance": [1.0, 0.5, 0.1], "invert": True},
            "of weights, per column and channel": {"axis": (2, 3)},
            "one mean of all": {"axis": None, "mean": 0.5, "variance": 4.0},
        },
        IMAGE,
    )
    | {"features": Case(lambda: kl.Normalization(), ((5,),))},
}
