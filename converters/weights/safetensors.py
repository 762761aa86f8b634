"""Weights in safetensors files: one file, or several that an index (`model.safetensors.index.json`) names.

The safetensors package checks offsets, overlaps and sizes of what is read. It is imported when a file is read; what is
written is what it would write, but never all in memory.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from converters.atomic_file import replacing_with_others
from converters.errors import WeightFileError
from converters.weights.companions import Companions
from converters.weights.registry import Writing, reads, rewrites, writes
from converters.weights.stored import ByteRange, OpenFile
from converters.weights.weight import Weight, Weights, collect_weights

__all__ = [
    "INDEX_SUFFIX",
    "read_safetensors",
    "read_safetensors_index",
    "rewrite_safetensors",
    "rewrite_safetensors_index",
    "shard_paths",
    "write_safetensors",
    "write_safetensors_index",
]

SUFFIX = ".safetensors"
INDEX_SUFFIX = ".safetensors.index.json"

DTYPES: dict[str, Any] = {
    "BOOL": np.bool_,
    "U8": np.uint8,
    "I8": np.int8,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "I16": np.int16,
    "U16": np.uint16,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "I32": np.int32,
    "U32": np.uint32,
    "F32": np.float32,
    "F64": np.float64,
    "I64": np.int64,
    "U64": np.uint64,
}
"""The format's names of types, in its own order: tensors of the later ones come first in a file."""

NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
RANKS = {name: rank for rank, name in enumerate(DTYPES)}

METADATA = "__metadata__"
LENGTH_BYTES = 8
ALIGNMENT = 8
"""Of the first tensor: the header before it is filled up with spaces."""

MAX_INDEX_BYTES = 2**26

OWN_SHARD = re.compile(r"(-\d+)?-\d{5}-of-\d{5}\.safetensors")
"""How we name the files beside an index, after the name that it has too."""

DEFAULT_SHARD_BYTES = 5 * 10**9
"""As large as the files that others write get."""


@reads(SUFFIX)
def read_safetensors(path: Path) -> Weights:
    """The tensors of a file, in the order of their data; values are read when asked for.

    Raises:
        WeightFileError: if the file is broken, or holds a type that NumPy lacks.
    """
    file = OpenFile(path)
    _require_whole(file)
    start, header = _header(file)
    tensors = [(name, entry) for name, entry in header if name != METADATA]
    tensors.sort(key=lambda item: item[1]["data_offsets"])
    return collect_weights(_weight(name, entry, file, start) for name, entry in tensors)


def shard_paths(path: Path) -> tuple[Path, ...]:
    """The files that an index names.

    Raises:
        WeightFileError: as `read_safetensors_index`.
    """
    return tuple(_shard(path, file) for file in sorted(set(_weight_map(path).values())))


@reads(INDEX_SUFFIX, others=shard_paths)
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


@writes(SUFFIX)
def write_safetensors(path: Path, weights: Weights, _how: Writing) -> None:
    """Write a file; the same weights in any order give the same bytes."""
    _write(path, weights, {})


@rewrites(SUFFIX)
def rewrite_safetensors(path: Path, like: Path, kept: Weights, changed: Weights, _how: Writing) -> None:
    """Write a file of kept and changed tensors, with the metadata of `like`."""
    metadata = dict(_header(OpenFile(like))[1]).get(METADATA, {})
    _write(path, {**kept, **changed}, metadata)


@writes(INDEX_SUFFIX, several_files=True)
def write_safetensors_index(path: Path, weights: Weights, how: Writing) -> None:
    """Write files of at most `max_shard_bytes` (a larger tensor has one to itself), and the index that names them."""
    _write_index(path, weights, how, {}, {})


@rewrites(INDEX_SUFFIX, several_files=True)
def rewrite_safetensors_index(path: Path, like: Path, kept: Weights, changed: Weights, how: Writing) -> None:
    """Write kept and changed tensors, with the metadata of `like` and of its files.

    They are divided as in `like`, unless `max_shard_bytes` says otherwise.
    """
    metadata = _index(like).get("metadata")
    of_shards: dict[str, Any] = {}
    for shard in shard_paths(like):
        of_shards |= dict(_header(OpenFile(shard))[1]).get(METADATA, {})
    _write_index(path, {**kept, **changed}, how, metadata if isinstance(metadata, dict) else {}, of_shards)


def _write_index(
    path: Path, weights: Weights, how: Writing, metadata: Mapping[str, Any], of_shards: Mapping[str, Any]
) -> None:
    shards = list(_divided(weights.values(), how.max_shard_bytes or DEFAULT_SHARD_BYTES))
    stem = path.name[: -len(INDEX_SUFFIX)]

    def names(attempt: str) -> list[str]:
        return [f"{stem}{attempt}-{n:05d}-of-{len(shards):05d}{SUFFIX}" for n in range(1, len(shards) + 1)]

    how.require_room_for_others(path)
    old = _own_shards(path, how)
    with replacing_with_others(path, names, durable=how.durable, obsolete=old) as (temporary, others):
        for shard, other in zip(shards, others.values(), strict=True):
            _write(other, {weight.name: weight for weight in shard}, of_shards)
        index = {
            "metadata": {**metadata, "total_size": sum(weight.nbytes for weight in weights.values())},
            "weight_map": {w.name: file for shard, file in zip(shards, others, strict=True) for w in shard},
        }
        temporary.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _divided(weights: Iterable[Weight], max_bytes: int) -> Iterator[list[Weight]]:
    """The weights in order, in groups of at most so many bytes; at least one group."""
    group: list[Weight] = []
    size = 0
    for weight in weights:
        if group and size + weight.nbytes > max_bytes:
            yield group
            group, size = [], 0
        group.append(weight)
        size += weight.nbytes
    yield group


