"""The layout in which Keras 3 stores weights (`.weights.h5`, and inside `.keras`): `layers/conv2d_1/vars/0`.

A layer's group is named after its class, with a number from the second of the class on; its variables are numbered in
the order of their making. Since Keras 3.5 the group `vars` says the layer's name; TensorFlow 2.12 to 2.15 write
`_layer_checkpoint_dependencies` in the place of `layers`.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from converters.errors import WeightFileError
from converters.keras_wrappers import TIME_DISTRIBUTED
from converters.weights.hdf5 import Hdf5Source, address, children, dataset_weight, text_attribute
from converters.weights.keras_arrays import store_array
from converters.weights.keras_names import NamedVariable, NetworkLayer, stored_variables
from converters.weights.keras_order import layers_by_order, match_by_order
from converters.weights.keras_variables import KERAS_VARIABLES, NOT_WEIGHTS, keras_variables, part_of, snake_case
from converters.weights.weight import Weight

if TYPE_CHECKING:
    import h5py

__all__ = ["read_keras3_layout", "write_keras3_layout"]

logger = logging.getLogger(__name__)

VARIABLES = "vars"
LISTS_OF_LAYERS = frozenset({"layers", "_layer_checkpoint_dependencies"})
NO_LAYERS = frozenset({"optimizer"})
"""Groups at the root that hold no weights of layers."""

MAX_DEPTH = 64
"""Groups within groups; a model within a model takes two."""

CLASSES = {snake_case(class_name): class_name for class_name in KERAS_VARIABLES}
"""Keras 3's spelling of a class in paths -> the class."""

WRAPPED = "layer"
"""The part of a TimeDistributed layer that is the layer in it."""

Path = tuple[str, ...]


@dataclass(frozen=True)
class _Variables:
    """A group of variables: the path of what they belong to, its name if the file says it, the arrays by number."""

    path: Path
    name: str | None
    weights: tuple[Weight, ...]


def read_keras3_layout(
    root: "h5py.File", stated: Mapping[str, NetworkLayer], network: Sequence[NetworkLayer], file: Hdf5Source
) -> list[NamedVariable]:
    """The variables of the file, named by its layers.

    Args:
        stated: the layers that the file's own configuration lists, by their path in the file; they give the names
            where the groups lack them.
        network: the layers of the network that the weights are for.

    Raises:
        WeightFileError: if an array cannot be read, or the groups are nested without end.
    """
    groups = [group for group in _groups(root, (), set(), file) if not _is_of_generator(group)]
    names = {_owner(group.path)[0]: group.name for group in groups if group.name and not _owner(group.path)[1]}
    by_name = {layer.name: layer for layer in network}
    known = stated if names or stated or not network else _known_by_order(groups, network, file)
    if not (names or stated or network) and any(group.weights for group in groups):
        logger.warning(
            "%s: does not say the names of its layers, nor what those wrap: they are named by their places in the "
            "file; name the model that the weights are of (onnxgrid transplant --source-graph MODEL.onnx)",
            file.name,
        )
    variables: list[NamedVariable] = []
    for group in groups:
        owner, part = _owner(group.path)
        layer = known.get("/".join(owner))
        name = layer.name if layer is not None else _layer_name(owner, names)
        kind = _kind(owner)
        expected = layer if layer is not None else by_name.get(name)
        class_name = layer.class_name if layer is not None else CLASSES.get(kind, "")
        if not class_name and expected is not None:
            class_name = expected.class_name
        while kind == snake_case(TIME_DISTRIBUTED) and part[:1] == (WRAPPED,):
            part = part[1:]
        variables += [
            NamedVariable(name, class_name or kind, variable, weight, kind)
            for variable, weight in zip(_names(group, part, class_name, expected), group.weights, strict=True)
        ]
    return match_by_order(variables, network, file.name) if names or stated else variables


def _known_by_order(
    groups: Sequence[_Variables], network: Sequence[NetworkLayer], file: Hdf5Source
) -> Mapping[str, NetworkLayer]:
    """The layers of a network by their paths in a file without names.

    Where they cannot be told, they get a name that no layer has: `conv2d_1` in a path is the second convolution of
    the model, and the network's layer of that name may be another.
    """
    paths = {".".join(owner[1::2]): owner for owner in (_owner(group.path)[0] for group in groups if group.weights)}
    found = layers_by_order({name: _kind(owner) for name, owner in paths.items()}, network)
    if found is None:
        logger.warning(
            "%s: has no names of layers, and other layers than the network; nothing can be matched", file.name
        )
        return {
            "/".join(owner): NetworkLayer("/".join(owner), CLASSES.get(_kind(owner), ""), ())
            for owner in paths.values()
        }
    logger.warning("%s: has no names of layers; matched by class and order", file.name)
    return {"/".join(paths[name]): layer for name, layer in found.items()}


