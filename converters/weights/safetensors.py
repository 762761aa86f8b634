"""Weights in safetensors files: one file, or several that an index (`model.safetensors.index.json`) names.

The safetensors package checks offsets, overlaps and sizes; it is imported when a file is read.
"""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from converters.errors import WeightFileError
from converters.weights.keras_names import NetworkLayer
from converters.weights.registry import reads, writes
from converters.weights.weight import Array, Weight, Weights, collect_weights

__all__ = ["read_safetensors", "read_safetensors_index", "write_safetensors"]

DTYPES: dict[str, Any] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.bool_,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
}
"""The format's names of types."""

MAX_INDEX_BYTES = 2**26


@reads(".safetensors")
def read_safetensors(path: Path) -> Weights:
    """The tensors of a file, in the order of their data; values are read when asked for.

    Raises:
        WeightFileError: if the file is broken, or holds a type that NumPy lacks.
    """
    import safetensors

    try:
        opened: Any = safetensors.safe_open(path, framework="numpy")
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightFileError(
            f"is not a whole safetensors file ({_first_line(error)})", place=str(path), fix="Give a whole file."
        ) from error
    return collect_weights(_weight(opened, name, str(path)) for name in opened.offset_keys())


@reads(".safetensors.index.json")
def read_safetensors_index(path: Path) -> Weights:
    """The tensors of all files that the index names, in its order.

    Raises:
        WeightFileError: if the index is none, names a file outside its folder, or a tensor that its file lacks; and as
            `read_safetensors`.
    """
    places = _weight_map(path)
    shards = {file: read_safetensors(_shard(path, file)) for file in sorted(set(places.values()))}
    for name, file in places.items():
        if name not in shards[file]:
            raise WeightFileError(
                f"is said to be in '{file}', and is not",
                place=f"{path}, tensor '{name}'",
                fix="Give the files that belong to this index.",
            )
    return collect_weights(shards[file][name] for name, file in places.items())


@writes(".safetensors")
def write_safetensors(path: Path, weights: Weights, _network: Sequence[NetworkLayer]) -> None:
    """Write a file; the same weights in any order give the same bytes."""
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(w.read()).reshape(w.shape) for name, w in weights.items()}, path)


def _weight_map(path: Path) -> dict[str, str]:
    """Which tensor is in which file."""
    places: Any = None
    if path.stat().st_size <= MAX_INDEX_BYTES:
        try:
            index = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            index = None
        places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not all(isinstance(file, str) for file in places.values()):
        raise WeightFileError(
            'is no index of safetensors files: it has no "weight_map" of names',
            place=str(path),
            fix="Give the index that was written with the files.",
        )
    return places


def _shard(path: Path, file: str) -> Path:
    shard = path.parent / file
    if shard.resolve().parent != path.parent.resolve() or not file.endswith(".safetensors"):
        raise WeightFileError(
            f"names the file '{file}', which is no safetensors file in its folder",
            place=str(path),
            fix="Put the files beside their index.",
        )
    if not shard.is_file():
        raise WeightFileError(
            f"names the file '{file}', which is not there", place=str(path), fix="Put the files beside their index."
        )
    return shard


def _weight(opened: Any, name: str, file: str) -> Weight:
    described = opened.get_slice(name)
    if described.get_dtype() not in DTYPES:
        raise WeightFileError(
            f"is of type {described.get_dtype()}, which NumPy lacks",
            place=f"{file}, tensor '{name}'",
            fix="Save it as float32.",
        )
    dtype: np.dtype[Any] = np.dtype(DTYPES[described.get_dtype()])
    return Weight(name, tuple(described.get_shape()), dtype, partial(_values, opened, name, file), file)


def _values(opened: Any, name: str, file: str) -> Array:
    import safetensors

    try:
        values: Array = opened.get_tensor(name)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise WeightFileError(
            f"cannot be read ({_first_line(error)})", place=f"{file}, tensor '{name}'", fix="Give a whole file."
        ) from error
    return values


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
