"""Operations with any argument replaced convert, or are refused as the user's error: never with a traceback."""

import copy
import json
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import keras
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import converters
from converters.errors import UserError
from tests.converters.operation_cases import flat
from tests.converters.operation_cases.case import SHAPE
from tests.converters.recorded_networks import Recording

EXAMPLES = 400
"""Some 15 s on two cores."""

RECORDINGS = Recording("functions"), Recording("graph")

UNREAD = ("registered_name", "build_config", "compile_config")

INTEGERS = st.one_of(st.integers(-9, 9), st.sampled_from([10**6, 2**31, 2**63, -(2**63), 10**30, 10**400]))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    INTEGERS,
    st.sampled_from([0.5, -2.5, 1e38, 1e300]),
    st.sampled_from(["x", "relu", "same", "bilinear", "int32", "bool", "...", "a,b->c", "NHWC", ""]),
)
OBJECTS: list[Any] = [
    {},
    ["x", 0, 0],
    ["x", 0, 5],
    ["nowhere", 0, 0],
    ["_CONSTANT_VALUE", -1, 2, {}],
    {"class_name": "__numpy__"},
    {"class_name": "__numpy__", "config": {"value": "a", "dtype": "float32"}},
    {"class_name": "__numpy__", "config": {"value": [1.5, 1e38], "dtype": "int32"}},
    {"class_name": {}, "config": {"value": 1}},
    {"class_name": "__ellipsis__"},
    {"class_name": "__slice__", "config": {"start": 0, "stop": 0, "step": 0}},
    {"start": None, "stop": None, "step": -1},
    {"class_name": "__keras_tensor__", "config": {"shape": [], "keras_history": ["y", 0, 0]}},
]
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=5),
    st.lists(st.lists(INTEGERS, min_size=2, max_size=2), max_size=4),
    st.sampled_from(OBJECTS),
)
KEYS = st.sampled_from(["axis", "data_format", "dtype", "keepdims", "shape", "something"])


@cache
def of_keras(name: str) -> Any:
    """The network of a case of `operation_cases`, as Keras 3 writes it."""
    x, y = (keras.Input(SHAPE, name=name) for name in "xy")
    with warnings.catch_warnings(action="ignore"):
        computed = flat()[name](x, y)
        outputs = list(computed) if isinstance(computed, list | tuple) else [computed]
        text = keras.Model([x, y], [*outputs, x, y]).to_json()
    return json.loads(text, object_hook=lambda found: {k: v for k, v in found.items() if k not in UNREAD})


@pytest.fixture(scope="module")
def of_tensorflow(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    path = tmp_path_factory.mktemp("networks") / "net.json"
    networks = {}
    for recording in RECORDINGS:
        for expression in recording.networks:
            recording.write(expression, path)
            networks[f"{expression}, {len(networks)}"] = json.loads(path.read_text())
    return networks


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value within a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from paths(item, (*path, key))


def mutate(data: st.DataObject, network: dict[str, Any]) -> None:
    """Change one argument of an operation: another value, one more, or one less."""
    layers = [layer for layer in network["config"]["layers"] if layer["class_name"] != "InputLayer"]
    layer = data.draw(st.sampled_from(layers))
    if data.draw(st.integers(0, 7)) == 0:
        layer["config"][data.draw(KEYS)] = copy.deepcopy(data.draw(VALUES))
        return
    arguments = {key: layer[key] for key in ("config", "inbound_nodes")}
    *parents, last = data.draw(st.sampled_from([path for path in paths(arguments) if len(path) > 1]))
    holder: Any = layer
    for key in parents:
        holder = holder[key]
    if isinstance(holder, dict) and data.draw(st.integers(0, 5)) == 0:
        del holder[last]
    else:
        holder[last] = copy.deepcopy(data.draw(VALUES))


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_a_wrong_argument_is_no_traceback(
    data: st.DataObject, of_tensorflow: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    if data.draw(st.booleans()):
        network = copy.deepcopy(of_tensorflow[data.draw(st.sampled_from(sorted(of_tensorflow)))])
    else:
        network = copy.deepcopy(of_keras(data.draw(st.sampled_from(sorted(flat())))))
    for _number in range(data.draw(st.integers(1, 3))):
        mutate(data, network)
    path = tmp_path / "net.json"
    path.write_text(json.dumps(network))
    told = str(path)
    try:
        converters.convert(path)
    except UserError as error:
        told = str(error)
    assert str(path) in told