def _own_shards(path: Path, how: Writing) -> Sequence[Path]:
    """The files of an index that stands at `path` already, if they are named as we name them."""
    stem = path.name[: -len(INDEX_SUFFIX)]
    try:
        named = [shard for shard in shard_paths(path) if re.fullmatch(OWN_SHARD, shard.name.removeprefix(stem))]
    except (OSError, WeightFileError):
        return []
    return how.obsolete(path, named, path.parent.glob(f"*{INDEX_SUFFIX}*"), shard_paths)


def _write(path: Path, weights: Weights, metadata: Mapping[str, str]) -> None:
    tensors = sorted(weights.items(), key=lambda item: (-RANKS[_dtype_name(item[1])], item[0]))
    header: dict[str, Any] = {METADATA: dict(sorted(metadata.items()))} if metadata else {}
    end = 0
    for name, weight in tensors:
        start, end = end, end + weight.nbytes
        header[name] = {"dtype": _dtype_name(weight), "shape": list(weight.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with path.open("r+b") as file:
        file.write(len(text).to_bytes(LENGTH_BYTES, "little") + text)
        for _name, weight in tensors:
            weight.tofile(file)


def _dtype_name(weight: Weight) -> str:
    if weight.dtype not in NAMES:
        raise WeightFileError(
            f"is of type {weight.dtype}, which safetensors files lack", place=weight.place, fix="Write a .npz file."
        )
    return NAMES[weight.dtype]


def _require_whole(file: OpenFile) -> None:
    """Nothing, if the package takes the file."""
    import safetensors

    try:
        with safetensors.safe_open(file.path, framework="numpy"):
            pass
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightFileError(
            f"is not a whole safetensors file ({_first_line(error)})", place=str(file.path), fix="Give a whole file."
        ) from error
    file.require_at_path()


def _header(file: OpenFile) -> tuple[int, list[tuple[str, Any]]]:
    """Where the tensors of a file begin that is known to be whole, and what its header says of each."""
    length = int.from_bytes(file.read(0, LENGTH_BYTES).tobytes(), "little")
    entries = json.loads(file.read(LENGTH_BYTES, length).tobytes(), object_pairs_hook=list)
    return LENGTH_BYTES + length, [(name, dict(entry)) for name, entry in entries]


def _index(path: Path) -> dict[str, Any]:
    """What an index holds; nothing, if it is none."""
    index: Any = None
    if path.stat().st_size <= MAX_INDEX_BYTES:
        try:
            index = json.loads(path.read_bytes(), object_pairs_hook=partial(_once, path))
        except (ValueError, RecursionError):
            index = None
    return index if isinstance(index, dict) else {}


def _once(path: Path, entries: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, each of whose names is there once."""
    found = dict(entries)
    if len(found) < len(entries):
        twice, _count = Counter(name for name, _value in entries).most_common(1)[0]
        raise WeightFileError(
            "two tensors have this name", place=f"{path}, tensor '{twice}'", fix="Write the file anew, each name once."
        )
    return found


def _weight_map(path: Path) -> dict[str, str]:
    """Which tensor is in which file."""
    places = _index(path).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(file, str) for file in places.values()):
        raise WeightFileError(
            'is no index of safetensors files: it has no "weight_map" of names',
            place=str(path),
            fix="Give the index that was written with the files.",
        )
    return places


def _shard(path: Path, file: str) -> Path:
    name = os.path.normpath(file)  # which is opened, so that no link is followed on the way to `..`
    companions = Companions.of(path)
    place = companions.find(name) if "\0" not in file and name == os.path.basename(name) else None
    if place is None or os.path.dirname(place) not in companions or not file.endswith(SUFFIX):
        raise WeightFileError(
            f"names the file '{file}', which is no safetensors file in its folder",
            place=str(path),
            fix="Put the files beside their index.",
        )
    shard = path.parent / name
    if not shard.is_file():
        raise WeightFileError(
            f"names the file '{file}', which is not there", place=str(path), fix="Put the files beside their index."
        )
    return shard


def _weight(name: str, entry: Mapping[str, Any], file: OpenFile, start: int) -> Weight:
    if entry["dtype"] not in DTYPES:
        raise WeightFileError(
            f"is of type {entry['dtype']}, which NumPy lacks",
            place=f"{file.path}, tensor '{name}'",
            fix="Save it as float32.",
        )
    dtype: np.dtype[Any] = np.dtype(DTYPES[entry["dtype"]])
    shape = tuple(map(int, entry["shape"]))
    begin, _end = entry["data_offsets"]
    lies = ByteRange(file, start + begin, prod(shape) * dtype.itemsize)
    return Weight(name, shape, dtype, lies.stored(shape, dtype), str(file.path))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
