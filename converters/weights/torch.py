"""Weights in torch checkpoints (`.pt`, `.pth`): a state dict, alone or under `model` or `state_dict`.

Files are read with `weights_only=True`: one that would run code is refused, naming the code. What stands beside
`model` or `state_dict` (optimizer, epoch, ...) is not weights and is not looked at; inside, everything must be a
tensor. torch is imported when such a file is read, and only then.
"""

import pickle
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from converters.errors import WeightFileError
from converters.weights.keras_names import NetworkLayer
from converters.weights.registry import reads, writes
from converters.weights.weight import Array, Weight, Weights, collect_weights

if TYPE_CHECKING:
    import torch

__all__ = ["read_torch", "write_torch"]

NESTING_KEYS = ("model", "state_dict")
"""Where checkpoints keep their state dict: ours and many others under the first, Lightning under the second."""

COUNTER = ".num_batches_tracked"
"""torch's BatchNormalization counts its batches; no ONNX operator does, so this is not a weight."""

ZIP_MAGIC = b"PK\x03\x04"


@reads(".pt", ".pth")
def read_torch(path: Path) -> Weights:
    """The tensors of a torch checkpoint in its order; a tensor's bytes are read when asked for (memory mapped).

    Files written by torch before 1.6 (not zip archives) are read whole.

    Raises:
        WeightFileError: if torch is not installed, or the file is broken, would run code, or is no state dict.
    """
    torch = _torch("reading", path)
    state = _state_dict(_load(path, torch.load), path)
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise WeightFileError(
                f"the entry {name!r} is a {type(value).__name__}, not a named tensor",
                place=str(path),
                fix="Give a state dict, alone or under 'model' or 'state_dict'.",
            )
    return collect_weights(
        _weight(name, tensor, str(path)) for name, tensor in state.items() if not name.endswith(COUNTER)
    )


@writes(".pt", ".pth")
def write_torch(path: Path, weights: Weights, _network: Sequence[NetworkLayer]) -> None:
    """Write a flat state dict.

    Raises:
        WeightFileError: if torch is not installed.
    """
    torch = _torch("writing", path)
    torch.save({name: _tensor(weight.read()) for name, weight in weights.items()}, path)


def _tensor(values: Array) -> "torch.Tensor":
    import torch

    values = np.array(values)  # torch takes no read-only memory
    if values.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(values.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(values)


def _torch(doing: str, path: Path) -> Any:
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise WeightFileError(
            f"{doing} a PyTorch checkpoint needs torch, which is not installed",
            place=str(path),
            fix="pip install 'onnxgrid[train]'",
        ) from None
    return torch


def _load(path: Path, load: Any) -> Any:
    with path.open("rb") as file:
        is_zip = file.read(len(ZIP_MAGIC)) == ZIP_MAGIC
    try:
        with warnings.catch_warnings():  # about TorchScript archives and old pickles: the error says more
            warnings.simplefilter("ignore")
            return load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        code = _code_needed(path) if is_zip else []
        if code:
            raise WeightFileError(
                f"reading it would run code: {', '.join(code)}",
                place=str(path),
                fix="Save the state dict alone: torch.save(model.state_dict(), path).",
            ) from None
        raise _broken(path, error) from error
    except Exception as error:  # the bytes of a pickle are a program: a broken one can raise anything
        raise _broken(path, error) from error


def _code_needed(path: Path) -> list[str]:
    from torch.serialization import get_unsafe_globals_in_checkpoint

    return sorted(get_unsafe_globals_in_checkpoint(str(path)))


def _broken(path: Path, error: Exception) -> WeightFileError:
    return WeightFileError(
        f"is not a whole PyTorch checkpoint that can be read without running code ({type(error).__name__})",
        place=str(path),
        fix="Give a file written by torch.save(model.state_dict(), path).",
    )


def _state_dict(content: Any, path: Path) -> Mapping[Any, Any]:
    if not isinstance(content, Mapping):
        raise WeightFileError(
            f"holds a {type(content).__name__}, not a state dict",
            place=str(path),
            fix="Save the state dict: torch.save(model.state_dict(), path).",
        )
    for key in NESTING_KEYS:
        nested = content.get(key)
        if isinstance(nested, Mapping):
            return nested
    return content


def _weight(name: str, tensor: "torch.Tensor", file: str) -> Weight:
    import torch

    place = f"{file}, tensor '{name}'"
    if tensor.layout != torch.strided:
        raise WeightFileError(f"is stored as {tensor.layout}", place=place, fix="Save it dense: tensor.to_dense().")
    if tensor.dtype == torch.bfloat16:
        dtype: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    else:
        try:
            dtype = torch.empty(0, dtype=tensor.dtype).numpy().dtype
        except TypeError:
            raise WeightFileError(
                f"is of type {tensor.dtype}, which NumPy lacks", place=place, fix="Save it as float32."
            ) from None
    return Weight(name, tuple(tensor.shape), dtype, partial(_values, tensor, dtype), file)


def _values(tensor: "torch.Tensor", dtype: np.dtype[Any]) -> Array:
    import torch

    values = tensor.detach().contiguous()
    if values.dtype == torch.bfloat16:
        # torch gives NumPy no bfloat16: hand over the same bits as integers.
        return values.view(torch.int16).numpy().view(dtype)
    return values.numpy()
