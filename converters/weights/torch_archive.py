"""Torch checkpoints written as `torch.save` writes them, but with tensors that are read when their turn comes.

`torch.save` wants all tensors in memory. The file is a zip archive: `data.pkl` is a pickle of the content, in which a
persistent id stands for each storage; the storages lie beside it, uncompressed. Source: torch/serialization.py.
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from converters.errors import WeightFileError
from converters.weights.weight import Weight, as_bytes

if TYPE_CHECKING:
    import torch

__all__ = ["save_content", "torch_dtype"]

FOLDER = "archive"
VERSION = b"3\n"
BYTE_ORDER = b"little"
PICKLE_PROTOCOL = 2

ALIGNMENT = 64
"""Of storages in the file, so that they can be mapped into memory."""

LOCAL_HEADER_BYTES = 30
ZIP64_EXTRA_BYTES = 20
FIELD_HEADER_BYTES = 4
PADDING_ID = b"FB"
"""The name of the extra field that fills up a member's header, as torch has it."""


def save_content(content: Any, path: Path) -> None:
    """Write dicts, lists, numbers and tensors, for `torch.load(path, weights_only=True)`.

    Args:
        content: may hold a `Weight` in the place of a tensor.

    Raises:
        WeightFileError: if one cannot be read, or is of a type that torch lacks.
    """
    pickled = io.BytesIO()
    pickler = _Pickler(pickled, protocol=PICKLE_PROTOCOL)
    pickler.dump(content)
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        _write(archive, "data.pkl", lambda: iter([pickled.getbuffer()]))
        _write(archive, "byteorder", lambda: iter([memoryview(BYTE_ORDER)]))
        for number, pieces in enumerate(pickler.storages):
            _write(archive, f"data/{number}", pieces)
        _write(archive, "version", lambda: iter([memoryview(VERSION)]))


def torch_dtype(weight: Weight) -> "torch.dtype":
    """Torch's type of a weight. Raises WeightFileError if it has none."""
    import torch

    own = {
        np.dtype(ml_dtypes.bfloat16): torch.bfloat16,
        np.dtype(ml_dtypes.float8_e4m3fn): torch.float8_e4m3fn,
        np.dtype(ml_dtypes.float8_e5m2): torch.float8_e5m2,
    }
    if weight.dtype in own:
        return own[weight.dtype]
    try:
        return torch.from_numpy(np.empty(0, weight.dtype)).dtype
    except TypeError:
        raise WeightFileError(
            f"is of type {weight.dtype}, which torch lacks", place=weight.place, fix="Write a .npz file."
        ) from None


Pieces = Callable[[], Iterator[memoryview]]


class _Storage:
    """Stands for the storage of a weight, until the pickle is made."""

    def __init__(self, weight: Weight) -> None:
        self.weight = weight


class _Pickler(pickle.Pickler):
    """Pickles content; `storages` gets what reads the bytes of each storage, in the order of their numbers."""

    def __init__(self, file: io.BytesIO, protocol: int) -> None:
        super().__init__(file, protocol)
        self.storages: list[Pieces] = []
        self._numbers: dict[int, int] = {}
        self._kept: list[Any] = []

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, Weight):
            return NotImplemented
        from torch import _utils

        strides = tuple(accumulate(value.shape[:0:-1], lambda a, b: a * b, initial=1))[::-1] if value.shape else ()
        parts: tuple[Any, ...] = (_Storage(value), 0, value.shape, strides, False, OrderedDict())
        dtype = torch_dtype(value)
        if _typed(dtype) is None:
            return _utils._rebuild_tensor_v3, (*parts, dtype, {})
        return _utils._rebuild_tensor_v2, parts

    def persistent_id(self, value: Any) -> Any:
        import torch

        if isinstance(value, _Storage):
            weight = value.weight
            kind = _typed(torch_dtype(weight))
            size = weight.nbytes if kind is None else weight.nbytes // weight.dtype.itemsize
            number = len(self.storages)
            self.storages.append(lambda: map(as_bytes, weight.pieces()))
            return ("storage", torch.UntypedStorage if kind is None else kind, str(number), "cpu", size)
        if isinstance(value, torch.storage.TypedStorage):
            kind = getattr(torch, value._pickle_storage_type())  # type: ignore[no-untyped-call]
            return self._stored(value._untyped_storage, kind, value._size())  # type: ignore[no-untyped-call]
        if isinstance(value, torch.UntypedStorage):
            return self._stored(value, torch.UntypedStorage, value.nbytes())
        return None

    def _stored(self, storage: "torch.UntypedStorage", kind: Any, size: int) -> tuple[Any, ...]:
        """Tensors that share a storage go on sharing it."""
        number = self._numbers.setdefault(storage._cdata, len(self.storages))
        if number == len(self.storages):
            self._kept.append(storage)  # so that no other gets its address
            self.storages.append(lambda: iter([_bytes(storage)]))
        return ("storage", kind, str(number), "cpu", size)


def _typed(dtype: "torch.dtype") -> Any:
    """The class of storages of this type, by which older versions of torch know it; None if there is none."""
    import torch

    name = torch.storage._dtype_to_storage_type_map().get(dtype)
    return None if name is None else getattr(torch, name)


def _bytes(storage: "torch.UntypedStorage") -> memoryview:
    import torch

    return as_bytes(torch.tensor([], dtype=torch.uint8).set_(storage).numpy())


def _write(archive: zipfile.ZipFile, name: str, pieces: Pieces) -> None:
    """Add a member that is aligned; the same pieces give the same bytes."""
    member = zipfile.ZipInfo(f"{FOLDER}/{name}")  # of 1980: the time of writing is no part of the content
    assert archive.fp is not None
    headers = LOCAL_HEADER_BYTES + len(member.filename) + ZIP64_EXTRA_BYTES + FIELD_HEADER_BYTES
    padding = -(archive.fp.tell() + headers) % ALIGNMENT
    member.extra = PADDING_ID + padding.to_bytes(2, "little") + b"Z" * padding
    with archive.open(member, "w", force_zip64=True) as stream:
        for piece in pieces():
            stream.write(piece)
