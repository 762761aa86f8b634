"""ONNX models in memory, and their initializers as weights.

Opening reads the graph but no external data. Refused, with the reason: what is no model, initializers of one name,
external data outside the model's folder or shorter than its tensor, and the two parts of a model that onnx_ir drops.
`onnx_file` reads and writes weights where they lie in files.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from converters.errors import WeightFileError
from converters.roles import Role, initializer_roles
from converters.weights.companions import Companions
from converters.weights.onnx_data import refuse_impossible_shapes, refuse_overlaps
from converters.weights.weight import Array, Weight, Weights, collect_weights

__all__ = [
    "checked_model",
    "embed_external_data",
    "fill_initializers",
    "initializer_tensor",
    "initializer_weight",
    "initializer_weights",
    "open_onnx",
    "read_message",
    "write_initializers",
]

Message = TypeVar("Message")

DATA_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")


def initializer_weights(model: ir.Model, file: str) -> Weights:
    """The parameters and statistics of a model that is open already; `file` is named in errors."""
    roles = initializer_roles(model)
    return collect_weights(
        initializer_weight(name, initializer_tensor(model, name), file)
        for name in model.graph.initializers
        if roles[name].kind is not Role.CONSTANT
    )


def open_onnx(path: Path) -> ir.Model:
    """The model of an ONNX file; external data stays on disk until a tensor is read.

    Raises:
        WeightFileError: if the file is no ONNX model, or one that cannot be carried whole.
    """
    return checked_model(read_message(path, lambda: onnx.load(path, format="protobuf", load_external_data=False)), path)


def read_message(path: Path, read: Callable[[], Message]) -> Message:
    """What `read` gives of a file.

    Raises:
        WeightFileError: if the file cannot be read, or holds no such message.
    """
    try:
        return read()
    except OSError as error:
        raise WeightFileError(
            f"cannot be read: {error.strerror}", place=str(path), fix="Give the path of a readable .onnx file."
        ) from None
    except DecodeError:
        raise _not_a_model("is not an ONNX model, or only a part of one", path) from None


def checked_model(proto: onnx.ModelProto, path: Path) -> ir.Model:
    """The model of a message that was read from a file. Raises as `open_onnx`."""
    if not proto.HasField("graph") or not proto.opset_import:
        raise _not_a_model("is not a whole ONNX model: it lacks a graph or an opset", path)
    _refuse_duplicates(proto.graph, path)
    _refuse_what_onnx_ir_drops(proto, path)
    _refuse_loose_ends(proto.graph, path)
    try:
        refuse_impossible_shapes(proto, path)
        refuse_overlaps(proto, path)
        model = ir.from_proto(proto)
        initializer_roles(model)  # finds metadata that is damaged
    except (ir.serde.SerdeError, ValueError, TypeError, KeyError) as error:
        raise _not_a_model(f"is an ONNX model with a broken graph ({_first_line(error)})", path) from error
    # An absolute folder, as onnx_ir guards the folder only where it knows it, and "" is unknown to it.
    ir.external_data.set_base_dir(model.graph, os.path.abspath(path.parent))
    companions = Companions.of(path)
    if companions.blobs is not None:
        _follow_links(model, companions)
    return model


def _follow_links(model: ir.Model, companions: Companions) -> None:
    """Let external initializers of a model in a cache name the blobs themselves, as onnx_ir follows no link to them."""
    for graph in model.graphs():
        for name, value in graph.initializers.items():
            tensor = value.const_value
            place = companions.find(str(tensor.location)) if isinstance(tensor, ir.ExternalTensor) else None
            if isinstance(tensor, ir.ExternalTensor) and place is not None:
                folder, location = os.path.split(place)
                value.const_value = ir.ExternalTensor(
                    location,
                    tensor.offset,
                    tensor.length,
                    tensor.dtype,
                    shape=ir.Shape(tensor.shape),
                    name=name,
                    doc_string=tensor.doc_string,
                    metadata_props=dict(tensor.metadata_props),
                    base_dir=folder,
                )


def initializer_tensor(model: ir.Model, name: str) -> ir.TensorProtocol:
    """The tensor of an initializer of the main graph."""
    tensor = model.graph.initializers[name].const_value
    assert tensor is not None, f"{name} is an initializer, so it has a value"
    return tensor


def write_initializers(model: ir.Model, values: Mapping[str, Array]) -> ir.Model:
    """A copy of the model in which the named initializers hold the given values; all else is shared or equal.

    Args:
        values: by initializer name, in the shape and dtype of the initializer.
    """
    copy = model.clone()
    for name, array in values.items():
        copy.graph.initializers[name].const_value = _replaced(initializer_tensor(copy, name), name, array)
    return copy


def fill_initializers(model: ir.Model, reads: Mapping[str, Callable[[], Array]]) -> None:
    """Change the model in place: the named initializers hold what is read, at every use anew and never all in memory.

    Args:
        reads: by initializer name, what gives the values in the shape and dtype of the initializer.
    """
    for name, read in reads.items():
        old = initializer_tensor(model, name)
        model.graph.initializers[name].const_value = ir.LazyTensor(
            lambda old=old, name=name, read=read: _replaced(old, name, read()),  # type: ignore[misc]
            dtype=old.dtype,
            shape=ir.Shape(old.shape.numpy()),
            name=name,
            doc_string=old.doc_string,
            metadata_props=dict(old.metadata_props),
        )


def _replaced(old: ir.TensorProtocol, name: str, array: Array) -> ir.Tensor[Array]:
    """What takes the place of a tensor: other values of the same shape and type."""
    if array.shape != old.shape.numpy() or array.dtype != old.dtype.numpy():
        raise ValueError(f"{name}: {array.dtype} {array.shape} cannot replace {old.dtype} {old.shape}")
    return ir.Tensor(
        np.ascontiguousarray(array).reshape(array.shape),
        dtype=old.dtype,
        name=name,
        doc_string=old.doc_string,
        metadata_props=dict(old.metadata_props),
    )


def embed_external_data(model: ir.Model, file: str) -> None:
    """Change the model in place: read every external initializer into it, so that it can be saved anywhere.

    Raises:
        WeightFileError: if the data of one cannot be read; `file` is named.
    """
    for graph in model.graphs():
        for name, value in graph.initializers.items():
            if isinstance(value.const_value, ir.ExternalTensor):
                tensor = value.const_value
                value.const_value = ir.Tensor(
                    _read(tensor, name, file), dtype=tensor.dtype, name=name, doc_string=tensor.doc_string
                )


def initializer_weight(name: str, tensor: ir.TensorProtocol, file: str) -> Weight:
    """One of them."""
    dtype: np.dtype[Any] = np.dtype(tensor.dtype.numpy())
    return Weight(name, tuple(tensor.shape.numpy()), dtype, lambda: _read(tensor, name, file), file)


def _read(tensor: ir.TensorProtocol, name: str, file: str) -> Array:
    problem = _missing_data(tensor)
    if problem is None:
        try:
            return tensor.numpy()
        except (OSError, ValueError, TypeError, AssertionError) as error:
            problem = f"its data cannot be read ({_first_line(error)})"
    raise WeightFileError(
        problem, place=f"{file}, tensor '{name}'", fix="Give the whole model, with its external data files beside it."
    )


def _missing_data(tensor: ir.TensorProtocol) -> str | None:
    """Why the data cannot be all there, or None; what onnx_ir would take for zeros, or for a tensor of another size."""
    if isinstance(tensor, ir.ExternalTensor):
        if not os.path.isfile(tensor.path):
            return f"its external data file '{tensor.location}' does not exist"
        end, size = (tensor.offset or 0) + tensor.nbytes, os.path.getsize(tensor.path)
        if end > size:
            return f"its external data file '{tensor.location}' is {size} bytes long, the tensor ends at byte {end}"
        if tensor.length not in (None, tensor.nbytes):
            return f"it is said to have {tensor.length} bytes of external data, its shape needs {tensor.nbytes}"
    elif isinstance(tensor, ir.TensorProtoTensor) and tensor.size:
        proto = tensor.raw
        if not proto.HasField("raw_data") and not any(len(getattr(proto, field)) for field in DATA_FIELDS):
            return f"it has the shape {tensor.shape.numpy()} but no data"
    return None


def _refuse_duplicates(graph: onnx.GraphProto, path: Path) -> None:
    seen: set[str] = set()
    for tensor in graph.initializer:
        if tensor.name in seen:
            raise WeightFileError(
                "two initializers have this name",
                place=f"{path}, tensor '{tensor.name}'",
                fix="Export the model anew, each name once.",
            )
        seen.add(tensor.name)


def _refuse_what_onnx_ir_drops(proto: onnx.ModelProto, path: Path) -> None:
    if proto.graph.sparse_initializer:
        raise WeightFileError(
            "has sparse initializers, which we cannot carry",
            place=str(path),
            fix="Export the model with dense initializers.",
        )
    if proto.training_info:
        raise WeightFileError(
            "has training information, which we cannot carry", place=str(path), fix="Export the model for inference."
        )


def _refuse_loose_ends(graph: onnx.GraphProto, path: Path) -> None:
    # onnx_ir only logs it, and invents the value.
    given = {"", *(value.name for value in graph.input), *(tensor.name for tensor in graph.initializer)}
    given.update(name for node in graph.node for name in node.output)
    for node in graph.node:
        for name in node.input:
            if name not in given:
                raise _not_a_model(
                    f"is an ONNX model whose node '{node.name}' reads '{name}', which nothing gives", path
                )


def _not_a_model(problem: str, path: Path) -> WeightFileError:
    return WeightFileError(problem, place=str(path), fix="Give a whole .onnx file.")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
