"""The layout in which Keras 2 stores weights, and Keras 3 those of `model.save("x.h5")`: a group for each layer.

The root, or its group `model_weights`, lists its layers in `layer_names`; each layer's group lists its variables in
`weight_names`, as in `conv_a/kernel:0`. A model that is a layer has one group for the variables of all its layers.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from converters.errors import WeightFileError
from converters.weights.hdf5 import Hdf5Source, dataset_weight, find, texts_attribute
from converters.weights.keras_arrays import store_array
from converters.weights.keras_names import NamedVariable, NetworkLayer, name_parts_by_order, stored_variables
from converters.weights.keras_order import match_by_order
from converters.weights.keras_variables import KERAS_VARIABLES, keras_variables, snake_case
from converters.weights.weight import Weight, Weights

if TYPE_CHECKING:
    import h5py

__all__ = ["holds_keras2_layout", "keras2_names", "read_keras2_layout", "write_keras2_layout"]

MODEL_WEIGHTS = "model_weights"
LAYER_NAMES = "layer_names"
WEIGHT_NAMES = "weight_names"

BACKEND, KERAS_VERSION = "tensorflow", "2.15.0"
"""What wrote such files last, as the files say it."""

MAX_ATTRIBUTE_BYTES = 64512
"""Keras' limit for an attribute, below that of HDF5."""

TENSOR_NUMBER = re.compile(r":\d+$")
"""TensorFlow's number of an output, behind the names of Keras 2."""

WITH_PARTS = frozenset(snake_case(name) for name, known in KERAS_VARIABLES.items() if "/" in known[0].names[0]) | {
    "bidirectional",
    "rnn",
    "time_distributed",
}
"""What the names that Keras invents for layers begin with whose variables have paths, as those of models have."""


def keras2_names(network: Iterable[NetworkLayer]) -> dict[str, str]:
    """Our name -> what Keras 2 calls it in such a file (`conv_a/kernel:0`), for all parameters of a network."""
    return {
        f"{layer.name}.{variable.parameter}": f"{layer.name.rpartition('.')[2]}/{variable.keras_2_name}:0"
        for layer in network
        for variable in keras_variables(layer.class_name)
    }


def holds_keras2_layout(root: "h5py.File", file: Hdf5Source) -> bool:
    """Whether the file lists its layers as this layout does."""
    return texts_attribute(_weights_group(root, file), LAYER_NAMES, file) is not None


def read_keras2_layout(
    root: "h5py.File", stated: Sequence[NetworkLayer], network: Sequence[NetworkLayer], file: Hdf5Source
) -> list[NamedVariable]:
    """The variables of the file, named by its layers.

    Args:
        stated: the layers of the network that the file says it holds the weights of.
        network: the layers of the network that the weights are for.

    Raises:
        WeightFileError: if a variable that is listed is not there, or is no array that can be read.
    """
    group = _weights_group(root, file)
    known = {layer.name: layer for layer in (*network, *stated)}
    variables: list[NamedVariable] = []
    for layer_name in texts_attribute(group, LAYER_NAMES, file) or ():
        layer_group = find(group, layer_name, file)
        entries = texts_attribute(layer_group, WEIGHT_NAMES, file) if layer_group is not None else None
        if entries is None:
            raise _missing(f"layer '{layer_name}'", "list of its weights", file)
        for entry, (layer, variable) in zip(entries, _resolved(layer_name, entries, known), strict=True):
            class_name, kind = (known[layer].class_name, known[layer].kind) if layer in known else ("", "")
            variables.append(NamedVariable(layer, class_name, variable, _weight(layer_group, entry, file), kind))
    return name_parts_by_order(match_by_order(variables, network, file.name), known)


