"""What an operation is given: its config's values and its call's arguments, checked as they are asked for."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import onnx_ir as ir

from converters.errors import ConversionError
from converters.json_arrays import Array, read_array
from converters.keys import MAX_INTEGER, Keys
from converters.layers.extents import extents_of
from converters.layers.graph_builder import BATCH
from converters.layers.layer_builder import LayerBuilder
from converters.layers.tensor import Extent, Layout, Numbers, Shared, Tensor, Turned, shown
from converters.network import Call, Operand
from converters.node_def import TypeName, read_node_def

__all__ = ["Arguments", "OperationConfig", "Parameters", "brief", "listed", "positional"]

MAX_SHOWN_CHARACTERS = 60

WITHOUT_EFFECT = frozenset({"N", "name"})
"""Arguments of TensorFlow's functions that change nothing: N counts what is given."""

OF_WRONG_INPUT = frozenset({"incompatible_shape_error", "validate_indices"})
"""Attributes of operations of TensorFlow that say what happens with input that does not fit."""

Choice = TypeVar("Choice")


@dataclass(frozen=True)
class OperationConfig:
    """What the config of an operation says, by the name of the parameter; the call's arguments come on top.

    `notice` tells the user something about an argument; `of_tensorflow` says that it is a function of TensorFlow.
    `constants` are arguments by position, which stand between the call's tensors.
    """

    values: Mapping[str, Any]
    notice: Callable[[str, str], None]
    of_tensorflow: bool
    constants: Mapping[int, Any] | None = None

    @classmethod
    def read_keras(cls, keys: Keys) -> "OperationConfig":
        """Of an operation of Keras 3: its arguments, but for those of the call."""
        return cls(_values(keys, {"name", "trainable"}), keys.notice, of_tensorflow=False)

    @classmethod
    def read_tensorflow(cls, keys: Keys) -> "OperationConfig":
        """Of a TensorFlow function, which has all its arguments in its call."""
        return cls(_values(keys, {"name", "trainable", "dtype", "function"}), keys.notice, of_tensorflow=True)

    @classmethod
    def read_node(cls, keys: Keys) -> "OperationConfig":
        """Of an operation in a `TensorFlowOpLayer`: its attributes, and constants in the place of inputs."""
        node = read_node_def(keys.raw("node_def"))
        if node is None:
            raise keys.error("node_def", "is no operation of TensorFlow", "Give the file as TensorFlow wrote it.")
        written = keys.raw("constants") or {}
        if not isinstance(written, dict) or not all(place.isdecimal() and len(place) < 4 for place in written):
            raise keys.error("constants", "is no object of constants by their position", 'Write {"1": 2.0}.')
        return cls(
            {name: value for name, value in node.attributes.items() if _matters(name, value)},
            keys.notice,
            of_tensorflow=True,
            constants={int(place): value for place, value in written.items()},
        )


def _matters(name: str, value: Any) -> bool:
    """Whether an attribute changes what an operation computes: those that are off, or empty lists, do not."""
    return value is not False and value not in ((), "") and name not in OF_WRONG_INPUT and not name.startswith("_")


def _values(keys: Keys, of_layer: set[str]) -> dict[str, Any]:
    """What stands in a config, all of it read, but for what belongs to the layer."""
    return {key: value for key, value in [(key, keys.raw(key)) for key in keys.names()] if key not in of_layer}


