"""Weights in torch checkpoints (`.pt`, `.pth`): a state dict, alone or within what others save with it.

Files are read with `weights_only=True`: one that would run code is refused, naming the code. What stands beside the
state dict (optimizer, epoch, ...) is not weights and is not looked at; what is no tensor in it, nor an array of NumPy,
is left out. torch is imported when such a file is read, and only then.
"""

import copy
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from converters.errors import WeightFileError
from converters.weights.expansion import MAX_FREE_EXPANSION_BYTES
from converters.weights.registry import Writing, reads, rewrites, writes
from converters.weights.stored import OpenFile
from converters.weights.torch_archive import save_content
from converters.weights.torch_content import TorchContent, load_content
from converters.weights.torch_plain import NUMBER_KINDS, PlainArray
from converters.weights.weight import COUNTER, Array, Weight, Weights, collect_weights

if TYPE_CHECKING:
    import torch

__all__ = ["read_torch", "rewrite_torch", "write_torch"]

logger = logging.getLogger(__name__)

NESTING_KEYS = (
    "model",
    "state_dict",
    "model_state_dict",
    "model_state",
    "state_dict_ema",
    "model_ema",
    "ema",
    "params_ema",
    "params",
    "module",
    "net",
    "network",
    "weights",
)
"""Where checkpoints keep their state dict: ours and many others under the first, Lightning and timm under the second.

Those of a running average (`..._ema`) count where there are no others."""

MAX_NESTING = 4

WRAPPERS = ("module.", "_orig_mod.")
"""What DataParallel and `torch.compile` put before all names of the model that they wrap."""


@reads(".pt", ".pth")
def read_torch(path: Path) -> Weights:
    """The tensors of a torch checkpoint in its order; a tensor's bytes are read when asked for.

    Files written by torch before 1.6 (not zip archives) are read whole.

    Raises:
        WeightFileError: if torch is not installed, or the file is broken, would run code, or is no state dict.
    """
    _torch("reading", path)
    loaded = load_content(path)
    state = loaded.content
    for key in _keys_to_state(state, path):
        state = state[key]
    tensors = _tensors(state, path)
    wrappers = _length_of_wrappers(list(tensors))
    return collect_weights(
        _array_weight(name, name[wrappers:], value, str(path))
        if isinstance(value, PlainArray)
        else _weight(name, name[wrappers:], value, loaded, str(path))
        for name, value in tensors.items()
        if not name.endswith(COUNTER)
    )


def _tensors(state: Mapping[Any, Any], path: Path) -> "Mapping[str, torch.Tensor | PlainArray]":
    """The tensors and arrays of a state dict; others of its entries are logged."""
    import torch

    tensors: dict[str, torch.Tensor | PlainArray] = {}
    others = [(name, value) for name, value in state.items() if not isinstance(value, torch.Tensor | PlainArray)]
    for name, value in state.items():
        if isinstance(value, torch.Tensor | PlainArray) and isinstance(name, str):
            tensors[name] = value
        elif isinstance(value, torch.Tensor | PlainArray) or len(others) == len(state):
            raise WeightFileError(
                f"the entry {name!r} is a {type(value).__name__}, not a named tensor",
                place=str(path),
                fix="Give a state dict, alone or under 'model' or 'state_dict'.",
            )
    if others:
        listed = ", ".join(f"{name!r} ({type(value).__name__})" for name, value in others)
        logger.warning("%s: left out of the weights, as no tensors: %s", path, listed)
    return tensors


@writes(".pt", ".pth")
def write_torch(path: Path, weights: Weights, _how: Writing) -> None:
    """Write a flat state dict.

    Raises:
        WeightFileError: if torch is not installed.
    """
    _torch("writing", path)
    save_content(dict(weights), path)


@rewrites(".pt", ".pth")
def rewrite_torch(path: Path, like: Path, kept: Weights, changed: Weights, _how: Writing) -> None:
    """Write the checkpoint `like` with changed tensors in its state dict; all else in it stays.

    Raises:
        WeightFileError: if torch is not installed, or `like` is broken.
    """
    _torch("writing", path)
    content = load_content(like).content
    new = {kept[name].stored_name or name: weight for name, weight in changed.items()}
    save_content(_with_state(content, _keys_to_state(content, like), new), path)


