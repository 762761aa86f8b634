"""What stands as an object in the config of a layer, in the form of Keras 3: initializers, penalties, activations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from converters.initializers import initializer_class
from converters.json_text import JsonObject
from converters.layers.activation import activation_name, fused_class
from converters.to_keras.classes import KEYS
from converters.to_keras.given_back import LAYERS_MODULE, KerasLayer, Source

__all__ = [
    "GELU_BY_TANH",
    "HARD_SIGMOID_OF_KERAS_2",
    "INITIALIZERS",
    "PENALTIES",
    "FusedActivation",
    "activation",
    "activation_layer",
    "as_object",
    "initializer",
    "penalty",
]

INITIALIZERS: dict[str, tuple[str, ...]] = {
    "Constant": ("value",),
    "GlorotNormal": ("seed",),
    "GlorotUniform": ("seed",),
    "HeNormal": ("seed",),
    "HeUniform": ("seed",),
    "Identity": ("gain",),
    "LecunNormal": ("seed",),
    "LecunUniform": ("seed",),
    "Ones": (),
    "Orthogonal": ("gain", "seed"),
    "RandomNormal": ("mean", "stddev", "seed"),
    "RandomUniform": ("minval", "maxval", "seed"),
    "TruncatedNormal": ("mean", "stddev", "seed"),
    "VarianceScaling": ("scale", "mode", "distribution", "seed"),
    "Zeros": (),
}
"""Class of an initializer -> the keys of its config."""

PENALTIES: dict[str, dict[str, tuple[str, ...]]] = {
    "regularizer": {
        "L1": ("l1",),
        "L2": ("l2",),
        "L1L2": ("l1", "l2"),
        "OrthogonalRegularizer": ("factor", "mode"),
    },
    "constraint": {
        "MaxNorm": ("max_value", "axis"),
        "MinMaxNorm": ("min_value", "max_value", "rate", "axis"),
        "NonNeg": (),
        "UnitNorm": ("axis",),
    },
}
"""End of a key -> class -> the keys of its config."""

HARD_SIGMOID_OF_KERAS_2 = (
    KerasLayer("Rescaling", {"scale": 0.2, "offset": 0.5}),
    KerasLayer("ReLU", {"max_value": 1.0}),
)
"""clip(0.2 x + 0.5, 0, 1), which is no activation of Keras 3."""

GELU_BY_TANH = KerasLayer("Gelu", {"approximate": True}, "keras.src.ops.nn")


@dataclass(frozen=True)
class FusedActivation:
    """The activation of a layer: what its config says, and the layers that stand behind it where no value says it."""

    value: Any
    after: tuple[KerasLayer, ...] = ()


def as_object(layer: KerasLayer) -> dict[str, Any]:
    """A layer as it stands in the config of another one."""
    written = _keras_object(layer.module, layer.class_name, dict(layer.config))
    return written if layer.module == LAYERS_MODULE else {**written, "registered_name": layer.class_name}


def initializer(value: Any) -> dict[str, Any]:
    """An initializer that conversion has read, whether it was written as a name or as an object."""
    name, config = (value.get("class_name"), value.get("config")) if isinstance(value, JsonObject) else (value, None)
    class_name = initializer_class(name)
    assert class_name is not None, "conversion refuses initializers that it does not know"
    return _keras_object("keras.initializers", class_name, _only(config, INITIALIZERS[class_name]))


def penalty(key: str, value: Any, source: Source) -> dict[str, Any] | None:
    """A regularizer or constraint, which conversion did not look at; None, with a notice, if Keras 3 has none such."""
    kind = key.rpartition("_")[2]
    name, config = (value.get("class_name"), value.get("config")) if isinstance(value, JsonObject) else (value, None)
    by_normal_name = {_normal(known): known for known in PENALTIES[kind]}
    class_name = by_normal_name.get(_normal(name))
    if class_name is None:
        shown = str(name)[:60]
        source.notice(f"penalty {shown}", f'"{key}" is {shown}, which is none of Keras 3: left out')
        return None
    return _keras_object(f"keras.{kind}s", class_name, _only(config, PENALTIES[kind][class_name]))


def activation(value: Any, source: Source) -> FusedActivation:
    """An activation that conversion has read, whether it was written as a name, a function or a layer."""
    fused = fused_class(value)
    if fused is not None:
        layer = activation_layer(fused, value.get("config") or {})
        if layer.class_name == "Activation":
            return FusedActivation(layer.config["activation"])
        if layer.module != LAYERS_MODULE:
            return FusedActivation("linear", (layer,))
        return FusedActivation(as_object(layer))
    name = activation_name(value)
    assert name is not None, "conversion refuses activations that it does not know"
    if name == "hard_sigmoid" and source.keys().written_by_keras_2:
        return FusedActivation("linear", HARD_SIGMOID_OF_KERAS_2)
    return FusedActivation(name)


def activation_layer(class_name: str, config: Mapping[str, Any]) -> KerasLayer:
    """The layer or operation that a layer becomes which may stand in the place of an activation."""
    known = {key: value for key, value in config.items() if value is not None}
    if class_name == "GELU":
        return GELU_BY_TANH if known.get("approximate") else KerasLayer("Activation", {"activation": "gelu"})
    if class_name == "ThresholdedReLU":
        return KerasLayer("ReLU", {"threshold": known.get("theta", 1.0)})
    if class_name == "LeakyReLU":
        return KerasLayer("LeakyReLU", {"negative_slope": known.get("alpha", known.get("negative_slope", 0.3))})
    return KerasLayer(class_name, _only(known, KEYS[class_name]))


def _keras_object(module: str, class_name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}


def _only(config: Any, keys: tuple[str, ...]) -> dict[str, Any]:
    """The keys of a config that Keras 3 knows, where they say something."""
    if not isinstance(config, Mapping):
        return {}
    return {key: value for key, value in config.items() if key in keys and value is not None}


def _normal(name: Any) -> str:
    return name.replace("_", "").lower() if isinstance(name, str) else ""
