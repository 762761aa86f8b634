"""What a case is, and the ways to write many at once. All sizes differ: a swapped axis shows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from tests.converters.keras_oracle import Edit, functional

INPUTS = {1: (13, 3), 2: (8, 11, 3), 3: (5, 8, 7, 2)}
"""Spatial rank -> input shape: odd and even sizes."""

KERNELS = {1: 5, 2: (3, 5), 3: (3, 2, 4)}

IMAGE = INPUTS[2]
OPEN = (None, None, 3)


@dataclass(frozen=True)
class Case:
    """A Keras layer, or several in a row, over inputs of these shapes.

    Args:
        edit: what makes the layer's JSON that of a class, or an option, that Keras itself does not have.
        sizes: of inputs whose shape leaves them open.
        numbers_below: the inputs are whole numbers below this one.
        raw_inputs: the graph's inputs have their axes in Keras' order.
        raw_outputs: so have its outputs.
        hidden_steps: some steps of the sequences that go in are zeros.
        network: what makes a network of the layers and their inputs, if not one after the other.
    """

    layer: Callable[[], Any]
    shapes: tuple[tuple[int | None, ...], ...]
    edit: Edit | None = None
    sizes: tuple[tuple[int, ...], ...] | None = None
    numbers_below: int | None = None
    raw_inputs: bool = False
    raw_outputs: bool = False
    hidden_steps: bool = False
    network: Callable[..., Any] | None = None

    def model(self) -> keras.Model:
        if self.network is None:
            return functional(self.layer(), *self.shapes)
        inputs = [keras.Input(shape, name=f"in_{i}") for i, shape in enumerate(self.shapes)]
        return keras.Model(inputs if len(inputs) > 1 else inputs[0], self.network(self.layer(), *inputs), name="net")


def called(
    layer: Callable[[], Any], network: Callable[..., Any], *shapes: tuple[int | None, ...], **common: Any
) -> Case:
    """The case of a layer in a network of its own: a function of the layer and its inputs that gives the outputs."""
    return Case(layer, shapes, network=network, raw_outputs=True, **common)


def options(
    layer: Callable[..., Any],
    table: dict[str, dict[str, Any]],
    *shapes: tuple[int | None, ...],
    raw_outputs: bool = False,
    **common: Any,
) -> dict[str, Case]:
    """One case per row of a table: the fact under test -> the options that it needs."""
    return {
        fact: Case(
            lambda changes=changes: layer(**{**common, **changes}, name="tested"), shapes, raw_outputs=raw_outputs
        )
        for fact, changes in table.items()
    }


def channels_first(layer: Callable[..., Any], rank: int, **config: Any) -> dict[str, Case]:
    """The case that the layer takes its channels first, as Keras on torch does."""
    *spatial, channels = INPUTS[rank]
    return {
        "channels first": Case(
            lambda: layer(**config, data_format="channels_first", name="tested"),
            ((channels, *spatial),),
            raw_inputs=True,
            raw_outputs=True,
        )
    }


def class_name(new: str, *dropped: str, **added: Any) -> Edit:
    """An edit that gives the layer under test another class, and its config other keys."""

    def edit(model: dict[str, Any]) -> None:
        (layer,) = [layer for layer in model["config"]["layers"] if layer["config"]["name"] == "tested"]
        layer["class_name"] = new
        for key in dropped:
            del layer["config"][key]
        layer["config"] |= added

    return edit


def written_by(keras_version: str, then: Edit) -> Edit:
    """An edit that makes the model's JSON say so, and another after it."""

    def edit(model: dict[str, Any]) -> None:
        model["keras_version"] = keras_version
        then(model)

    return edit
