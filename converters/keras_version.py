"""Which major version of Keras wrote a network's JSON: some names mean other things in Keras 2 than in Keras 3.

A file is written by one Keras, so what one part of it says holds for all. The surest evidence wins: the version in
words, then where the model's class lives, then what an input's shape is called (unless a layer's type is an object of
Keras 3: tools rename the shape for TensorFlow.js), then whether layers say where their classes live (Keras 3, and
Keras 2 from 2.13 on, which also states its version), and last how types are written.
"""

import re
from collections.abc import Sequence
from typing import Any

from converters.json_text import JsonArray, JsonObject

__all__ = ["keras_version", "major_version"]

MODEL_MODULES = {"keras.engine": 2, "keras.src.engine": 2, "keras.models": 3, "keras.src.models": 3}
"""Beginning of the module that a model's class is said to live in -> major version."""

SHAPE_OF_KERAS_2, POLICY_OF_KERAS_3 = "batch_input_shape", "DTypePolicy"
"""The key of an input's shape that Keras 3 calls `batch_shape`, and the class of the object that its types are."""

LAYER_KEYS = ("module", "registered_name")
"""Keys of a layer that Keras 3 writes always."""


def keras_version(model: JsonObject | None, layers: JsonArray) -> int | None:
    """The major version that a model's JSON speaks for, None if nothing in it does.

    Args:
        model: what the file holds around the list of layers, None for a bare list.
        layers: objects all.
    """
    if model is not None:
        stated = major_version(model.get("keras_version")) or _of_module(model.get("module"))
        if stated is not None:
            return stated
    configs = [config for layer in layers if isinstance(config := layer.get("config"), JsonObject)]
    if any(SHAPE_OF_KERAS_2 in config for config in configs) and not any(map(_has_policy_of_keras_3, configs)):
        return 2
    if any(key in layer for layer in layers for key in LAYER_KEYS):
        return 3
    return _of_types(layers)


def _has_policy_of_keras_3(config: JsonObject) -> bool:
    dtype = config.get("dtype")
    return isinstance(dtype, JsonObject) and dtype.get("class_name") == POLICY_OF_KERAS_3


def major_version(version: Any) -> int | None:
    """The first number of a version such as `2.2.4-tf`, None if it is no version."""
    found = re.match(r"(\d{1,3})(\.|$)", version) if isinstance(version, str) else None
    return int(found[1]) if found else None


def _of_module(module: Any) -> int | None:
    if not isinstance(module, str):
        return None
    found = (major for beginning, major in MODEL_MODULES.items() if f"{module}.".startswith(f"{beginning}."))
    return next(found, None)


def _of_types(layers: Sequence[JsonObject]) -> int | None:
    """Keras 2 gives a dtype as a name, Keras 3 as an object, but as a name too where it describes an input."""
    configs = [layer.get("config") for layer in layers if layer.get("class_name") != "InputLayer"]
    types = [config.get("dtype") for config in configs if isinstance(config, JsonObject)]
    if any(isinstance(dtype, JsonObject) for dtype in types):
        return 3
    return 2 if any(isinstance(dtype, str) for dtype in types) else None
