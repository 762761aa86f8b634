"""The message of an ONNX model without the values of its large initializers, which stay in the file.

protobuf wants a whole message in memory. Only the fields around the values are taken here; protobuf then reads what is
left of the message. Source: protobuf.dev/programming-guides/encoding.
"""

import mmap
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from converters.protobuf_fields import LENGTH_DELIMITED, BrokenMessage, Field, fields, tag, varint
from converters.weights.stored import ByteRange, OpenFile

__all__ = ["Skeleton", "read_skeleton"]

LARGE_BYTES = 2**16
"""Initializers of fewer bytes are left in the message."""


def _field(message: type, name: str) -> int:
    return int(message.DESCRIPTOR.fields_by_name[name].number)  # type: ignore[attr-defined]


GRAPH = _field(onnx.ModelProto, "graph")
INITIALIZER = _field(onnx.GraphProto, "initializer")
RAW_DATA = _field(onnx.TensorProto, "raw_data")


@dataclass(frozen=True)
class Skeleton:
    """A model's message, and by name where the values lie that it lacks."""

    proto: onnx.ModelProto
    values: dict[str, ByteRange]


def read_skeleton(path: Path) -> Skeleton:
    """The message of a model's file; values that are not in it are not read.

    Raises:
        OSError: if the file cannot be read.
        DecodeError: if it is no such message, or only a part of one.
    """
    file = OpenFile(path)
    if not file.size:
        raise DecodeError("empty")
    with mmap.mmap(file.descriptor, 0, access=mmap.ACCESS_READ) as content:
        try:
            kept, ranges = _without_values(content)
        except BrokenMessage as error:
            raise DecodeError(str(error)) from None
    proto = onnx.ModelProto()
    proto.ParseFromString(kept)
    names = {index: proto.graph.initializer[index].name for index in ranges}
    return Skeleton(proto, {names[i]: ByteRange(file, start, end - start) for i, (start, end) in ranges.items()})


def _without_values(content: mmap.mmap) -> tuple[bytes, dict[int, tuple[int, int]]]:
    """The bytes that are left, and where the values lie, by the place of their tensor among the initializers."""
    parts = list(fields(content, 0, len(content)))
    graphs = [part for part in parts if part.number == GRAPH and part.wire_type == LENGTH_DELIMITED]
    ranges: dict[int, tuple[int, int]] = {}
    kept: list[bytes] = []
    for part in parts:
        if part in graphs:
            graph = (
                _graph_without_values(content, part, ranges) if len(graphs) == 1 else content[part.content : part.end]
            )
            kept += [tag(GRAPH), varint(len(graph)), graph]
        else:
            kept.append(content[part.start : part.end])
    return b"".join(kept), ranges


def _graph_without_values(content: mmap.mmap, graph: Field, ranges: dict[int, tuple[int, int]]) -> bytes:
    kept: list[bytes] = []
    count = 0
    for part in fields(content, graph.content, graph.end):
        if part.number != INITIALIZER or part.wire_type != LENGTH_DELIMITED:
            kept.append(content[part.start : part.end])
            continue
        parts = list(fields(content, part.content, part.end)) if part.end - part.content > LARGE_BYTES else []
        values = [field for field in parts if field.number == RAW_DATA and field.wire_type == LENGTH_DELIMITED]
        if len(values) == 1 and values[0].end - values[0].content > LARGE_BYTES:
            ranges[count] = values[0].content, values[0].end
            tensor = b"".join(content[f.start : f.end] for f in parts if f is not values[0])
            kept += [tag(INITIALIZER), varint(len(tensor)), tensor]
        else:
            kept.append(content[part.start : part.end])
        count += 1
    return b"".join(kept)
