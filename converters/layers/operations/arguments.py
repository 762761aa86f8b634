"""What an operation is given: its config's values and its call's arguments, checked as they are asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.keys import Keys
from converters.layers.layer_builder import LayerBuilder
from converters.layers.tensor import Tensor
from converters.network import Operand

__all__ = ["Arguments", "OperationConfig"]


@dataclass(frozen=True)
class OperationConfig:
    """What the config of an operation holds besides its name; the call's arguments come on top."""

    values: Mapping[str, Any]

    @classmethod
    def read(cls, keys: Keys) -> "OperationConfig":
        # A function of TensorFlow stands in a layer, whose type of numbers is no argument of the function.
        of_layer = {"trainable", "dtype"} if keys.has("function") else {"trainable"}
        values = {key: keys.raw(key) for key in keys.names() if key not in of_layer}
        values.pop("name", None)
        return cls(values)


class Arguments:
    """What an operation is given, by the name of the parameter. Each method raises ConversionError if it does not fit.

    Args:
        parameters: names in the order of the arguments; `x1|x` has two names.
    """

    def __init__(
        self, parameters: Sequence[str], config: OperationConfig, inputs: Sequence[Tensor], layer: LayerBuilder
    ) -> None:
        self._layer, self._inputs = layer, inputs
        spellings = [names.split("|") for names in parameters]
        first_names = {name: names[0] for names in spellings for name in names}
        positional = zip((names[0] for names in spellings), layer.call.arguments, strict=False)
        named = {**config.values, **layer.call.keywords}
        self._values = {first_names.get(key, key): value for key, value in named.items()} | dict(positional)

    def tensor(self, name: str) -> Tensor:
        """One of the call's inputs."""
        value = self._values.get(name)
        if isinstance(value, tuple) and len(value) == 1:
            (value,) = value
        if not isinstance(value, Operand):
            raise self._refusal(name, "a tensor")
        return self._inputs[value.index]

    def tensors(self, name: str) -> list[Tensor]:
        """A list of the call's inputs."""
        value = self._values.get(name)
        if not isinstance(value, tuple) or not all(isinstance(item, Operand) for item in value):
            raise self._refusal(name, "a list of tensors")
        return [self._inputs[item.index] for item in value]

    def operand(self, name: str) -> "Tensor | npt.NDArray[np.float32]":
        """An input, or a number or array of them."""
        value = self._values.get(name)
        if isinstance(value, Operand):
            return self._inputs[value.index]
        if isinstance(value, dict) and isinstance(value.get("config"), dict):
            value = value["config"].get("value")
        try:
            array = np.array(value, np.float32)
        except (TypeError, ValueError):
            raise self._refusal(name, "a tensor, a number or an array") from None
        if value is None or not np.isfinite(array).all():
            raise self._refusal(name, "a tensor, a finite number or an array")
        return array

    def value(self, name: str, default: Any = None) -> Any:
        """What stands there, whatever it is; the default if nothing does, or null."""
        found = self._values.get(name)
        return default if found is None else found

    def number(self, name: str, default: float | None = None) -> float:
        """A number."""
        value = self.value(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._refusal(name, "a number")
        return float(value)

    def flag(self, name: str, *, default: bool) -> bool:
        """True or false."""
        value = self.value(name, default)
        if not isinstance(value, bool):
            raise self._refusal(name, "true or false")
        return value

    def integers(self, name: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """A list of integers; a single one is a list of one."""
        value = self.value(name, default)
        items = value if isinstance(value, tuple | list) else (value,)
        if not all(isinstance(item, int) and not isinstance(item, bool) for item in items):
            raise self._refusal(name, "an integer or a list of integers")
        return tuple(items)

    def axes(self, name: str, x: Tensor, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """Axes of x in Keras' order, counted from 0; the batch cannot be among them."""
        axes = tuple(self._layer.keras_axis(x, axis) for axis in self.integers(name, default))
        if 0 in axes:
            raise self._layer.error(f'"{name}" names the batch, which must stay as it is', "Name other axes.")
        return axes

    def _refusal(self, name: str, expected: str) -> Exception:
        value = self._values.get(name)
        problem = "is missing" if value is None else f"is {str(value)[:60]}"
        return self._layer.error(f'its argument "{name}" {problem}', f"Give {expected}.")
