"""Cases of layers that join tensors."""

import dataclasses
from collections.abc import Callable
from typing import Any

from keras import layers as kl

from tests.converters.layer_cases.case import IMAGE, INPUTS, Case


def branches(layer: Callable[[], Any], *heads: Callable[[], Any], shape: tuple[int, ...] = IMAGE) -> Case:
    """The layer over what several others make of one input, since an engine trains networks of one input."""
    return Case(lambda: [lambda x: layer()([head()(x) for head in heads])], (shape,))


def merge(layer: Callable[[], Any], *, of_many: bool = True) -> dict[str, Case]:
    cases = {
        "two": Case(layer, (IMAGE, IMAGE)),
        "axes of size 1 are repeated": Case(layer, (IMAGE, (8, 1, 3))),
        "features meet the channels of an image": Case(layer, (IMAGE, (3,))),
        "an image meets features": Case(layer, ((3,), IMAGE)),
        "a row meets an image": Case(layer, (IMAGE, (11, 3))),
        "features": Case(layer, ((5,), (5,))),
        "unknown size": Case(layer, ((None, None, 3), (1, 1, 3)), sizes=(IMAGE, (1, 1, 3))),
    }
    cases["branches of one input"] = branches(layer, lambda: kl.Conv2D(4, 3), lambda: kl.Conv2D(4, 3))
    cases["branches of one input, often equal"] = branches(
        layer, lambda: kl.Conv2D(4, 3, activation="relu"), lambda: kl.Conv2D(4, 3, activation="relu6")
    )
    if of_many:
        cases["three branches of one input"] = branches(
            layer, lambda: kl.Conv2D(4, 3), lambda: kl.Conv2D(1, 3), lambda: kl.Conv2D(4, (3, 11))
        )
        cases["three"] = Case(layer, (IMAGE, IMAGE, IMAGE))
        cases["three that broadcast"] = Case(layer, (IMAGE, (8, 1, 3), (1, 11, 1)))
    return cases


def dot(x: tuple[int, ...], y: tuple[int, ...], axes: Any, *, normalize: bool = False) -> Case:
    return Case(lambda: kl.Dot(axes, normalize=normalize), (x, y), raw_outputs=True)


CASES: dict[str, dict[str, Case]] = {
    "Add": merge(lambda: kl.Add()),
    "Subtract": merge(lambda: kl.Subtract(), of_many=False),
    "Multiply": merge(lambda: kl.Multiply()),
    "Average": merge(lambda: kl.Average()),
    "Maximum": merge(lambda: kl.Maximum()),
    "Minimum": merge(lambda: kl.Minimum()),
    "Dot": {
        "features": dot((5,), (5,), 1),
        "features from the end": dot((5,), (5,), -1),
        "sequences": dot((4, 5), (7, 5), 2),
        "sequences along different axes": dot((4, 5), (5, 3), (2, 1)),
        "a sequence and features": dot((4, 5), (5,), (2, 1)),
        "images": dot((2, 4, 5), (5, 3, 6), (3, 1)),
        "cosines": dot((4, 5), (7, 5), -1, normalize=True),
        "branches of one input": dataclasses.replace(
            branches(lambda: kl.Dot(2), lambda: kl.Dense(4), lambda: kl.Conv1D(4, 3), shape=INPUTS[1]), raw_outputs=True
        ),
        "cosines of branches": branches(
            lambda: kl.Dot(1, normalize=True), lambda: kl.Dense(4), lambda: kl.Dense(4), shape=(5,)
        ),
    },
    "Concatenate": {
        "branches of one input": branches(
            lambda: kl.Concatenate(), lambda: kl.Conv2D(4, 3), lambda: kl.Conv2D(1, 3), lambda: kl.Conv2D(2, 3)
        ),
        "channels": Case(lambda: kl.Concatenate(), (IMAGE, (8, 11, 5))),
        "three": Case(lambda: kl.Concatenate(axis=3), (IMAGE, (8, 11, 5), (8, 11, 1))),
        "rows": Case(lambda: kl.Concatenate(axis=1), (IMAGE, (4, 11, 3))),
        "columns": Case(lambda: kl.Concatenate(axis=-2), (IMAGE, (8, 4, 3))),
        "features": Case(lambda: kl.Concatenate(), ((5,), (4,))),
    },
}
