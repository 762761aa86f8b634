"""Calls that ask for what a layer does in training: `layer(x, training=True)`.

Keras 2 heeds that in a network which predicts, so that its numbers depend on the batch or on chance; Keras 3 replaces
it by what the network itself is asked for.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from converters.keras_wrappers import inner_configs
from converters.layers.augmentation import AUGMENTATIONS, OF_KERAS_2
from converters.network import Call, Layer

__all__ = ["TRAINING", "effect_of_training", "handed_on"]

TRAINING = "training"

AUGMENTING = frozenset({*AUGMENTATIONS, *OF_KERAS_2})

BY_BATCH = frozenset({"BatchNormalization", "SyncBatchNormalization"})

STRENGTHS = ("drop_path_rate", "dropout", "rate", "recurrent_dropout", "stddev")
"""Keys of configs that say how much training drops or how far it moves values; where all are 0, nothing happens."""


def handed_on(call: Call, outer: Call) -> Call:
    """The call of a layer within a model that another call uses, asked for training if only the model is."""
    if call.keywords.get(TRAINING) is not None or not _asks_for_training(outer):
        return call
    return replace(call, keywords={**call.keywords, TRAINING: True})


def effect_of_training(layer: Layer, class_name: str) -> str | None:
    """What Keras 2 does to a layer because its call asks for training; None if it is not asked, or does nothing.

    Args:
        class_name: Keras' own name of the class.
    """
    if not any(map(_asks_for_training, layer.calls)):
        return None
    if class_name in BY_BATCH and layer.trainable:
        return "normalizes by the statistics of each batch"
    if class_name in AUGMENTING or any(_acts(config) for config in inner_configs(class_name, layer.config)):
        return "changes values at random"
    return None


def _asks_for_training(call: Call) -> bool:
    return bool(call.keywords.get(TRAINING))


def _acts(config: Mapping[str, Any]) -> bool:
    return any(config.get(key) not in (None, 0, 0.0) for key in STRENGTHS)
