"""Every layer and option against Keras: one table of cases, one oracle. All sizes differ: a swapped axis shows."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers as kl

from converters.layers import LAYERS
from tests.converters.keras_oracle import Edit, assert_equals_keras, functional

INPUTS = {1: (13, 3), 2: (8, 11, 3), 3: (5, 8, 7, 2)}
"""Spatial rank -> input shape: odd and even sizes."""

KERNELS = {1: 5, 2: (3, 5), 3: (3, 2, 4)}


@dataclass(frozen=True)
class Case:
    """A Keras layer, or several in a row, over inputs of these shapes."""

    layer: Callable[[], Any]
    shapes: tuple[tuple[int | None, ...], ...]
    edit: Edit | None = None
    sizes: tuple[tuple[int, ...], ...] | None = None


def options(
    layer: Callable[..., Any], table: dict[str, dict[str, Any]], *shapes: tuple[int | None, ...], **common: Any
) -> dict[str, Case]:
    """One case per row of a table: the fact under test -> the options that it needs."""
    return {
        fact: Case(lambda changes=changes: layer(**{**common, **changes}, name="tested"), shapes)
        for fact, changes in table.items()
    }


def convolution(layer: Callable[..., Any], rank: int) -> dict[str, Case]:
    per_axis = {
        "plain": {},
        "strides": {"strides": 2},
        "same, with as many cells before as after": {"padding": "same"},
        "same puts the odd cell last": {"padding": "same", "strides": 2},
        "same with an even kernel": {"padding": "same", "kernel_size": 2},
        "same with an even kernel and strides": {"padding": "same", "kernel_size": 4, "strides": 3},
        "same with strides above the kernel": {"padding": "same", "kernel_size": 1, "strides": 2},
        "dilation": {"dilation_rate": 2, "kernel_size": 2},
        "same with dilation": {"padding": "same", "dilation_rate": 2},
        "no bias": {"use_bias": False},
        "fused relu": {"activation": "relu"},
        "fused softmax goes over the channels": {"activation": "softmax"},
    }
    return options(layer, per_axis, INPUTS[rank], filters=4, kernel_size=KERNELS[rank])


def groups(layer: Callable[..., Any], rank: int) -> dict[str, Case]:
    shape = (*INPUTS[rank][:-1], 6)
    return options(layer, {"groups": {"groups": 3}}, shape, filters=9, kernel_size=KERNELS[rank])


def transposed(layer: Callable[..., Any], rank: int) -> dict[str, Case]:
    table = {
        "plain": {},
        "strides": {"strides": 2},
        "strides above the kernel": {"strides": 4, "kernel_size": 2},
        "same": {"padding": "same"},
        "same, kernel 2 and strides 2": {"padding": "same", "kernel_size": 2, "strides": 2},
        "same, kernel 3 and strides 2: one cell off the end": {"padding": "same", "kernel_size": 3, "strides": 2},
        "same, kernel 4 and strides 2: one cell off both ends": {"padding": "same", "kernel_size": 4, "strides": 2},
        "same, kernel 5 and strides 2": {"padding": "same", "kernel_size": 5, "strides": 2},
        "same, kernel 1 and strides 3": {"padding": "same", "kernel_size": 1, "strides": 3},
        "valid with output padding": {"strides": 3, "output_padding": 2},
        "same with output padding": {"padding": "same", "kernel_size": 3, "strides": 2, "output_padding": 1},
        "same with output padding 0": {"padding": "same", "kernel_size": 4, "strides": 2, "output_padding": 0},
        "dilation": {"dilation_rate": 2, "kernel_size": 3},
        "same with dilation": {"padding": "same", "dilation_rate": 2, "kernel_size": 3},
        "no bias": {"use_bias": False},
        "fused sigmoid": {"activation": "sigmoid"},
    }
    return options(layer, table, INPUTS[rank], filters=4, kernel_size=KERNELS[rank])


def pooling(layer: Callable[..., Any], rank: int) -> dict[str, Case]:
    table = {
        "plain": {},
        "strides differ from the window": {"pool_size": 3, "strides": 2},
        "window of one cell with strides": {"pool_size": 1, "strides": 2},
        "same": {"padding": "same"},
        "same with a large window and strides": {"pool_size": 4, "strides": 3, "padding": "same"},
        "same with strides of 1": {"pool_size": 2, "strides": 1, "padding": "same"},
    }
    return options(layer, table, INPUTS[rank])


def global_pooling(layer: Callable[..., Any], rank: int) -> dict[str, Case]:
    return options(layer, {"plain": {}, "axes are kept": {"keepdims": True}}, INPUTS[rank])


def up_sampling(layer: Callable[..., Any], rank: int) -> dict[str, Case]:
    size = {1: 3, 2: (2, 3), 3: (2, 1, 3)}[rank]
    table = {"plain": {}, "factors": {"size": size}}
    if rank == 2:
        table["bilinear"] = {"interpolation": "bilinear"}
        table["bilinear with factors"] = {"interpolation": "bilinear", "size": (3, 4)}
    return options(layer, table, INPUTS[rank])


def class_name(new: str, *dropped: str, **added: Any) -> Edit:
    """An edit that gives the layer under test another class, and its config other keys."""

    def edit(model: dict[str, Any]) -> None:
        (layer,) = [layer for layer in model["config"]["layers"] if layer["config"]["name"] == "tested"]
        layer["class_name"] = new
        for key in dropped:
            del layer["config"][key]
        layer["config"] |= added

    return edit


def activation(name: str) -> Callable[[], keras.layers.Layer]:
    return lambda: kl.Activation(name, name="tested")


IMAGE = INPUTS[2]
OPEN = (None, None, 3)

CASES: dict[str, dict[str, Case]] = {
    "InputLayer": {
        "channels last in Keras are first in the graph": Case(lambda: kl.ReLU(), (IMAGE,)),
        "features": Case(lambda: kl.ReLU(), ((5,),)),
        "unknown sizes": Case(lambda: kl.ReLU(), (OPEN,), sizes=(IMAGE,)),
    },
    "Conv1D": convolution(kl.Conv1D, 1) | groups(kl.Conv1D, 1),
    "Conv2D": convolution(kl.Conv2D, 2)
    | groups(kl.Conv2D, 2)
    | {
        "same with strides and unknown size": Case(
            lambda: kl.Conv2D(4, (3, 4), strides=2, padding="same"), (OPEN,), sizes=(IMAGE,)
        ),
        "same with dilation and unknown size": Case(
            lambda: kl.Conv2D(4, 3, dilation_rate=2, padding="same"), (OPEN,), sizes=(IMAGE,)
        ),
        "valid with unknown size": Case(lambda: kl.Conv2D(4, (3, 5)), (OPEN,), sizes=(IMAGE,)),
        "strides differ on each axis": Case(lambda: kl.Conv2D(4, 3, strides=(1, 2), padding="same"), (IMAGE,)),
    },
    "Conv3D": convolution(kl.Conv3D, 3) | groups(kl.Conv3D, 3),
    "Conv1DTranspose": transposed(kl.Conv1DTranspose, 1),
    "Conv2DTranspose": transposed(kl.Conv2DTranspose, 2)
    | {
        "same with unknown size": Case(
            lambda: kl.Conv2DTranspose(4, 3, strides=2, padding="same"), (OPEN,), sizes=(IMAGE,)
        ),
        "strides differ on each axis": Case(
            lambda: kl.Conv2DTranspose(4, (3, 4), strides=(3, 2), padding="same"), (IMAGE,)
        ),
    },
    "Conv3DTranspose": transposed(kl.Conv3DTranspose, 3),
    "MaxPooling1D": pooling(kl.MaxPooling1D, 1),
    "MaxPooling2D": pooling(kl.MaxPooling2D, 2)
    | {
        "same with unknown size": Case(lambda: kl.MaxPooling2D(3, strides=2, padding="same"), (OPEN,), sizes=(IMAGE,)),
        "sizes differ on each axis": Case(lambda: kl.MaxPooling2D((2, 3), strides=(3, 1), padding="same"), (IMAGE,)),
    },
    "MaxPooling3D": pooling(kl.MaxPooling3D, 3),
    "GlobalAveragePooling1D": global_pooling(kl.GlobalAveragePooling1D, 1),
    "GlobalAveragePooling2D": global_pooling(kl.GlobalAveragePooling2D, 2)
    | {"unknown size": Case(lambda: kl.GlobalAveragePooling2D(), (OPEN,), sizes=(IMAGE,))},
    "GlobalAveragePooling3D": global_pooling(kl.GlobalAveragePooling3D, 3),
    "UpSampling1D": up_sampling(kl.UpSampling1D, 1),
    "UpSampling2D": up_sampling(kl.UpSampling2D, 2)
    | {
        "bilinear with unknown size": Case(
            lambda: kl.UpSampling2D((2, 3), interpolation="bilinear"), (OPEN,), sizes=(IMAGE,)
        )
    },
    "UpSampling3D": up_sampling(kl.UpSampling3D, 3),
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
    },
    "Activation": {
        name: Case(activation(name), (IMAGE,))
        for name in ("linear", "relu", "relu6", "sigmoid", "tanh", "softmax", "log_softmax")
    }
    | {
        "softmax of features": Case(activation("softmax"), ((5,),)),
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
        {"plain": {}, "over rows": {"axis": 1}, "over columns": {"axis": -2}, "over channels": {"axis": 3}},
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
    "Add": {
        "two": Case(lambda: kl.Add(), (IMAGE, IMAGE)),
        "three": Case(lambda: kl.Add(), (IMAGE, IMAGE, IMAGE)),
        "axes of size 1 are repeated": Case(lambda: kl.Add(), (IMAGE, (8, 1, 3), (1, 11, 1))),
        "features meet the channels of an image": Case(lambda: kl.Add(), (IMAGE, (3,))),
        "features": Case(lambda: kl.Add(), ((5,), (5,))),
    },
    "Concatenate": {
        "channels": Case(lambda: kl.Concatenate(), (IMAGE, (8, 11, 5))),
        "three": Case(lambda: kl.Concatenate(axis=3), (IMAGE, (8, 11, 5), (8, 11, 1))),
        "rows": Case(lambda: kl.Concatenate(axis=1), (IMAGE, (4, 11, 3))),
        "columns": Case(lambda: kl.Concatenate(axis=-2), (IMAGE, (8, 4, 3))),
        "features": Case(lambda: kl.Concatenate(), ((5,), (4,))),
    },
    "Flatten": {
        "the channels of a cell stand together": Case(lambda: kl.Flatten(), (IMAGE,)),
        "one channel": Case(lambda: kl.Flatten(), ((8, 11, 1),)),
        "one cell": Case(lambda: kl.Flatten(), ((1, 1, 3),)),
        "features": Case(lambda: kl.Flatten(), ((5,),)),
        "three spatial axes": Case(lambda: kl.Flatten(), (INPUTS[3],)),
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
    },
    "Dropout": {
        "plain": Case(lambda: kl.Dropout(0.4), (IMAGE,)),
        "rate 0": Case(lambda: kl.Dropout(0.0), ((5,),)),
    },
}

ALIASES = sorted(name for name, entry in LAYERS.items() if entry.class_name != name)


def flat() -> dict[str, Case]:
    return {f"{name}: {fact}": case for name, cases in CASES.items() for fact, case in cases.items()}


@pytest.mark.parametrize("case", flat().values(), ids=flat())
def test_a_layer_equals_keras(case: Case, tmp_path: Path) -> None:
    assert_equals_keras(functional(case.layer(), *case.shapes), tmp_path, edit=case.edit, sizes=case.sizes)


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_is_the_class_itself(alias: str, tmp_path: Path) -> None:
    case = next(iter(CASES[LAYERS[alias].class_name].values()))
    model = functional(case.layer(), *case.shapes)
    renamed = LAYERS[alias].class_name

    def edit(description: dict[str, Any]) -> None:
        layers = [layer for layer in description["config"]["layers"] if layer["class_name"] in (renamed, alias)]
        if renamed == "Log_Softmax":
            assert case.edit is not None
            case.edit(description)
            layers = [layer for layer in description["config"]["layers"] if layer["class_name"] == renamed]
        assert layers
        for layer in layers:
            layer["class_name"] = alias

    assert_equals_keras(model, tmp_path, edit=edit, sizes=case.sizes)


@pytest.mark.parametrize("class_name", sorted({entry.class_name for entry in LAYERS.values()}))
def test_every_class_has_a_case(class_name: str) -> None:
    assert CASES.get(class_name), f"add cases for {class_name} to CASES"


def test_a_package_before_the_class_name_does_not_matter(tmp_path: Path) -> None:
    model = functional(kl.Conv2D(4, 3, name="tested"), IMAGE)
    assert_equals_keras(model, tmp_path, edit=class_name("Package>Conv2D"))
