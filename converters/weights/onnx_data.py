"""Where the values of ONNX tensors lie: in files beside the model, or in the model's own.

A path that leads out of the model's folder is refused (`companions` says which do), and places that cannot be meant.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from converters.errors import WeightFileError
from converters.weights.companions import Companions
from converters.weights.stored import ByteRange, FileState, OpenFile

__all__ = [
    "ExternalData",
    "external_tensors",
    "locations",
    "refuse_impossible_shapes",
    "refuse_overlaps",
    "tensor_bytes",
]

WHOLE = "Give the whole model, with its external data files beside it."
EXPORT_ANEW = "Export the model anew."


@dataclass(frozen=True)
class _Place:
    """What a tensor says of where its values lie; sizes in bytes, None if it does not say."""

    location: str
    offset: int
    length: int | None


class ExternalData:
    """The external data files of a model, each opened when the first tensor is read from it.

    Args:
        model: its file.
        locations: what its tensors call them. What is there now is what may be read later.
    """

    def __init__(self, model: Path, locations: Iterable[str] = ()) -> None:
        self._model = model
        self._companions = Companions.of(model)
        self._files: dict[str, OpenFile] = {}
        self._found = {location: state for location in locations if (state := self._state(location)) is not None}

    def locate(self, tensor: onnx.TensorProto) -> ByteRange:
        """Where the values of an external tensor lie.

        Raises:
            WeightFileError: if the place is not one in the model's folder, or does not hold all of them.
        """
        name = tensor.name
        place = _place(tensor, self._model)
        needed = tensor_bytes(tensor)
        if place.length not in (None, needed):
            raise self._error(
                f"it is said to have {place.length} bytes of external data, its shape needs {needed}", name
            )
        file = self._file(place.location, name)
        if place.offset + needed > file.size:
            raise self._error(
                f"its external data file '{place.location}' is {file.size} bytes long, "
                f"the tensor ends at byte {place.offset + needed}",
                name,
            )
        return ByteRange(file, place.offset, needed)

    def require_unchanged(self) -> None:
        """Nothing, if the files are what they were. Raises WeightFileError if one is not."""
        for location, state in self._found.items():
            state.require(Path(self._companions.folder, location), self._model.parent / location)

    def _file(self, location: str, name: str) -> OpenFile:
        if location not in self._files:
            path = self._path(location, name)
            if not path.is_file():
                what = "is no regular file" if path.exists() else "does not exist"
                raise self._error(f"its external data file '{location}' {what}", name)
            try:
                self._files[location] = OpenFile(path, self._found.get(location))
                self._files[location].require_unchanged()
            except OSError as error:
                raise self._error(
                    f"its external data file '{location}' cannot be read: {error.strerror}", name
                ) from None
        return self._files[location]

    def _state(self, location: str) -> FileState | None:
        try:
            return FileState.of(Path(self._companions.folder, location))
        except (OSError, ValueError):  # which is said when it is to be read
            return None

    def _path(self, location: str, name: str) -> Path:
        """The file, which must lie in the model's folder (`Companions`)."""
        path = self._companions.find(location)
        if path is None:
            raise self._error(f"its external data file '{location}' is not in the folder of the model", name)
        return Path(path)

    def _error(self, problem: str, name: str) -> WeightFileError:
        return WeightFileError(problem, place=f"{self._model}, tensor '{name}'", fix=WHOLE)


def external_tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """All tensors of a model whose values lie in other files: initializers, and those in attributes and subgraphs."""
    for tensor in _tensors(proto):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield tensor


def locations(proto: onnx.ModelProto) -> tuple[str, ...]:
    """What the tensors of a model call the files in which their values lie, each once, without impossible names."""
    entries = (entry for tensor in external_tensors(proto) for entry in tensor.external_data)
    names = {entry.value for entry in entries if entry.key == "location"}
    return tuple(sorted(name for name in names if name and "\0" not in name))


def refuse_impossible_shapes(proto: onnx.ModelProto, model: Path) -> None:
    """Nothing, if every tensor has a shape and a type that a tensor can have.

    Raises:
        WeightFileError: if one has not.
    """
    for tensor in _tensors(proto):
        if tensor.data_type == onnx.TensorProto.UNDEFINED:
            raise WeightFileError("has no type", place=f"{model}, tensor '{tensor.name}'", fix=EXPORT_ANEW)
        if min(tensor.dims, default=0) < 0:
            raise WeightFileError(
                f"has the shape {tuple(tensor.dims)}, which none can have",
                place=f"{model}, tensor '{tensor.name}'",
                fix=EXPORT_ANEW,
            )


def refuse_overlaps(proto: onnx.ModelProto, model: Path) -> None:
    """Nothing, if each external tensor has its bytes to itself.

    Raises:
        WeightFileError: if two share some, or one does not say where it lies.
    """
    places = [(_place(tensor, model), tensor_bytes(tensor), tensor.name) for tensor in external_tensors(proto)]
    ends: dict[str, tuple[int, str]] = {}
    for place, size, name in sorted(places, key=lambda item: (os.path.normpath(item[0].location), item[0].offset)):
        location = os.path.normpath(place.location)
        end, before = ends.get(location, (0, ""))
        if size and place.offset < end:
            raise WeightFileError(
                f"its external data overlap those of '{before}'", place=f"{model}, tensor '{name}'", fix=EXPORT_ANEW
            )
        if size:
            ends[location] = place.offset + size, name


def _place(tensor: onnx.TensorProto, model: Path) -> _Place:
    said: Mapping[str, str] = {entry.key: entry.value for entry in tensor.external_data}
    numbers = [_number(said.get(key)) for key in ("offset", "length")]
    location = said.get("location", "")
    if not location or "\0" in location or any(number is not None and number < 0 for number in numbers):
        raise WeightFileError(
            f"has no place that external data can have: location {_quoted(location)}, "
            f"offset '{said.get('offset', '')}', length '{said.get('length', '')}'",
            place=f"{model}, tensor '{tensor.name}'",
            fix=EXPORT_ANEW,
        )
    return _Place(location, numbers[0] or 0, numbers[1])


def _quoted(location: str) -> str:
    return "'" + location.replace("\0", "\\0") + "'"


def _number(text: str | None) -> int | None:
    """None if there is none; negative if it is no number."""
    if text is None:
        return None
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else -1


def tensor_bytes(tensor: onnx.TensorProto) -> int:
    """How many bytes its values need. Raises ValueError if its type is unknown."""
    elements = 1
    for size in tensor.dims:
        elements *= size
    return -(-elements * ir.DataType(tensor.data_type).bitwidth // 8)


def _tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from _of_graph(proto.graph)
    for function in proto.functions:
        yield from _of_nodes(function.node)


def _of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Iterable[Any]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("g"):
                yield from _of_graph(attribute.g)
            for graph in attribute.graphs:
                yield from _of_graph(graph)
