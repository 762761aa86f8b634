"""Reading a layer's config: the only way from JSON keys to checked values, with the place of each in its file.

`Keys` remembers what was read. A key that nobody read is a wrong spelling or an option that we do not honour, and is
never passed over in silence: `report_unread` says so.
"""

import json
import math
from difflib import get_close_matches
from enum import Enum
from typing import Any, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt

from converters.errors import ConversionError
from converters.json_arrays import read_array
from converters.json_text import JsonArray, JsonObject
from converters.notices import Notices

__all__ = ["IGNORED", "MAX_INTEGER", "Keys"]

MAX_INTEGER = 2**31 - 1
"""Larger sizes cannot be allocated, and overflow what runs the graph."""

LARGEST = float(np.finfo(np.float32).max)
"""What float32 holds."""

MAX_SHOWN_CHARACTERS = 60

IGNORED = {
    "name": "read with the layer itself",
    "trainable": "read with the layer itself",
    "dtype": "checked for every layer",
    "batch_input_shape": "repeats what the input layer says",
    "batch_shape": "repeats what the input layer says",
    "input_shape": "repeats what the input layer says",
    "batch_size": "the batch is symbolic",
    "seed": "values are drawn from the seed of the conversion",
    "rng_type": "chooses a generator of random numbers, and none is drawn in use",
    "sparse": "ONNX inputs are dense",
    "ragged": "ONNX inputs are dense",
    "optional": "every graph input is needed",
    "input_axes": "only null occurs: the fans of an initializer come from its shape",
    "output_axes": "only null occurs: the fans of an initializer come from its shape",
    "synchronized": "how statistics are computed over devices is the training's business",
    "renorm": "batch renormalization was withdrawn from Keras",
    "renorm_clipping": "batch renormalization was withdrawn from Keras",
    "renorm_momentum": "batch renormalization was withdrawn from Keras",
    "virtual_batch_size": "was withdrawn from Keras",
    "fused": "chooses a kernel, not a result",
    "lora_rank": "only null occurs: low-rank adapters are not layers",
    "lora_alpha": "only null occurs: low-rank adapters are not layers",
    "quantization_config": "only null occurs: weights are float32",
}
"""Keys that may stand in a config and change nothing here -> why."""

NOTICED_WHEN_SET = frozenset(
    {
        "input_axes",
        "lora_alpha",
        "lora_rank",
        "optional",
        "output_axes",
        "quantization_config",
        "ragged",
        "renorm",
        "renorm_clipping",
        "sparse",
        "virtual_batch_size",
    }
)
"""Those of them that are passed over only while null or false: set, they would mean something."""

WRAPPED_LISTS = ("__tuple__", "ListWrapper", "TensorShape")
"""Classes of `{"class_name": ..., "items": [...]}`: lists that TensorFlow's own JSON encoder told from plain ones."""

KEYS_OF_KERAS_1: dict[str, tuple[str, ...]] = {
    "filters": ("nb_filter",),
    "kernel_size": ("nb_row", "filter_length", "kernel_dim1"),
    "rate": ("p",),
    "stddev": ("sigma",),
    "units": ("output_dim",),
}
"""Key that a config must have -> what it was called in Keras 1."""

PENALTIES = ("_regularizer", "_constraint")
"""Keys that end so act in training only: ignored, with one notice where not null."""

Choice = TypeVar("Choice", bound=Enum)


