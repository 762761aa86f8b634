"""What a Keras file says of the network whose weights it holds: the names and classes of its layers.

`model.save` writes the network's JSON beside the weights. Here it serves to name variables, and nothing in it is built
or believed: what does not look like a list of layers says nothing.
"""

import json
from collections.abc import Iterator
from typing import Any

from converters.weights.keras_names import KERAS_VARIABLES, NetworkLayer, keras_class, snake_case

__all__ = ["stated_layers"]

SWITCHES = {"bias": "use_bias", "gamma": "scale", "beta": "center"}
"""Variable -> the key of a layer's config that says whether the layer has it; it does if the key is absent."""

MAX_DEPTH = 64


def stated_layers(config: str | bytes) -> dict[str, NetworkLayer]:
    """The layers that a network's JSON lists, by their path in Keras 3's layout; none, if it is no such JSON."""
    try:
        return dict(_layers(json.loads(config), "", "", 0))
    except (ValueError, RecursionError):
        return {}


def _layers(model: Any, path: str, prefix: str, depth: int) -> Iterator[tuple[str, NetworkLayer]]:
    counts: dict[str, int] = {}
    for layer in _listed(model):
        class_name, config = keras_class(str(layer.get("class_name"))), layer.get("config")
        config = config if isinstance(config, dict) else {}
        kind = snake_case(class_name)
        number = counts.get(kind, 0)
        counts[kind] = number + 1
        name = prefix + str(config.get("name") or layer.get("name"))
        place = f"{path}layers/{kind}_{number}" if number else f"{path}layers/{kind}"
        if _listed(layer) and depth < MAX_DEPTH:
            yield from _layers(layer, f"{place}/", f"{name}.", depth + 1)
        else:
            names = (variable.names[0] for variable in KERAS_VARIABLES.get(class_name, ()))
            variables = tuple(n for n in names if n not in SWITCHES or config.get(SWITCHES[n]) is not False)
            yield place, NetworkLayer(name, class_name, variables)


def _listed(model: Any) -> list[dict[str, Any]]:
    """The layers of a model's JSON; none if it is another layer's."""
    config = model.get("config") if isinstance(model, dict) else None
    layers = config.get("layers") if isinstance(config, dict) else config
    return [layer for layer in layers if isinstance(layer, dict)] if isinstance(layers, list) else []
