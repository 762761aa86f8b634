"""The orders of layers and of calls, on which weights and masks depend, against Keras' own: random networks."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers as kl

import converters
from converters.keras_json import read_network
from converters.keras_order import keras_order, run_order
from tests.converters.keras_round_trip import names

Draw = Callable[[st.SearchStrategy[Any]], Any]


def network(draw: Draw) -> keras.Model:
    """Vectors that layers, some called before, and sums take from anywhere before them; any of them may be outputs."""
    inputs = [keras.Input((4,)) for _number in range(draw(st.integers(1, 2)))]
    tensors = list(inputs)
    layers: list[kl.Layer] = []
    for _number in range(draw(st.integers(1, 8))):
        x = draw(st.sampled_from(tensors))
        kind = draw(st.sampled_from(["new", "shared", "sum", "operation"]))
        if kind == "sum":
            y = kl.Add()([x, draw(st.sampled_from(tensors))])
        elif kind == "operation":
            y = x * draw(st.sampled_from(tensors))
        elif kind == "shared" and layers:
            y = draw(st.sampled_from(layers))(x)
        else:
            layers.append(kl.Dense(4))
            y = layers[-1](x)
        tensors.append(y)
    outputs = [tensors[-1], *draw(st.lists(st.sampled_from(tensors), max_size=2))]
    return keras.Model(inputs, outputs)


of_random_networks = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@of_random_networks
@given(data=st.data())
def test_layers_are_listed_as_keras_lists_them(data: st.DataObject, tmp_path: Path) -> None:
    model = network(data.draw)
    description = json.loads(model.to_json())
    random.Random(data.draw(st.integers(0, 99))).shuffle(description["config"]["layers"])
    (tmp_path / "net.json").write_text(json.dumps(description))
    of_keras = names(model.to_json())
    ours = names(converters.to_keras_json(converters.convert(tmp_path / "net.json")))
    assert ours == [name for name in of_keras if name in ours]  # inputs that no output depends on are left out
    left_out = set(of_keras) - set(ours)
    assert left_out <= {layer.name for layer in model.layers if isinstance(layer, kl.InputLayer)}


def test_a_network_deeper_than_pythons_stack_is_sorted() -> None:
    depth = 5000
    parents = {(f"layer {n}", 0): [(f"layer {n - 1}", 0)] if n else [] for n in range(depth)}
    assert keras_order(parents, [(f"layer {depth - 1}", 0)]) == tuple(f"layer {n}" for n in range(depth))


@of_random_networks
@given(data=st.data())
def test_calls_are_carried_out_as_keras_does(data: st.DataObject, tmp_path: Path) -> None:
    model = network(data.draw)
    (tmp_path / "net.json").write_text(model.to_json())
    read = read_network(tmp_path / "net.json")
    parents = {
        (layer.name, number): [(ref.layer, ref.call) for ref in call.inputs]
        for layer in read.layers
        for number, call in enumerate(layer.calls)
    }
    ours = [name for name, _call in run_order(parents, [(ref.layer, ref.call) for ref in read.outputs])]
    by_depth = model._nodes_by_depth
    of_keras = [node.operation.name for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
    assert ours == [name for name in of_keras if name in ours]  # as above
