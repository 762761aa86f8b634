"""The fields of a protobuf message, found without reading what they hold; and what stands before a field.

No library is needed, so that a file can be looked into before any is loaded.
Source: protobuf.dev/programming-guides/encoding.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["LENGTH_DELIMITED", "BrokenMessage", "Field", "fields", "tag", "varint"]

VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5
"""Wire types."""

MAX_VARINT_BYTES = 10


class BrokenMessage(ValueError):
    """Bytes that are no message, or only a part of one."""


@dataclass(frozen=True)
class Field:
    """A field of a message.

    Args:
        start: where it begins, its tag included.
        content: where what it holds begins.
        end: where both end.
        value: of a number; 0 of anything else.
    """

    number: int
    wire_type: int
    start: int
    content: int
    end: int
    value: int = 0


def fields(message: bytes | mmap.mmap, start: int, end: int) -> Iterator[Field]:
    """The fields of a message that lies between two places.

    Raises:
        BrokenMessage: if it is none.
    """
    while start < end:
        key, at = _read_varint(message, start, end)
        wire_type, value = key & 7, 0
        if wire_type == VARINT:
            value, after = _read_varint(message, at, end)
        elif wire_type == LENGTH_DELIMITED:
            length, at = _read_varint(message, at, end)
            after = at + length
        elif wire_type in (FIXED64, FIXED32):
            after = at + (8 if wire_type == FIXED64 else 4)
        else:
            raise BrokenMessage(f"wire type {wire_type}")
        if after > end:
            raise BrokenMessage("breaks off")
        yield Field(key >> 3, wire_type, start, at, after, value)
        start = after


def tag(number: int) -> bytes:
    """What stands before a field of bytes or of a message, and before their length."""
    return varint(number << 3 | LENGTH_DELIMITED)


def varint(number: int) -> bytes:
    """A number in groups of seven bits, the lowest first; all but the last are marked."""
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def _read_varint(message: bytes | mmap.mmap, start: int, end: int) -> tuple[int, int]:
    """A number, and where it ends."""
    number = 0
    for index, byte in enumerate(message[start : min(end, start + MAX_VARINT_BYTES)]):
        number |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return number, start + index + 1
    raise BrokenMessage("breaks off")