class Keys:
    """The config of one layer, or of an object within it.

    Every method takes a key and raises ConversionError, with file, line, column and layer, if its value is not of the
    asked type and range, or if it is absent and there is no default. Booleans are not numbers, and null is a value
    only where a method says so.

    Args:
        keras_version: the major version of Keras that wrote the config, None if nothing says it.
    """

    def __init__(
        self, config: JsonObject, *, layer: str, class_name: str, notices: Notices, keras_version: int | None = None
    ) -> None:
        self._config, self._notices = config, notices
        self._layer, self._class_name = layer, class_name
        self._keras_version = keras_version
        self._read: set[str] = set()

    def integer(self, key: str, *, default: int | None = None, minimum: int = 1) -> int:
        """An integer from `minimum` on."""
        value = self._value(key, default)
        return self._checked_integer(key, value, minimum, f"an integer from {minimum} on")

    def integers(self, key: str, count: int, *, default: int | None = None, minimum: int = 1) -> tuple[int, ...]:
        """`count` integers from `minimum` on; a single one stands for `count` equal ones."""
        value = self._value(key, default)
        allowed = f"an integer from {minimum} on" + (f", or a list of {count} of them" if count > 1 else "")
        if not isinstance(value, list):
            return (self._checked_integer(key, value, minimum, allowed),) * count
        if len(value) != count:
            self._refuse(key, allowed)
        return tuple(self._checked_integer(key, item, minimum, allowed) for item in value)

    def optional_integers(self, key: str, count: int, *, minimum: int = 1) -> tuple[int, ...] | None:
        """As `integers`, or None if the key is absent or null."""
        if self._config.get(key) is None:
            self._read.add(key)
            return None
        return self.integers(key, count, minimum=minimum)

    def pads(self, key: str, count: int, *, default: int | None = None) -> tuple[tuple[int, int], ...]:
        """Cells before and after each of `count` axes: one integer for all, one per axis, or a pair per axis.

        Of a single axis, two integers are its pair.
        """
        value = self._value(key, default)
        pair = "a pair of integers from 0 on: before and after"
        allowed = f"an integer from 0 on, or {pair}"
        if count > 1:
            allowed = f"an integer from 0 on, a list of {count} of them, or of {count} pairs: before and after"
        if not isinstance(value, list):
            value = [value] * count
        if count == 1 and len(value) == 2:
            value = [value]
        if len(value) != count:
            self._refuse(key, allowed)
        pairs = [item if isinstance(item, list) else [item, item] for item in value]
        if any(len(item) != 2 for item in pairs):
            self._refuse(key, allowed)
        cells = [[self._checked_integer(key, amount, 0, allowed) for amount in item] for item in pairs]
        return tuple((before, after) for before, after in cells)

    def number(
        self, key: str, *, default: float | None = None, minimum: float = -math.inf, maximum: float = math.inf
    ) -> float:
        """A number from `minimum` to `maximum`, both included, that float32 holds."""
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._refuse(key, _range(minimum, maximum))
        if not (minimum <= value <= maximum and abs(value) < math.inf):
            self._refuse(key, _range(minimum, maximum))
        if abs(value) > LARGEST:
            raise self.error(key, f"is {_shown(value)}, which is more than float32 holds", "Write a smaller number.")
        return float(value)

    def optional_number(self, key: str, *, minimum: float = -math.inf) -> float | None:
        """As `number`, or None if the key is absent or null."""
        if self._config.get(key) is None:
            self._read.add(key)
            return None
        return self.number(key, minimum=minimum)

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self._value(key, default)
        if not isinstance(value, bool):
            self._refuse(key, "true or false")
        return value

    def choice(self, key: str, choices: type[Choice], *, default: Choice) -> Choice:
        """The member of an Enum whose value is the text, in capital or small letters."""
        value = self._value(key, default.value)
        found = {member.value: member for member in choices}.get(value.lower() if isinstance(value, str) else None)
        if found is None:
            self._refuse(key, _one_of([member.value for member in choices]))
        return found

    def axis(self, key: str, *, default: int) -> int:
        """An axis, negative from the end; a list of one is taken for its item."""
        value = self._value(key, default)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        return self._checked_integer(key, value, -MAX_INTEGER, "one axis: an integer, or a list of one")

    def integer_list(self, key: str, *, minimum: int) -> tuple[int, ...]:
        """A list, not empty, of integers from `minimum` on."""
        value = self._value(key, None)
        allowed = f"a list of integers from {minimum} on"
        if not isinstance(value, list) or not value:
            self._refuse(key, allowed)
        return tuple(self._checked_integer(key, item, minimum, allowed) for item in value)

    def target_shape(self, key: str) -> tuple[int, ...]:
        """A list, not empty, of sizes from 1 on; one of them may be -1 or null, and is -1 then."""
        value = self._value(key, None)
        allowed = "a list of sizes: integers from 1 on, and -1 for at most one that follows from the others"
        if not isinstance(value, list) or not value or sum(size in (-1, None) for size in value) > 1:
            self._refuse(key, allowed)
        return tuple(-1 if size in (-1, None) else self._checked_integer(key, size, 1, allowed) for size in value)

    def axes(self, key: str, *, default: int, may_be_empty: bool = False) -> tuple[int, ...]:
        """One axis or a list of several, negative from the end."""
        value = self._value(key, default)
        items = value if isinstance(value, list) and (value or may_be_empty) else [value]
        return tuple(self._checked_integer(key, item, -MAX_INTEGER, "an axis, or a list of axes") for item in items)

    def numbers(self, key: str, *, default: float | None = None, minimum: float = -math.inf) -> npt.NDArray[np.float32]:
        """A number from `minimum` on, or lists of numbers that have one shape."""
        array = read_array(self._value(key, default))
        if array is None or array.dtype == np.bool_ or (array < minimum).any():
            limits = "" if minimum == -math.inf else f" from {minimum:g} on"
            self._refuse(key, f"a number{limits}, or lists of numbers that have one shape")
        return array.astype(np.float32)

    def shape(self, key: str) -> tuple[int | None, ...]:
        """A list of sizes from 1 on, with None where null stands for an unknown one."""
        value = self._value(key, None)
        allowed = "a list of sizes: integers from 1 on, null for an unknown one"
        if not isinstance(value, list):
            self._refuse(key, allowed)
        return tuple(None if size is None else self._checked_integer(key, size, 1, allowed) for size in value)

    def raw(self, key: str) -> Any:
        """The value as it stands, None if absent: for forms with a reader of their own, who refuses through `error`."""
        self._read.add(key)
        return _unwrapped(self._config.get(key))

    def kept(self) -> dict[str, Any]:
        """The config as far as it was read, with the penalties that are not null; lists are plain ones."""
        return {
            key: _unwrapped(value)
            for key, value in self._config.items()
            if key in self._read or (key.endswith(PENALTIES) and value is not None)
        }

    def names(self) -> list[str]:
        """The keys that are there."""
        return list(self._config)

    def inner(self, config: JsonObject | None) -> "Keys":
        """Keys of an object within this config, which belong to the same layer; None stands for an empty one."""
        inner = self._config.only() if config is None else config
        return Keys(
            inner,
            layer=self._layer,
            class_name=self._class_name,
            notices=self._notices,
            keras_version=self._keras_version,
        )

    def refuse_unless(self, key: str, expected: Any, why: str) -> None:
        """Nothing, if the key is absent, null or has the one value that we can convert; `why` is told otherwise."""
        value = self.raw(key)
        if value is not None and value != expected:
            raise self.error(key, f"is {_shown(value)}: {why}", f"Write {_shown(expected)}, or leave it out.")

    def is_null(self, key: str) -> bool:
        """Whether null is there, where that means something else than an absent key."""
        self._read.add(key)
        return key in self._config and self._config[key] is None

    def has(self, key: str) -> bool:
        """Whether the key is there and not null."""
        return self._config.get(key) is not None

    @property
    def written_by_keras_2(self) -> bool:
        """Whether Keras 2, or one before it, wrote the layer."""
        return self._keras_version is not None and self._keras_version < 3

    def error(self, key: str, problem: str, fix: str) -> ConversionError:
        """The error that a key causes, to be raised."""
        return ConversionError(
            f'"{key}" {problem}',
            place=self._config.place(key),
            fix=fix,
            layer=self._layer,
            class_name=self._class_name,
        )

    def unknown(self, key: str, value: Any, known: list[str]) -> ConversionError:
        """The error that a name causes which is not one of the known, to be raised."""
        close = get_close_matches(value, known) if isinstance(value, str) else []
        nearest = "; the nearest known: " + ", ".join(f'"{name}"' for name in close) if close else ""
        return self.error(key, f"is {_shown(value)}, which we do not know{nearest}", f"Use {_one_of(known)}.")

    def notice(self, key: str, text: str) -> None:
        """Tell the user something about a key; once for all layers, however often it is told."""
        place = f"{self._config.place(key)}: layer '{self._layer}' ({self._class_name})"
        self._notices.add(key, f'{place}: "{key}" {text}', self._layer)

    def report_unread(self) -> None:
        """Give a notice of every key that was not read and does not stand in `IGNORED`."""
        self._report_dtype()
        for key, value in self._config.items():
            if key in self._read or key == "dtype":
                continue
            if key.endswith(PENALTIES):
                if value is not None:
                    self._notices.add(
                        "penalties",
                        f"{self._config.place(key)}: layer '{self._layer}' ({self._class_name}): \"{key}\" is ignored, "
                        "as are all regularizers and constraints; use the optimizer's weight_decay",
                        self._layer,
                    )
            elif key not in IGNORED:
                self.notice(key, "is not a key that we know; ignored")
            elif key in NOTICED_WHEN_SET and value is not None and value is not False:
                self.notice(key, f"is {_shown(value)}, and ignored: {IGNORED[key]}")

    def _report_dtype(self) -> None:
        if "dtype" in self._read:
            return
        value = self._config.get("dtype")
        name = (
            value["config"].get("name") if isinstance(value, dict) and isinstance(value.get("config"), dict) else value
        )
        if name not in (None, "float32"):
            self.notice("dtype", f"is {_shown(name)}; built as float32")

    def _value(self, key: str, default: Any) -> Any:
        self._read.add(key)
        if key in self._config:
            return _unwrapped(self._config[key])
        if default is None:
            raise self._missing(key)
        return default

    def _missing(self, key: str) -> ConversionError:
        old = next((name for name in KEYS_OF_KERAS_1.get(key, ()) if name in self._config), None)
        if old is None:
            return self.error(key, "is missing", f'Add "{key}" to the layer\'s "config".')
        return self.error(
            key,
            f'is missing; "{old}" is what Keras 1 wrote for it',
            "Load the network with Keras 2.0 to 2.2, which reads files of Keras 1, and save it anew.",
        )

    def _checked_integer(self, key: str, value: Any, minimum: int, allowed: str) -> int:
        if type(value) is int and value > MAX_INTEGER:
            raise self.error(key, f"is {_shown(value)}, which is more than {MAX_INTEGER}", "Write a smaller integer.")
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= MAX_INTEGER:
            self._refuse(key, allowed)
        return value

    def _refuse(self, key: str, allowed: str) -> NoReturn:
        raise self.error(key, f"is {_shown(self._config.get(key))}, which is not allowed here", f"Write {allowed}.")


def _unwrapped(value: Any) -> Any:
    """The value with each list that TensorFlow wrapped in an object, to say of which type it is, in its place."""
    if isinstance(value, dict) and value.get("class_name") in WRAPPED_LISTS and isinstance(value.get("items"), list):
        value = value["items"]
    if type(value) is JsonArray and any(isinstance(item, dict) for item in value):
        return [_unwrapped(item) for item in value]
    return value


def _range(minimum: float, maximum: float) -> str:
    if maximum < math.inf:
        return f"a number from {minimum:g} to {maximum:g}"
    return "a number" + (f" from {minimum:g} on" if minimum > -math.inf else "")


def _one_of(names: list[str]) -> str:
    return "one of: " + ", ".join(f'"{name}"' for name in names)


def _shown(value: JsonArray | JsonObject | Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else text[:MAX_SHOWN_CHARACTERS] + "..."
