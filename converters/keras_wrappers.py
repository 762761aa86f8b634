"""Layers of Keras that hold other layers or cells in their config: what its JSON says of the classes within.

`TimeDistributed` is no layer here: the one in it takes its place, and remembers how often it is wrapped. The others
are layers of their own, whose variables depend on what they hold.
"""

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["TIME_DISTRIBUTED", "inner_classes", "inner_configs", "without_time_distributed"]

TIME_DISTRIBUTED = "TimeDistributed"

INNER_KEYS = {"Bidirectional": ("layer", "backward_layer"), "RNN": ("cell",), "StackedRNNCells": ("cells",)}
"""Class -> the keys of its config that hold layers or cells, or a list of them."""

MAX_DEPTH = 16
"""Wrappers within wrappers; more are damage."""


def without_time_distributed(layer: Any) -> tuple[Any, int]:
    """The JSON of the layer within TimeDistributed wrappers, and how many there are; the layer itself and 0 else.

    What a wrapper holds is given as it stands, even if it is no layer.
    """
    count = 0
    while isinstance(layer, Mapping) and layer.get("class_name") == TIME_DISTRIBUTED and count < MAX_DEPTH:
        config = layer.get("config")
        layer, count = config.get("layer") if isinstance(config, Mapping) else None, count + 1
    return layer, count


def inner_classes(class_name: str, config: Mapping[str, Any]) -> str:
    """The classes of what a layer of this class holds, separated by commas, each with its own in brackets.

    A Bidirectional layer always holds two: where its file has no backward layer, that is one like the forward layer.
    """
    return ",".join(_full_class(item, 0) for item in _held(class_name, config))


def inner_configs(class_name: str, config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The configs of the innermost layers or cells that a layer of this class holds; its own if it holds none."""
    return list(_inner_configs(class_name, config, 0))


def _held(class_name: str, config: Mapping[str, Any]) -> list[Any]:
    keys = INNER_KEYS.get(class_name.rpartition(">")[2], ())
    held = [config.get(keys[0]) if config.get(key) is None else config[key] for key in keys]
    return [item for value in held for item in (value if isinstance(value, list) else [value])]


def _full_class(item: Any, depth: int) -> str:
    if not isinstance(item, Mapping) or depth > MAX_DEPTH:
        return ""
    class_name, config = str(item.get("class_name")).rpartition(">")[2], _config(item)
    inner = ",".join(_full_class(held, depth + 1) for held in _held(class_name, config))
    return f"{class_name}({inner})" if inner else class_name


def _inner_configs(class_name: str, config: Mapping[str, Any], depth: int) -> Iterator[Mapping[str, Any]]:
    held = _held(class_name, config) if depth < MAX_DEPTH else []
    if not held:
        yield config
    for item in held:
        inner_class = item.get("class_name") if isinstance(item, Mapping) else None
        yield from _inner_configs(str(inner_class), _config(item), depth + 1)


def _config(item: Any) -> Mapping[str, Any]:
    config = item.get("config") if isinstance(item, Mapping) else None
    return config if isinstance(config, Mapping) else {}