def _is_of_generator(group: _Variables) -> bool:
    """Whether the variables are those of a random generator, as a Dropout has one."""
    return not NOT_WEIGHTS.isdisjoint(_owner(group.path)[1])


def _kind(owner: Path) -> str:
    """The class of a layer as paths have it."""
    return re.sub(r"_\d+$", "", owner[-1]) if owner else ""


def _groups(group: "h5py.Group", path: Path, seen: set[int], file: Hdf5Source) -> Iterator[_Variables]:
    """The groups of variables below a group, in the order of their numbers."""
    import h5py

    place = address(group, file)
    if len(path) > MAX_DEPTH or place in seen:
        raise WeightFileError(
            "its groups are nested without end", place=file.name, fix="Give a file written by Keras' save_weights."
        )
    seen.add(place)
    for name, child in children(group, file):
        if not isinstance(child, h5py.Group) or (not path and name in NO_LAYERS):
            continue
        if name != VARIABLES:
            yield from _groups(child, (*path, name), seen, file)
        else:
            weights = tuple(
                dataset_weight(x, file) for _name, x in children(child, file) if isinstance(x, h5py.Dataset)
            )
            yield _Variables(path, text_attribute(child, "name", file), weights)


def _owner(path: Path) -> tuple[Path, Path]:
    """The part of a path that leads to a layer, over the models it lies in, and the part within that layer."""
    in_models = [part == WRAPPED and after in LISTS_OF_LAYERS for part, after in pairwise(path)]
    path = tuple(part for part, skipped in zip(path, [*in_models, False], strict=False) if not skipped)
    end = 0
    while end + 1 < len(path) and path[end] in LISTS_OF_LAYERS:
        end += 2
    return tuple("layers" if part in LISTS_OF_LAYERS else part for part in path[:end]), path[end:]


def _layer_name(owner: Path, names: Mapping[Path, str | None]) -> str:
    """Its name after those of the models it lies in; where the file says none, the last part of its path."""
    levels = [owner[: end + 2] for end in range(0, len(owner), 2)]
    return ".".join(names.get(level) or level[-1] for level in levels)


def _names(group: _Variables, part: Path, class_name: str, expected: NetworkLayer | None) -> list[str]:
    """What the variables of a group are called in Keras; their numbers, if that cannot be told.

    A layer may lack some of the variables of its class (a bias, a scale), so that a number alone does not name one.
    """
    count, prefix = len(group.weights), part_of("/".join((*part, "")))
    of_class = [v.names[0] for v in keras_variables(class_name) if part_of(v.names[0]) == prefix]
    of_layer = [name for name in (expected.variables if expected is not None else ()) if part_of(name) == prefix]
    for names in (of_class, of_layer):
        if len(names) == count:
            return names
    if [name.rpartition("/")[2] for name in of_class[count:]] == ["bias"]:
        return of_class[:count]
    return ["/".join((*part, weight.name.rpartition("/")[2])) for weight in group.weights]


def write_keras3_layout(file: "h5py.File", weights: Mapping[str, Weight], network: Sequence[NetworkLayer]) -> None:
    """Write the weights of a network whose models within models were written out, so that it is one list of layers.

    Args:
        file: open for writing, and empty.
        network: its layers in the order in which Keras lists them.

    Raises:
        WeightFileError: if a weight has no place in the layers of the network, or a layer lacks one.
    """
    counts: Counter[str] = Counter()
    file.create_group(VARIABLES)  # the model's own, of which it has none: Keras 3.5 looks for them
    for layer, variables in stored_variables(weights, network):
        # A model in TimeDistributed was written out, so that each of its layers is in one.
        kind = replace(layer, in_distributed_model=False).kind
        number, counts[kind] = counts[kind], counts[kind] + 1
        place = f"layers/{kind}_{number}" if number else f"layers/{kind}"
        file.create_group(f"{place}/{VARIABLES}").attrs["name"] = layer.keras_name or layer.name
        for variable, read in variables:
            parts = (*(WRAPPED,) * layer.time_distributed, *variable.names[0].split("/")[:-1])
            group = file.require_group("/".join((place, *parts, VARIABLES)))
            store_array(group, str(len(group)), read())
