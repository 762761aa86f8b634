"""What a Keras file says of the network whose weights it holds: the names and classes of its layers.

`model.save` writes the network's JSON beside the weights. Here it serves to name variables, and nothing in it is built
or believed: what does not look like a list of layers says nothing.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from converters.keras_wrappers import TIME_DISTRIBUTED, inner_classes, inner_configs, without_time_distributed
from converters.weights.keras_names import NetworkLayer, full_keras_class, keras_class
from converters.weights.keras_variables import keras_variables, part_of, snake_case

__all__ = ["stated_layers"]

SWITCHES = {"bias": "use_bias", "gamma": "scale", "beta": "center"}
"""Variable -> the key of a layer's config that says whether the layer has it; it does if the key is absent."""

OPTIONAL: dict[tuple[str, str], tuple[str, Any]] = {
    ("AdditiveAttention", "scale"): ("use_scale", True),
    ("Attention", "concat_score_weight"): ("score_mode", "concat"),
    ("Attention", "scale"): ("use_scale", True),
    ("GroupQueryAttention", "_gate_dense/bias"): ("use_gate", True),
    ("GroupQueryAttention", "_gate_dense/kernel"): ("use_gate", True),
    ("MultiHeadAttention", "_gate_dense/bias"): ("use_gate", True),
    ("MultiHeadAttention", "_gate_dense/kernel"): ("use_gate", True),
}
"""Class and variable -> the key that says whether the layer has it, and the value with which it does."""

MAX_DEPTH = 64


def stated_layers(config: str | bytes) -> dict[str, NetworkLayer]:
    """The layers that a network's JSON lists, by their path in Keras 3's layout; none, if it is no such JSON."""
    try:
        return dict(_layers(json.loads(config), "", "", 0))
    except (ValueError, RecursionError):
        return {}


def _layers(model: Any, path: str, prefix: str, depth: int) -> Iterator[tuple[str, NetworkLayer]]:
    counts: dict[str, int] = {}
    for listed in _listed(model):
        layer, wrappers = without_time_distributed(listed)
        layer = layer if isinstance(layer, dict) else {}
        class_name = keras_class(str(layer.get("class_name")))
        kind = snake_case(TIME_DISTRIBUTED if wrappers else class_name)
        number = counts.get(kind, 0)
        counts[kind] = number + 1
        name = prefix + str(_config(listed).get("name") or listed.get("name"))
        place = f"{path}layers/{kind}_{number}" if number else f"{path}layers/{kind}"
        if _listed(layer) and depth < MAX_DEPTH:
            yield from _layers(layer, f"{place}/", f"{name}.", depth + 1)
        else:
            yield place, _layer(name, class_name, _config(layer), wrappers)


def _layer(name: str, class_name: str, config: dict[str, Any], wrappers: int) -> NetworkLayer:
    class_name = full_keras_class(class_name, inner_classes(class_name, config))
    known = [variable.names[0] for variable in keras_variables(class_name)]
    configs = inner_configs(class_name.partition("(")[0], config)
    parts = list(dict.fromkeys(map(part_of, known)))
    config_of = dict(zip(parts, configs if len(configs) == len(parts) else [config] * len(parts), strict=True))
    variables = tuple(own for own in known if _is_there(class_name, own, config_of[part_of(own)]))
    return NetworkLayer(name, class_name, variables, time_distributed=wrappers)


def _is_there(class_name: str, variable: str, config: Mapping[str, Any]) -> bool:
    if (class_name, variable) in OPTIONAL:
        key, value = OPTIONAL[class_name, variable]
        return bool(config.get(key) == value)
    if (class_name, variable) == ("EinsumDense", "bias"):
        return config.get("bias_axes") is not None
    return config.get(SWITCHES.get(variable.rpartition("/")[2], "")) is not False


def _config(layer: Any) -> dict[str, Any]:
    config = layer.get("config") if isinstance(layer, dict) else None
    return config if isinstance(config, dict) else {}


def _listed(model: Any) -> list[dict[str, Any]]:
    """The layers of a model's JSON; none if it is another layer's."""
    config = model.get("config") if isinstance(model, dict) else None
    layers = config.get("layers") if isinstance(config, dict) else config
    return [layer for layer in layers if isinstance(layer, dict)] if isinstance(layers, list) else []