@dataclass(frozen=True)
class Parameters:
    """The parameters of an operation in the order of its arguments, each with all its spellings: the first is ours.

    `variadic` says that the first takes all positional arguments, as a list; of an operation in a
    `TensorFlowOpLayer`, as many as its attribute N says.
    """

    spellings: tuple[tuple[str, ...], ...]
    variadic: bool = False

    @classmethod
    def parse(cls, text: str) -> "Parameters":
        """From `x1|x x2|y`, two parameters of two spellings each, or `*xs axis`, where the first is variadic."""
        spellings = tuple(tuple(names.split("|")) for names in text.removeprefix("*").split())
        return cls(spellings, variadic=text.startswith("*"))

    def knows(self, written: str) -> bool:
        """Whether a parameter is called so."""
        return any(written in names for names in self.spellings)

    def means_something(self, written: str, value: Any) -> bool:
        """Whether an argument says more than what the types of inputs are, which follow from them."""
        return self.knows(written) or not isinstance(value, TypeName)

    def own_name(self, written: str) -> str:
        """Ours for a name that the file writes; the same if no parameter is called so."""
        return next((names[0] for names in self.spellings if written in names), written)


class Arguments:
    """What an operation is given, by the name of the parameter; null counts as nothing.

    Each method raises ConversionError if the argument is not what it asks for, or missing without a default. What was
    asked for is remembered, so that `require_all_read` finds what nobody honoured.
    """

    def __init__(
        self,
        parameters: Parameters,
        config: OperationConfig,
        inputs: Sequence[Tensor],
        layer: LayerBuilder,
        *,
        needs_batch: bool = True,
    ) -> None:
        """`needs_batch` says that a tensor without one is refused wherever a tensor is asked for."""
        self.notice, self.of_tensorflow = config.notice, config.of_tensorflow
        self._layer, self._inputs, self._needs_batch = layer, inputs, needs_batch
        self._values: dict[str, Any] = {}
        self._read: set[str] = set()
        given, taken = positional(parameters, config, layer.call), len(parameters.spellings)
        if len(given) > taken:
            raise layer.error(f"is given {len(given)} arguments, and takes {taken}", "Leave out the others.")
        for names, value in zip(parameters.spellings, given, strict=False):
            self._add(names[0], value)
        for name, value in (*config.values.items(), *layer.call.keywords.items()):
            if parameters.means_something(name, value):
                self._add(parameters.own_name(name), value)

    @classmethod
    def of_layer(cls, parameters: str, inputs: Sequence[Tensor], layer: LayerBuilder) -> "Arguments":
        """Those of a layer's call, of which its config says none; the layer honours all that are named here.

        Args:
            parameters: as `Parameters.parse` wants them.
        """
        known = Parameters.parse(parameters)
        config = OperationConfig({}, notice=lambda _key, _problem: None, of_tensorflow=False)
        arguments = cls(known, config, inputs, layer)
        for spellings in known.spellings:
            arguments.value(spellings[0])
        arguments.require_all_read()
        return arguments

    def _add(self, name: str, value: Any) -> None:
        value = listed(value)
        if self._values.get(name) is None:
            self._values[name] = value
        elif value is not None:
            raise self._layer.error(f'is given its argument "{name}" twice', "Give it once.")

    def has(self, name: str) -> bool:
        """Whether it is given, and not null."""
        return self._values.get(name) is not None

    def value(self, name: str, default: Any = None) -> Any:
        """What stands there, whatever it is; the default if nothing does."""
        self._read.add(name)
        found = self._values.get(name)
        return default if found is None else found

    def tensor(self, name: str) -> Tensor:
        """One of the call's inputs, as floats."""
        return self._layer.cast(self.tensor_of_any_type(name), ir.DataType.FLOAT)

    def tensor_of_any_type(self, name: str) -> Tensor:
        """One of the call's inputs."""
        value = self.value(name)
        if isinstance(value, tuple) and len(value) == 1:
            (value,) = value
        if not isinstance(value, Operand):
            raise self.refusal(name, "a tensor")
        return self._in_place(name, self._inputs[value.index])

    def tensor_or_turned(self, name: str) -> Tensor:
        """As `tensor_of_any_type`, or with the batch behind other axes."""
        given = self.given(name)
        return given if isinstance(given, Turned) else self.tensor_of_any_type(name)

    def tensors(self, name: str) -> list[Tensor]:
        """A list of the call's inputs; a single one is a list of one."""
        value = self.value(name)
        items = value if isinstance(value, tuple) else (value,)
        if not items or not all(isinstance(item, Operand) for item in items):
            raise self.refusal(name, "a list of tensors")
        return [self._in_place(name, self._inputs[item.index]) for item in items]

    def _in_place(self, name: str, x: Tensor) -> Tensor:
        """A tensor whose batch stands first, or that has none, if the operation needs none."""
        if isinstance(x, Turned):
            raise self._layer.error(
                f'its argument "{name}" {shown(x.shape)} has its batch behind other axes',
                "Take an entry of each axis before the batch first, as in x[0], or unstack it, or transpose it back.",
            )
        if self._needs_batch and isinstance(x, Numbers | Shared):
            raise self._layer.error(
                f'its argument "{name}" is computed from a shape, where a tensor with a batch is needed',
                "Compute with known sizes instead.",
            )
        return self._as_shared(x) if isinstance(x, Numbers) else x

    def _as_shared(self, numbers: Numbers) -> Shared:
        if not numbers.scalar:
            return Shared(numbers.value, Layout.KERAS)
        first = self._layer.constant("first", np.array(0, np.int64))
        return Shared(self._layer.op("Gather", [numbers.value, first]), Layout.KERAS)

    def operand(self, name: str) -> Tensor | Array:
        """An input, or a number or array of numbers."""
        operand = self.given(name)
        return self._in_place(name, operand) if isinstance(operand, Tensor) else operand

    def operand_or_numbers(self, name: str) -> Tensor | Array:
        """As `operand`, or numbers that were computed from a shape."""
        operand = self.given(name)
        return operand if not isinstance(operand, Tensor) or isinstance(operand, Numbers) else self.operand(name)

    def given(self, name: str) -> Tensor | Array:
        """As `operand`, whichever kind of tensor it is."""
        value = self.value(name)
        if isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], Operand):
            (value,) = value
        if isinstance(value, Operand):
            return self._inputs[value.index]
        array = read_array(value)
        if array is None:
            raise self.refusal(name, "a tensor, a finite number or an array")
        return array

    def operands(self, name: str) -> list[Tensor | Array]:
        """A list of inputs, numbers and arrays."""
        operands = self.operands_or_numbers(name)
        return [self._in_place(name, item) if isinstance(item, Tensor) else item for item in operands]

    def operands_or_numbers(self, name: str) -> list[Tensor | Array]:
        """As `operands`, or numbers that were computed from a shape; a single one is a list of one."""
        value = self.value(name)
        value = (value,) if isinstance(value, Operand) else value
        if not isinstance(value, tuple | list) or not value:
            raise self.refusal(name, "a list of tensors")
        found = [self._inputs[item.index] if isinstance(item, Operand) else read_array(item) for item in value]
        if any(item is None for item in found):
            raise self.refusal(name, "a list of tensors, finite numbers and arrays")
        return [
            item if isinstance(item, Numbers) or not isinstance(item, Tensor) else self._in_place(name, item)
            for item in found
            if item is not None
        ]

    def array(self, name: str, ndim: int | None = None) -> Array:
        """An array of floats that is the same for every input.

        Args:
            ndim: how many axes it has; None if it may have any number.
        """
        if isinstance(self.value(name), Operand):
            raise self._layer.error(
                f'its argument "{name}" depends on the network\'s input', "Give an array, or use a layer with weights."
            )
        array = read_array(self.value(name))
        if array is None or ndim not in (None, array.ndim):
            raise self.refusal(name, "an array of finite numbers" + ("" if ndim is None else f" with {ndim} axes"))
        return array.astype(np.float32)

    def number(self, name: str, default: float | None = None) -> float:
        """A number that float32 can hold."""
        value = self.value(name, default)
        array = None if isinstance(value, bool) else read_array(value)
        if array is None or array.ndim or array.dtype == np.bool_:
            raise self.refusal(name, "a finite number")
        return float(array)

    def flag(self, name: str, *, default: bool) -> bool:
        """True or false."""
        value = self.value(name, default)
        if not isinstance(value, bool):
            raise self.refusal(name, "true or false")
        return value

    def choice(self, name: str, choices: Mapping[str, Choice], default: str) -> Choice:
        """What a text, in capital or small letters, stands for; the keys are in small letters."""
        value = self.value(name, default)
        if not isinstance(value, str) or value.lower() not in choices:
            raise self.refusal(name, "one of: " + ", ".join(f'"{choice}"' for choice in choices))
        return choices[value.lower()]

    def integer(self, name: str, default: int | None = None, *, minimum: int = -MAX_INTEGER) -> int:
        """An integer from `minimum` on."""
        found = self.integers(name, None if default is None else (default,), minimum=minimum)
        if len(found) != 1:
            raise self.refusal(name, "one integer")
        return found[0]

    def integers(
        self, name: str, default: tuple[int, ...] | None = None, *, minimum: int = -MAX_INTEGER
    ) -> tuple[int, ...]:
        """A list of integers from `minimum` on; a single one is a list of one."""
        value = self.value(name, default)
        items = value if isinstance(value, tuple | list) else (value,)
        if not all(_is_integer(item, minimum) for item in items):
            least = "" if minimum == -MAX_INTEGER else f" from {minimum} on"
            raise self.refusal(name, f"an integer{least}, or a list of integers")
        return tuple(items)

    def integers_for(self, name: str, count: int, default: int | None = None, *, minimum: int = 1) -> tuple[int, ...]:
        """`count` integers from `minimum` on; a single one stands for as many equal ones."""
        found = self.integers(name, None if default is None else (default,), minimum=minimum)
        if len(found) not in (1, count):
            raise self.refusal(name, f"an integer, or a list of {count}")
        return found * count if len(found) == 1 else found

    def known_integer(self, value: Any) -> Any:
        """A value within an argument; what stands for a number that was computed from known sizes, as that number."""
        if not isinstance(value, Operand):
            return value
        numbers = self._inputs[value.index]
        if isinstance(numbers, Numbers) and numbers.scalar and isinstance(numbers.items[0], int):
            return numbers.items[0]
        raise self._layer.error(
            "depends on a number that is known only when the network runs", "Write the number, or give known sizes."
        )

    def number_or_numbers(self, value: Any) -> Any:
        """As `known_integer`; what is known only when the network runs as `Numbers`."""
        numbers = self._inputs[value.index] if isinstance(value, Operand) else None
        if isinstance(numbers, Numbers) and numbers.scalar and numbers.dtype is ir.DataType.INT64:
            return numbers.items[0] if isinstance(numbers.items[0], int) else numbers
        return self.known_integer(value)

    def extents(self, name: str) -> list[Extent]:
        """Sizes, each from 1 on, -1, or one that the network computes; null in the first place is the batch."""
        value = self.value(name)
        if isinstance(value, Operand):
            return self._extents_of(name, self._inputs[value.index])
        items = value if isinstance(value, tuple | list) and value else (value,)
        found: list[Extent] = []
        for place, item in enumerate(items):
            if isinstance(item, Operand):
                found.extend(self._extents_of(name, self._inputs[item.index]))
            elif item is None and place == 0 and len(items) > 1:
                found.append(BATCH)
            elif _is_integer(item, -1) and item != 0:
                found.append(item)
            else:
                raise self.refusal(name, "sizes: integers from 1 on, or -1")
        return found

    def _extents_of(self, name: str, x: Tensor) -> list[Extent]:
        if not isinstance(x, Numbers) or x.dtype is not ir.DataType.INT64:
            raise self.refusal(name, "sizes: integers, or what was computed from a tensor's shape")
        return extents_of(x, self._layer)

    def axes(
        self, name: str, x: Tensor, default: tuple[int, ...] | None = None, *, null_is_default: bool = False
    ) -> tuple[int, ...]:
        """Axes of x in Keras' order, counted from 0; the batch cannot be among them.

        Args:
            default: what a missing argument stands for; without one, for all axes.
            null_is_default: whether null stands for the same; else for all axes.
        """
        given = self.has(name) or (name in self._values and not null_is_default)
        if not self.has(name) and (given or default is None):
            raise self._layer.error(
                f'its argument "{name}" names no axis, so that all are meant, also the batch',
                "Name the axes, but for the batch, which must stay as it is.",
            )
        axes = tuple(self._axis(name, axis, x) for axis in self.integers(name, default))
        if 0 in axes and not isinstance(x, Shared):
            raise self._layer.error(f'"{name}" names the batch, which must stay as it is', "Name other axes.")
        if len(set(axes)) < len(axes):
            raise self._layer.error(f'"{name}" names an axis twice', "Name each once.")
        return axes

    def axis(self, name: str, x: Tensor, default: int | None = None, *, null_is_default: bool = False) -> int:
        """One axis of x in Keras' order, counted from 0; not the batch."""
        axes = self.axes(name, x, None if default is None else (default,), null_is_default=null_is_default)
        if len(axes) != 1:
            raise self.refusal(name, "one axis")
        return axes[0]

    def _axis(self, name: str, axis: int, x: Tensor) -> int:
        if not -x.rank <= axis < x.rank:
            raise self._layer.error(
                f'"{name}" is {axis}, and its input {shown(x.shape)} has {x.rank} axes',
                f"Write an axis from {-x.rank} to {x.rank - 1}.",
            )
        return axis % x.rank

    def refuse_unless(self, name: str, expected: Any, why: str) -> None:
        """Nothing, if the argument is missing or has the one value that can be converted; `why` is told otherwise."""
        value = self.value(name)
        if value is not None and (value != expected or isinstance(value, bool) is not isinstance(expected, bool)):
            raise self._layer.error(
                f'its argument "{name}" is {brief(value)}: {why}',
                "Leave it out." if expected is None else f"Write {brief(expected)}, or leave it out.",
            )

    def require_all_read(self) -> None:
        """Nothing, if each argument was asked for; one that was not could change the result."""
        for name, value in self._values.items():
            if value is not None and name not in self._read | WITHOUT_EFFECT:
                raise self._layer.error(
                    f'its argument "{name}" is {brief(value)}, and we know none of that name', "Leave it out."
                )

    def refusal(self, name: str, expected: str) -> ConversionError:
        """The error that an argument causes, to be raised."""
        value = self._values.get(name)
        problem = "is missing" if value is None else f"is {brief(value)}"
        return self._layer.error(f'its argument "{name}" {problem}', f"Give {expected}.")


def positional(parameters: Parameters, config: OperationConfig, call: Call) -> tuple[Any, ...]:
    """The positional arguments of a call, constants among them, those of a variadic parameter in a list."""
    if config.constants is None:
        return (call.arguments,) if parameters.variadic else call.arguments
    merged: list[Any] = [Operand(index) for index in range(len(call.inputs))]
    for place, value in sorted(config.constants.items()):
        merged.insert(place, value)
    if not parameters.variadic:
        return tuple(merged)
    count = config.values.get("N", len(merged))
    return (tuple(merged[:count]), *merged[count:])


def listed(value: Any) -> Any:
    """The value; where it is Keras 3's object around integers, these as lists, as other versions write them."""
    if isinstance(value, dict):
        array = read_array(value)
        return value if array is None or array.dtype != np.int64 else array.tolist()
    return value


def _is_integer(value: Any, minimum: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and minimum <= value <= MAX_INTEGER


def brief(value: Any) -> str:
    """A value for messages, cut if it is long."""
    if isinstance(value, Operand):
        return "a tensor"
    text = json.dumps(value, ensure_ascii=False, default=brief)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else text[:MAX_SHOWN_CHARACTERS] + "..."
