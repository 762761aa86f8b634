"""An ONNX model as the bytes of its file, written one initializer at a time: the weights are never all in memory.

protobuf itself wants a whole message in memory, and makes a second copy of it as bytes. What is written here is what it
would give: fields in the order of their numbers, each message behind its length.
Source: protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Collection, Mapping
from typing import Any, BinaryIO, Protocol

import numpy as np
import onnx_ir as ir

from converters.protobuf_fields import tag, varint

__all__ = ["RawValues", "message_without_values", "write_message", "write_model"]

NO_VALUES = ir.Tensor(np.empty(0, np.uint8))

RawTensor = ir.Tensor[Any] | ir.LazyTensor | ir.TensorProtoTensor
"""A tensor that is written as the bytes of its values."""


class RawValues(Protocol):
    """The values of a tensor as bytes, which are written when their turn comes."""

    @property
    def nbytes(self) -> int:
        """How many there are."""

    def tofile(self, file: BinaryIO, /) -> None:
        """Write them."""


def write_model(model: ir.Model, file: BinaryIO) -> None:
    """Write a model's protobuf message; an initializer of the main graph is read when its turn comes."""
    streamed = {
        name: raw for name, value in model.graph.initializers.items() if (raw := _raw_tensor(value)) is not None
    }
    write_message(message_without_values(model, streamed), streamed, file)


def write_message(proto: Any, values: Mapping[str, RawValues], file: BinaryIO) -> None:
    """Write the protobuf message of a model.

    Args:
        values: those of initializers of the main graph, by name, which the message has without values.
    """
    before_graph, after_graph = _around("graph", proto)
    before_tensors, after_tensors = _around("initializer", proto.graph)
    tensors = [_Tensor(tensor, values.get(tensor.name), proto.graph) for tensor in proto.graph.initializer]
    size = len(before_tensors) + sum(tensor.size for tensor in tensors) + len(after_tensors)
    file.write(before_graph + _header("graph", size, proto) + before_tensors)
    for tensor in tensors:
        tensor.write(file)
    file.write(after_tensors + after_graph)


def message_without_values(model: ir.Model, names: Collection[str]) -> Any:
    """The protobuf message of a model; the values of these initializers are not read, and none in it.

    They are put aside while the message is made, which is quicker than a copy of the model.
    """
    initializers = model.graph.initializers
    aside = {name: initializers[name].const_value for name in names}
    try:
        for name, tensor in aside.items():
            initializers[name].const_value = _without_values(name, tensor)
        return ir.to_proto(model)
    finally:
        for name, tensor in aside.items():
            initializers[name].const_value = tensor


def _without_values(name: str, tensor: Any) -> ir.LazyTensor:
    return ir.LazyTensor(
        lambda: NO_VALUES,
        dtype=tensor.dtype,
        shape=tensor.shape,
        name=name,
        doc_string=tensor.doc_string,
        metadata_props=dict(tensor.metadata_props),
    )


class _Tensor:
    """A field of a graph's message that holds a tensor, in parts.

    Args:
        message: the whole of it, or without values.
        values: what holds them in the latter case.
        graph: the message it is a field of.
    """

    def __init__(self, message: Any, values: RawValues | None, graph: Any) -> None:
        self._values = values
        self._value_bytes = 0 if values is None else values.nbytes
        before, self._after = message.SerializeToString(), b""
        if values is not None:
            before, self._after = _around("raw_data", message)
            before += _header("raw_data", self._value_bytes, message)
        size = len(before) + self._value_bytes + len(self._after)
        self._before = _header("initializer", size, graph) + before
        self.size = len(self._before) + self._value_bytes + len(self._after)

    def write(self, file: BinaryIO) -> None:
        file.write(self._before)
        if self._values is not None:
            start = file.tell()
            self._values.tofile(file)
            assert file.tell() - start == self._value_bytes, self._values
        file.write(self._after)


def _raw_tensor(value: ir.Value) -> RawTensor | None:
    """The tensor of an initializer; None for one that is written otherwise, as strings and external data are."""
    tensor = value.const_value
    if isinstance(tensor, ir.TensorProtoTensor):
        return tensor if tensor.raw.HasField("raw_data") else None
    return tensor if isinstance(tensor, ir.Tensor | ir.LazyTensor) else None


def _around(field: str, message: Any) -> tuple[bytes, bytes]:
    """The bytes of the fields before one, and of those after it."""
    before, after = type(message)(), type(message)()
    before.CopyFrom(message)
    after.CopyFrom(message)
    number = _number(field, message)
    for other, _value in message.ListFields():
        if other.number >= number:
            before.ClearField(other.name)
        if other.number <= number:
            after.ClearField(other.name)
    return before.SerializeToString(), after.SerializeToString()


def _header(field: str, size: int, message: Any) -> bytes:
    """What stands before so many bytes of a field of this message."""
    return tag(_number(field, message)) + varint(size)


def _number(field: str, message: Any) -> int:
    return int(message.DESCRIPTOR.fields_by_name[field].number)
