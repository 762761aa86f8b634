"""What TensorFlow 2.0 to 2.3 wrote of an operation into the config of a `TensorFlowOpLayer`: a NodeDef.

Later ones wrote it as an object, the first ones as the bytes of a protocol buffer, read as if they were text.
Source: tensorflow/core/framework/node_def.proto, attr_value.proto, types.proto; protobuf.dev/programming-guides/json.
"""

import base64
import binascii
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

__all__ = ["NodeDef", "TypeName", "read_node_def"]


class TypeName(str):
    """The name of a type of numbers, where an attribute is one."""


@dataclass(frozen=True)
class NodeDef:
    """An operation of TensorFlow: the name of its kind, and its attributes: numbers, flags, texts, types, tuples."""

    op: str
    attributes: Mapping[str, Any]


def read_node_def(value: Any) -> NodeDef | None:
    """The operation in an object or a text; None if it is neither."""
    try:
        if isinstance(value, str):
            return _of_bytes(value.encode())
        return _of_object(value)
    except _DamagedError:
        return None


class _DamagedError(Exception):
    pass


MAX_DIGITS = 20
"""Of an integer of 64 bits, with its sign."""

TYPES = {1: "float32", 2: "float64", 3: "int32", 9: "int64", 10: "bool", 14: "bfloat16", 19: "float16"}
"""Number of a type -> name."""

TYPE_NAMES = {
    "DT_FLOAT": "float32",
    "DT_DOUBLE": "float64",
    "DT_INT32": "int32",
    "DT_INT64": "int64",
    "DT_BOOL": "bool",
    "DT_BFLOAT16": "bfloat16",
    "DT_HALF": "float16",
}


def _of_object(value: Any) -> NodeDef:
    if not isinstance(value, dict) or not isinstance(value.get("op"), str):
        raise _DamagedError
    attributes = value.get("attr", {})
    if not isinstance(attributes, dict):
        raise _DamagedError
    return NodeDef(value["op"], {key: _object_attribute(item) for key, item in attributes.items()})


def _object_attribute(value: Any) -> Any:
    """An attribute as JSON writes it: `{"b": true}`, `{"i": "2"}`, `{"list": {"i": ["1", "2"]}}`."""
    if not isinstance(value, dict) or len(value) != 1:
        raise _DamagedError
    ((kind, content),) = value.items()
    if kind == "list":
        if not isinstance(content, dict) or not all(isinstance(items, list) for items in content.values()):
            raise _DamagedError
        return tuple(_object_item(kind, item) for kind, items in content.items() for item in items)
    return _object_item(kind, content)


def _object_item(kind: str, content: Any) -> Any:
    if kind == "b" and isinstance(content, bool):
        return content
    if kind == "i" and isinstance(content, int | str):
        return _whole(content)
    if kind == "f" and isinstance(content, int | float) and not isinstance(content, bool):
        return content
    if kind == "s" and isinstance(content, str):
        return _text(_from_base64(content))
    if kind == "type" and isinstance(content, str):
        return TypeName(TYPE_NAMES.get(content, content))
    raise _DamagedError


def _whole(content: int | str) -> int:
    if isinstance(content, str) and (len(content) > MAX_DIGITS or not content.removeprefix("-").isdecimal()):
        raise _DamagedError
    return int(content)


def _from_base64(content: str) -> bytes:
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error:
        raise _DamagedError from None


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise _DamagedError from None


def _of_bytes(data: bytes) -> NodeDef:
    fields = _fields(data)
    ops = [content for number, content in fields if number == 2 and isinstance(content, bytes)]
    if len(ops) != 1:
        raise _DamagedError
    attributes = {}
    for entry in (content for number, content in fields if number == 5):
        found = dict(_fields(_bytes(entry)))
        if set(found) != {1, 2}:
            raise _DamagedError
        attributes[_text(_bytes(found[1]))] = _attribute(_bytes(found[2]))
    return NodeDef(_text(ops[0]), attributes)


def _attribute(data: bytes) -> Any:
    """An AttrValue: one of its fields, in which a list has the same fields for its items."""
    fields = _fields(data)
    if len(fields) != 1:
        raise _DamagedError
    ((number, content),) = fields
    if number != 1:
        return _item(number, content)
    return tuple(item for number, content in _fields(_bytes(content)) for item in _items(number, content))


def _items(number: int, content: Any) -> Sequence[Any]:
    """The items in a field of a list: numbers may stand packed in one."""
    if number in PACKED and isinstance(content, bytes):
        return [_item(number, item) for item in PACKED[number](content)]
    return [_item(number, content)]


def _item(number: int, content: Any) -> Any:
    """An item by the number of its field: text, integer, float, flag or type."""
    if number == 2:
        return _text(_bytes(content))
    if not isinstance(content, int) or number not in ITEMS:
        raise _DamagedError
    return ITEMS[number](content)


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


def _float(bits: int) -> float:
    (number,) = struct.unpack("<f", struct.pack("<I", bits & 0xFFFFFFFF))
    return float(number)


ITEMS: Mapping[int, Callable[[int], Any]] = {
    3: _signed,
    4: _float,
    5: bool,
    6: lambda number: TypeName(TYPES.get(number, f"type {number}")),
}
"""Number of a field -> what its number stands for."""


def _varints(data: bytes) -> list[int]:
    """Numbers in groups of seven bits, the last of which has no eighth."""
    numbers, number, shift = [], 0, 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            numbers.append(number)
            number, shift = 0, 0
    return numbers


def _words(data: bytes) -> list[int]:
    return [int.from_bytes(data[place : place + 4], "little") for place in range(0, len(data), 4)]


PACKED: Mapping[int, Callable[[bytes], list[int]]] = {3: _varints, 4: _words, 5: _varints, 6: _varints}
"""Number of a field -> how its numbers are packed."""


def _fields(data: bytes) -> list[tuple[int, Any]]:
    """The fields of a message: their numbers and contents, which are integers or bytes."""
    try:
        message = Empty.FromString(data)
    except DecodeError:
        raise _DamagedError from None
    return [(field.field_number, field.data) for field in UnknownFieldSet(message)]


def _bytes(content: Any) -> bytes:
    if not isinstance(content, bytes):
        raise _DamagedError
    return content
