"""Weights where they lie in the files of an ONNX model: read when asked for, and written with other values.

A model is written as it is, but for the values of its initializers: those that lie in external data files do so again,
in one file beside the new model.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import onnx
import onnx_ir as ir

from converters.atomic_file import replacing_with_others
from converters.errors import WeightFileError
from converters.head_start import Piece, offsets
from converters.model_bytes import RawValues, write_message
from converters.roles import Role, initializer_roles
from converters.weights.onnx import checked_model, initializer_tensor, initializer_weight, read_message
from converters.weights.onnx_data import ExternalData, external_tensors, locations, tensor_bytes
from converters.weights.onnx_skeleton import Skeleton, read_skeleton
from converters.weights.registry import Writing, reads, rewrites
from converters.weights.stored import ByteRange, StoredArray
from converters.weights.weight import Weight, Weights, collect_weights

__all__ = ["OnnxFile", "data_files", "read_onnx", "rewrite_onnx"]

DATA_SUFFIX = ".data"

VALUE_FIELDS = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data", "raw_data")


@dataclass(frozen=True)
class OnnxFile:
    """An ONNX model whose large tensors are left in its files.

    Args:
        path: of the model.
        skeleton: its message.
        model: the same, to be asked for its graph; initializers of it may lack their values.
        data: its external data files.
    """

    path: Path
    skeleton: Skeleton
    model: ir.Model
    data: ExternalData

    @classmethod
    def open(cls, path: Path) -> "OnnxFile":
        """The model of a file; raises WeightFileError if there is none that can be carried whole."""
        skeleton = read_message(path, partial(read_skeleton, path))
        return cls(path, skeleton, checked_model(skeleton.proto, path), ExternalData(path, locations(skeleton.proto)))

    def weights(self) -> Weights:
        """The parameters and statistics of the model, in the order of its initializers; no constants."""
        roles = initializer_roles(self.model)
        return collect_weights(w for w in self.tensors().values() if roles[w.name].kind is not Role.CONSTANT)

    def tensors(self) -> Weights:
        """All initializers of the model's main graph, constants too, in their order."""
        return collect_weights(self._weight(tensor) for tensor in self.skeleton.proto.graph.initializer)

    def _weight(self, tensor: onnx.TensorProto) -> Weight:
        weight = initializer_weight(tensor.name, initializer_tensor(self.model, tensor.name), str(self.path))
        locate = self.locate(tensor)
        if locate is None:
            return weight
        return Weight(
            weight.name, weight.shape, weight.dtype, StoredArray(locate, weight.shape, weight.dtype), weight.file
        )

    def locate(self, tensor: onnx.TensorProto) -> "partial[ByteRange] | None":
        """What tells where the values of a tensor lie; None if they are in its message."""
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            return partial(self.data.locate, tensor)
        return partial(self._inline, tensor) if tensor.name in self.skeleton.values else None

    def _inline(self, tensor: onnx.TensorProto) -> ByteRange:
        lies, needed = self.skeleton.values[tensor.name], tensor_bytes(tensor)
        if lies.length != needed:
            raise WeightFileError(
                f"has {lies.length} bytes of data, and its shape {tuple(tensor.dims)} needs {needed}",
                place=f"{self.path}, tensor '{tensor.name}'",
                fix="Give a whole model.",
            )
        return lies


def data_files(path: Path) -> tuple[Path, ...]:
    """The external data files that a model names. Raises WeightFileError as `read_onnx`."""
    proto = read_message(path, partial(read_skeleton, path)).proto
    return tuple(path.parent / name for name in locations(proto))


@reads(".onnx", others=data_files)
def read_onnx(path: Path) -> Weights:
    """The parameters and statistics of an ONNX model, in the order of its initializers; no constants.

    Raises:
        WeightFileError: as `open_onnx`; for a tensor's data, when it is read.
    """
    return OnnxFile.open(path).weights()