def write_keras2_layout(file: "h5py.File", weights: Weights, network: Sequence[NetworkLayer]) -> None:
    """Write the weights of a network, as `save_weights` of Keras 2 does it.

    Args:
        file: open for writing, and empty.
        network: its layers in the order in which Keras lists them, by which Keras loads them again.

    Raises:
        WeightFileError: if a weight has no place in the layers of the network, or a layer lacks one.
    """
    file.attrs["backend"], file.attrs["keras_version"] = BACKEND, KERAS_VERSION
    names: list[str] = []
    for layer, variables in stored_variables(weights, network):
        name = layer.keras_name or layer.name
        names.append(name)
        group = file.require_group(name)
        entries = [f"{name}/{variable.keras_2_name}:0" for variable, _read in variables]
        _put_texts(group, WEIGHT_NAMES, entries)
        for entry, (_variable, read) in zip(entries, variables, strict=True):
            store_array(group, entry, read())
    _put_texts(file, LAYER_NAMES, names)


def _put_texts(group: "h5py.Group", name: str, texts: Sequence[str]) -> None:
    """Add a list of texts as an attribute, in as many pieces as HDF5's limit demands."""
    pieces: list[list[bytes]] = [[]]
    width = max((len(text.encode()) for text in texts), default=1)
    for text in texts:
        if (len(pieces[-1]) + 1) * width > MAX_ATTRIBUTE_BYTES:
            pieces.append([])
        pieces[-1].append(text.encode())
    for number, piece in enumerate(pieces):
        group.attrs[name if len(pieces) == 1 else f"{name}{number}"] = np.array(piece, f"S{width}")


def _weights_group(root: "h5py.File", file: Hdf5Source) -> "h5py.Group":
    nested = find(root, MODEL_WEIGHTS, file)
    return root if nested is None else nested


def _weight(group: "h5py.Group", entry: str, file: Hdf5Source) -> Weight:
    import h5py

    dataset = find(group, entry, file)
    if not isinstance(dataset, h5py.Dataset):
        raise _missing(f"weight '{entry}' of layer '{str(group.name).rpartition('/')[2]}'", "data", file)
    return replace(dataset_weight(dataset, file), name=entry)


def _missing(whose: str, what: str, file: Hdf5Source) -> WeightFileError:
    return WeightFileError(f"lists the {whose}, and has no {what}", place=file.name, fix="Give a whole file.")


def _resolved(group: str, entries: Sequence[str], known: Mapping[str, NetworkLayer]) -> list[tuple[str, str]]:
    """The layer and the variable of each entry of a group, which stands for a layer or for a model that is one."""
    paths = [TENSOR_NUMBER.sub("", entry) for entry in entries]
    own = [path.removeprefix(f"{group}/") for path in paths]
    if group in known:
        # Layers that were renamed keep their old name in those of their variables: then the last part counts.
        return [
            (group, rest if rest != path else path.rpartition("/")[2]) for path, rest in zip(paths, own, strict=True)
        ]
    inner = [name for name in known if name.startswith(f"{group}.")]
    if inner:
        return [_inner_variable(group, path, inner) for path in own]
    if re.sub(r"_\d+$", "", group) in WITH_PARTS:
        return [(group, path) for path in own]
    one_layer = len({path.rpartition("/")[0] for path in paths}) == 1
    return [(group, path.rpartition("/")[2]) if one_layer else _split(group, path.split("/"), -1) for path in own]


def _inner_variable(group: str, path: str, inner: Sequence[str]) -> tuple[str, str]:
    """The layer within a model that a path belongs to: the longest beginning that is the end of one layer's name.

    If none is, that counts of what follows the path's first part: a model in TimeDistributed has a name of its own.
    """
    parts = path.split("/")
    for start in (0, 1):
        for end in range(len(parts) - 1, start, -1):
            for separator in ("/", "."):
                beginning = separator.join(parts[start:end])
                exact = f"{group}.{beginning}"
                ends = [exact] if exact in inner else [name for name in inner if name.endswith(f".{beginning}")]
                if len(ends) == 1:
                    return ends[0], "/".join(parts[end:])
    return _split(group, parts, -1)


def _split(group: str, parts: Sequence[str], at: int) -> tuple[str, str]:
    return ".".join([group, *parts[:at]]), "/".join(parts[at:])
