"""Cases of pooling."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import layers as kl

from tests.converters.layer_cases.case import IMAGE, INPUTS, OPEN, Case, channels_first, class_name, options


def pooling(layer: Callable[..., Any], rank: int) -> dict[str, Case]:
    table = {
        "plain": {},
        "strides differ from the window": {"pool_size": 3, "strides": 2},
        "window of one cell with strides": {"pool_size": 1, "strides": 2},
        "same": {"padding": "same"},
        "same with a large window and strides": {"pool_size": 4, "strides": 3, "padding": "same"},
        "same with strides of 1": {"pool_size": 2, "strides": 1, "padding": "same"},
    }
    return options(layer, table, INPUTS[rank], pool_size=2) | channels_first(
        layer, rank, pool_size=2, padding="same", strides=3
    )


class MeanOfRealCells(kl.Layer):
    """AveragePooling with padding "same", by its definition; Keras on torch repeats the border where it is uneven."""

    def __init__(self, pool_size: Any, strides: Any, padding: str, data_format: str = "channels_last", **more: Any):
        super().__init__(**more)
        self.pool_size, self.strides, self.data_format = pool_size, strides, data_format
        assert padding == "same"

    def get_config(self) -> dict[str, Any]:
        own = {"pool_size": self.pool_size, "strides": self.strides, "data_format": self.data_format}
        return super().get_config() | own | {"padding": "same"}

    def call(self, x: Any) -> Any:
        first = 2 if self.data_format == "channels_first" else 1
        rank = x.ndim - 2
        sizes, windows, strides = (
            [n] * rank if isinstance(n, int) else list(n)
            for n in (tuple(x.shape[first : first + rank]), self.pool_size, self.strides)
        )
        totals = [
            max((-(-size // stride) - 1) * stride + window - size, 0)
            for size, window, stride in zip(sizes, windows, strides, strict=True)
        ]
        around = [(total // 2, total - total // 2) for total in totals]
        widths = [(0, 0), *around, (0, 0)] if first == 1 else [(0, 0), (0, 0), *around]

        def mean(values: Any) -> Any:
            padded = keras.ops.pad(values, widths)
            return keras.ops.average_pool(padded, windows, strides, "valid", self.data_format)

        return mean(x) / mean(keras.ops.ones_like(x))


def average_pooling(layer: Callable[..., Any], rank: int) -> dict[str, Case]:
    """As for the largest cell, with the definition as the oracle of the padding."""
    real = {
        fact: dataclasses.replace(case, edit=class_name(layer.__name__))
        for fact, case in pooling(functools.partial(MeanOfRealCells, strides=2), rank).items()
        if "same" in fact or fact == "channels first"
    }
    return {fact: real.get(fact, case) for fact, case in pooling(layer, rank).items()}


def global_pooling(layer: Callable[..., Any], rank: int) -> dict[str, Case]:
    cases = options(layer, {"plain": {}, "axes are kept": {"keepdims": True}}, INPUTS[rank])
    return cases | channels_first(layer, rank)


def open_size(layer: Callable[[], Any]) -> Case:
    return Case(layer, (OPEN,), sizes=(IMAGE,))


def adaptive_pooling(layer: Callable[..., Any], rank: int) -> dict[str, Case]:
    """Cells that divide the sizes, since Keras' windows differ in size where they do not."""
    *sizes, channels = INPUTS[rank]
    parts = [size if size % 2 else size // 2 for size in sizes]
    table = {"fewer cells": {"output_size": parts}, "one cell": {"output_size": 1}}
    cases = options(layer, table, (*sizes, channels))
    return cases | channels_first(layer, rank, output_size=parts)


CASES: dict[str, dict[str, Case]] = {
    **{
        f"Adaptive{kind}Pooling{rank}D": adaptive_pooling(getattr(kl, f"Adaptive{kind}Pooling{rank}D"), rank)
        for kind in ("Average", "Max")
        for rank in (1, 2, 3)
    },
    "MaxPooling1D": pooling(kl.MaxPooling1D, 1),
    "MaxPooling2D": pooling(kl.MaxPooling2D, 2)
    | {
        "same with unknown size": open_size(lambda: kl.MaxPooling2D(3, strides=2, padding="same")),
        "sizes differ on each axis": Case(lambda: kl.MaxPooling2D((2, 3), strides=(3, 1), padding="same"), (IMAGE,)),
    },
    "MaxPooling3D": pooling(kl.MaxPooling3D, 3),
    "AveragePooling1D": average_pooling(kl.AveragePooling1D, 1),
    "AveragePooling2D": average_pooling(kl.AveragePooling2D, 2)
    | {
        "same with unknown size": Case(
            lambda: kl.AveragePooling2D(3, strides=1, padding="same"), (OPEN,), sizes=(IMAGE,)
        ),
        "same with strides and unknown size": Case(
            lambda: kl.AveragePooling2D(3, strides=2, padding="same"), ((None, None, 3),), sizes=((9, 11, 3),)
        ),
        "sizes differ on each axis": Case(
            lambda: MeanOfRealCells((2, 3), (3, 1), "same", name="tested"), (IMAGE,), class_name("AveragePooling2D")
        ),
    },
    "AveragePooling3D": average_pooling(kl.AveragePooling3D, 3),
    "GlobalAveragePooling1D": global_pooling(kl.GlobalAveragePooling1D, 1),
    "GlobalAveragePooling2D": global_pooling(kl.GlobalAveragePooling2D, 2)
    | {"unknown size": open_size(lambda: kl.GlobalAveragePooling2D())},
    "GlobalAveragePooling3D": global_pooling(kl.GlobalAveragePooling3D, 3),
    "GlobalMaxPooling1D": global_pooling(kl.GlobalMaxPooling1D, 1),
    "GlobalMaxPooling2D": global_pooling(kl.GlobalMaxPooling2D, 2)
    | {"unknown size": open_size(lambda: kl.GlobalMaxPooling2D())},
    "GlobalMaxPooling3D": global_pooling(kl.GlobalMaxPooling3D, 3),
}
