"""A network with any of its values replaced converts, or is refused as the user's error: never with a traceback."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers as kl

import converters
from converters.errors import UserError

WRONG = [None, True, -1, 10**12, "relu", [], [[["a", 0, 0]]], {"class_name": "Zeros", "config": 3}]

UNREAD = ("module", "registered_name", "build_config", "compile_config")
"""Keys of Keras 3 that are not read: left out, for speed."""


def network() -> Any:
    """A network with every form that Keras 3 writes."""
    x = inputs = keras.Input((8, 11, 3), name="x")
    x = kl.Conv2D(4, 3, padding="same", kernel_regularizer="l2", name="a")(x)
    x = kl.Add(name="b")([kl.ReLU(name="c")(x), x])
    x = kl.BatchNormalization(name="d")(kl.UpSampling2D(name="e")(kl.MaxPooling2D(name="f")(x)))
    x = kl.Dropout(0.3, name="h")(kl.Concatenate(name="g")([x, x]))
    model = keras.Model(inputs, kl.Dense(3, activation="softmax", name="i")(kl.Flatten()(x)))
    return json.loads(model.to_json(), object_hook=lambda found: {k: v for k, v in found.items() if k not in UNREAD})


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value within a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from paths(item, (*path, key))


@pytest.fixture(scope="module")
def original() -> Any:
    return network()


@pytest.mark.parametrize("wrong", WRONG, ids=map(json.dumps, WRONG))
def test_a_wrong_value_anywhere_is_no_traceback(wrong: Any, original: Any, tmp_path: Path) -> None:
    file = tmp_path / "net.json"
    messages = []
    for path in paths(original):
        broken = copy.deepcopy(original)
        *parents, last = path
        holder = broken
        for key in parents:
            holder = holder[key]
        holder[last] = wrong
        file.write_text(json.dumps(broken))
        try:
            converters.convert(file)
        except UserError as error:
            messages.append(str(error))
        except Exception as error:
            pytest.fail(f"{path}: {error!r}")
    assert len(messages) > 20
    assert all(str(file) in message for message in messages)