@rewrites(".onnx", several_files=True)
def rewrite_onnx(path: Path, like: Path, _kept: Weights, changed: Weights, how: Writing) -> None:
    """Write the model `like` with other values: its graph, names, metadata and types stay.

    Raises:
        WeightFileError: if a value cannot be read, or is not of the type that the graph wants.
    """
    source = OnnxFile.open(like)
    message = onnx.ModelProto()
    message.CopyFrom(source.skeleton.proto)
    _require_types(message, changed, like)
    inline = _inline_values(message, source, changed)
    external = list(_external_values(message, source, changed))
    if external:
        how.require_room_for_others(path)
    names = partial(_data_names, path.name, there=bool(external))
    old = [] if not path.is_file() else _own_data_files(path, how)
    with replacing_with_others(path, names, durable=how.durable, obsolete=old) as (temporary, others):
        for name, other in others.items():
            begun = {} if how.head_start is None else how.head_start.take(other)
            with other.open("r+b") as file:
                _write_data(external, name, file, begun)
        with temporary.open("r+b") as file:
            write_message(message, inline, file)


def _require_types(message: onnx.ModelProto, changed: Weights, like: Path) -> None:
    for tensor in message.graph.initializer:
        wanted = ir.DataType(tensor.data_type)
        if tensor.name in changed and changed[tensor.name].dtype != wanted.numpy():
            raise WeightFileError(
                f"is {wanted.numpy()} in the graph, which {changed[tensor.name].dtype} values do not fit",
                place=f"{like}, tensor '{tensor.name}'",
                fix="Leave the types of a model as they are.",
            )


def _inline_values(message: onnx.ModelProto, source: OnnxFile, changed: Weights) -> dict[str, RawValues]:
    """The values of initializers that the message lacks, by name; those of changed ones are removed from it."""
    values: dict[str, RawValues] = {}
    for tensor in message.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            continue
        if tensor.name in changed:
            for field in VALUE_FIELDS:
                tensor.ClearField(field)
            values[tensor.name] = changed[tensor.name]
        elif (locate := source.locate(tensor)) is not None:
            values[tensor.name] = locate()
    return values


def _external_values(
    message: onnx.ModelProto, source: OnnxFile, changed: Weights
) -> Iterator[tuple[onnx.TensorProto, RawValues]]:
    """The tensors of the message that lie in other files, and their values."""
    of_graph = sum(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in message.graph.initializer)
    for number, tensor in enumerate(external_tensors(message)):  # those of the main graph come first
        is_changed = number < of_graph and tensor.name in changed
        yield tensor, changed[tensor.name] if is_changed else source.data.locate(tensor)


def _write_data(
    tensors: Sequence[tuple[onnx.TensorProto, RawValues]], name: str, file: BinaryIO, begun: Mapping[int, Piece]
) -> None:
    """Write the values of tensors to a file of this name, and change what they say of where they lie.

    Args:
        begun: what stands in the file already, by its place there.
    """
    for (tensor, values), start in zip(tensors, offsets(values.nbytes for _tensor, values in tensors), strict=True):
        if not _is_copied(values, begun.get(start)):
            file.seek(start)
            values.tofile(file)
        del tensor.external_data[:]
        for key, value in (("location", name), ("offset", str(start)), ("length", str(values.nbytes))):
            tensor.external_data.add(key=key, value=value)


def _is_copied(values: RawValues, piece: Piece | None) -> bool:
    lies = values.range if isinstance(values, Weight) else values
    if piece is None or not isinstance(lies, ByteRange):
        return False
    status = os.fstat(lies.file.descriptor)
    return piece == Piece(status.st_dev, status.st_ino, status.st_mtime_ns, lies.start, lies.length)


def _data_names(model: str, attempt: str, *, there: bool) -> list[str]:
    return [f"{model}{attempt}{DATA_SUFFIX}"] if there else []


def _own_data_files(path: Path, how: Writing) -> Sequence[Path]:
    """The external data files of the model that stands at `path`, if they are named as we name them."""
    own = re.compile(re.escape(path.name) + r"(-\d+)?" + re.escape(DATA_SUFFIX))
    try:
        named = [file for file in data_files(path) if own.fullmatch(file.name)]
    except WeightFileError:
        return []
    beside = (file for file in path.parent.glob("*.onnx*") if file.suffix != DATA_SUFFIX)
    return how.obsolete(path, named, beside, data_files)