def _with_state(content: Any, keys: Sequence[str], new: Mapping[str, Weight]) -> Any:
    """A copy of nested mappings in which entries of the one that the keys lead to are others."""
    changed = copy.copy(content)
    if keys:
        changed[keys[0]] = _with_state(content[keys[0]], keys[1:], new)
    else:
        for name, weight in new.items():
            is_array = isinstance(content[name], PlainArray) and weight.dtype.kind in NUMBER_KINDS
            changed[name] = PlainArray.of(weight.read()) if is_array else weight
    return changed


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


def _keys_to_state(content: Any, path: Path) -> list[str]:
    """The keys that lead to the state dict of a checkpoint."""
    if not isinstance(content, Mapping):
        raise WeightFileError(
            f"holds a {type(content).__name__}, not a state dict",
            place=str(path),
            fix="Save the state dict: torch.save(model.state_dict(), path).",
        )
    return _nesting(content, MAX_NESTING) or []


def _nesting(content: Mapping[Any, Any], depth: int) -> list[str] | None:
    """The keys that lead to a mapping with tensors; if none has some, to the first that may be meant; else None."""
    import torch

    inner = [key for key in NESTING_KEYS if isinstance(content.get(key), Mapping)]
    for key in inner if depth else ():
        below = _nesting(content[key], depth - 1)
        if below is not None:
            return [key, *below]
    values = list(content.values())
    # Arrays of NumPy stand beside state dicts too, as records of a run.
    if any(isinstance(value, torch.Tensor) for value in values) or _are_arrays(values):
        return []
    return [inner[0]] if inner and depth == MAX_NESTING else None


def _are_arrays(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(value, PlainArray) for value in values)


def _length_of_wrappers(names: Sequence[str]) -> int:
    """How much of all names comes from what the model was wrapped in."""
    length = 0
    while names and (wrapper := next((w for w in WRAPPERS if names[0].startswith(w, length)), None)):
        if not all(name.startswith(wrapper, length) for name in names):
            break
        length += len(wrapper)
    return length


def _weight(stored_name: str, name: str, tensor: "torch.Tensor", loaded: TorchContent, file: str) -> Weight:
    place = f"{file}, tensor '{stored_name}'"
    dtype = _numpy_dtype(tensor, place)
    needed, held = tensor.numel() * dtype.itemsize, tensor.untyped_storage().nbytes()
    # A tensor whose entries share memory, as those of `expand` do, may become as large as what is compressed may.
    if tensor.is_meta or (needed > held and needed > MAX_FREE_EXPANSION_BYTES):
        raise WeightFileError(
            f"has the shape {tuple(tensor.shape)}, which needs {needed} bytes, and {0 if tensor.is_meta else held} "
            "of data",
            place=place,
            fix="Save it with its values: tensor.contiguous().",
        )
    lies, shape = loaded.locate(tensor), tuple(tensor.shape)
    read = partial(_values, tensor, dtype, loaded.file) if lies is None else lies.stored(shape, dtype)
    return Weight(name, shape, dtype, read, file, None if name == stored_name else stored_name)


def _array_weight(stored_name: str, name: str, array: PlainArray, file: str) -> Weight:
    values = array.values
    dtype = values.dtype.newbyteorder("=")
    read = partial(np.asarray, values, dtype, "C")
    return Weight(name, values.shape, dtype, read, file, None if name == stored_name else stored_name)


def _numpy_dtype(tensor: "torch.Tensor", place: str) -> np.dtype[Any]:
    import torch

    if tensor.layout != torch.strided:
        raise WeightFileError(f"is stored as {tensor.layout}", place=place, fix="Save it dense: tensor.to_dense().")
    dtype: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    if tensor.dtype == torch.bfloat16:
        return dtype
    try:
        dtype = torch.empty(0, dtype=tensor.dtype).numpy().dtype
    except TypeError:
        raise WeightFileError(
            f"is of type {tensor.dtype}, which NumPy lacks", place=place, fix="Save it as float32."
        ) from None
    return dtype


def _values(tensor: "torch.Tensor", dtype: np.dtype[Any], file: OpenFile | None) -> Array:
    import torch

    if file is not None:
        file.require_unchanged()  # before bytes are asked for that may be mapped no more
    values = tensor.detach().contiguous()
    if values.dtype == torch.bfloat16:
        # torch gives NumPy no bfloat16: hand over the same bits as integers.
        return values.view(torch.int16).numpy().view(dtype)
    return values.numpy()
