"""Which layer of a network a layer of a file is, where its name does not tell: by class and order, as Keras does.

Files of TensorFlow 2.12 to 2.15 and of Keras 3.0 to 3.4 hold no names of layers at all.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Union

from converters.keras_wrappers import TIME_DISTRIBUTED
from converters.weights.keras_names import NamedVariable, NetworkLayer
from converters.weights.keras_variables import snake_case

__all__ = ["layers_by_order", "match_by_order"]

logger = logging.getLogger(__name__)

MODEL_KINDS = frozenset({"functional", "model", "sequential", snake_case(TIME_DISTRIBUTED)})
"""What Keras calls models that are layers, or are in one, and have no name of their own, but for a number behind it."""

_Tree = dict[str, Union[str, "_Tree"]]
"""Name -> the kind of a layer, or what a model that is a layer holds; in order."""

_Signature = str | tuple["_Signature", ...]
"""What a layer, or a model with all that it holds, is, without names: the kinds of a model's layers, sorted."""


def match_by_order(
    variables: Sequence[NamedVariable], network: Sequence[NetworkLayer], file: str
) -> list[NamedVariable]:
    """The variables, their layers renamed to those of the network where names cannot tell which is which.

    That is so where the file has no names but those that Keras invents (`conv2d_3`), whose numbers depend on what was
    built before, and not all are names of the network. Where the classes and their counts differ, names are all there
    is.
    """
    stored = {v.layer: _kind(v) for v in variables}
    names = {layer.name for layer in network if layer.variables}
    if stored.keys() <= names or not all(map(_is_invented, stored, stored.values())):
        return list(variables)
    found = layers_by_order(stored, network)
    if found is None:
        return list(variables)
    logger.warning("%s: its layers have only the names that Keras invents; matched by class and order", file)
    return [
        replace(v, layer=layer.name, class_name=layer.class_name, kind=layer.kind)
        for v in variables
        for layer in (found[v.layer],)
    ]


def layers_by_order(stored: Mapping[str, str], network: Sequence[NetworkLayer]) -> dict[str, NetworkLayer] | None:
    """The layer of a network that each layer of a file is, by Keras' own rule; None if classes or counts differ.

    The first, second... layer of a class is the first, second... of that class in the network, and so within each
    model that is a layer, where that tells models of different classes apart.

    Args:
        stored: the layers of the file in order: name, behind those of the models it lies in, and class as in paths.
    """
    wanted = {layer.name: layer for layer in network if layer.variables}
    kinds = {name: layer.kind for name, layer in wanted.items()}
    nested = any("." in name for name in stored)
    found = _matches(_tree(stored), _tree(kinds) if nested else dict(kinds))
    return None if found is None else {name: wanted[other] for name, other in found.items()}


def _kind(variable: NamedVariable) -> str:
    """The class of a variable's layer in Keras 3's spelling, or what the number of an invented name follows."""
    return variable.kind or _without_number(variable.layer.rpartition(".")[2])


def _without_number(name: str) -> str:
    return re.sub(r"_\d+$", "", name)


def _is_invented(name: str, kind: str) -> bool:
    """Whether Keras may have made the name, and those of the models that the layer lies in: from their classes."""
    *models, own = name.split(".")
    return _without_number(own) == kind and all(_without_number(model) in MODEL_KINDS for model in models)


def _tree(kinds: Mapping[str, str]) -> _Tree:
    """Layers by name as a tree, whose branches are the models that they lie in."""
    tree: _Tree = {}
    for name, kind in kinds.items():
        *models, own = name.split(".")
        branch = tree
        for model in models:
            inner = branch.setdefault(model, {})
            if isinstance(inner, str):  # a layer's name may hold a dot, and begin with that of another layer
                return dict(kinds)
            branch = inner
        branch[own] = kind
    return tree


def _matches(stored: _Tree, wanted: _Tree) -> dict[str, str] | None:
    """Name in one tree -> name in the other; None if they differ, or models of two classes cannot be told apart."""
    if _signature(stored) != _signature(wanted):
        return None
    found: dict[str, str] = {}
    for signature in {_signature(item) for item in stored.values()}:
        names, others = (
            [name for name, item in tree.items() if _signature(item) == signature] for tree in (stored, wanted)
        )
        if not isinstance(signature, str) and len({_without_number(name) for name in names}) > 1:
            return None
        for name, other in zip(names, others, strict=True):
            item, its_match = stored[name], wanted[other]
            if isinstance(item, str) or isinstance(its_match, str):
                found[name] = other
                continue
            inner = _matches(item, its_match)
            if inner is None:
                return None
            found |= {f"{name}.{key}": f"{other}.{value}" for key, value in inner.items()}
    return found


def _signature(item: "str | _Tree") -> _Signature:
    return item if isinstance(item, str) else tuple(sorted(map(_signature, item.values()), key=repr))
