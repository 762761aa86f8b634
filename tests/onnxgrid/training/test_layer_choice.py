"""Layers that are not trained, and layers at a rate of their own."""

import numpy as np
import pytest
import torch

from converters.roles import TRAINABLE_KEY
from onnxgrid.config.layers import LayerRate
from onnxgrid.config.optimizer import AdamConfig, SGDConfig
from onnxgrid.engines.engine import FlatTensors
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.errors import ConfigError
from onnxgrid.optimizers import create_optimizer, definition
from onnxgrid.training.layer_choice import frozen, rate_factors, set_rate_factors
from tests.graph_text import X, model
from tests.small_models import numbered, small_model

HELD = {
    "conv.weight": numbered((2, 2, 3, 3)),
    "conv.bias": numbered((2,)),
    **{f"norm.{what}": numbered((2,)) for what in ("weight", "bias", "running_mean", "running_var")},
    "head.weight": numbered((3, 2)),
}


def trained(given):
    graph = TrainableGraph.from_model(given, "net.onnx")
    return [*graph.parameters, *graph.statistics]


def test_frozen_layers_are_neither_trained_nor_updated():
    network = small_model(HELD)
    chosen = frozen(network, ["conv", "no*"])
    assert trained(chosen) == ["head.weight"]
    assert sorted(trained(network)) == sorted(HELD)
    assert all(TRAINABLE_KEY not in node.metadata_props for node in network.graph)
    assert frozen(network, []) is network


def test_layers_of_a_foreign_graph_can_be_frozen():
    foreign = model(
        X, "a = Conv(x, enc.w) y = Conv(a, dec.w)".replace(".", "_"), enc_w=(2, 2, 1, 1), dec_w=(2, 2, 1, 1)
    )
    assert trained(frozen(foreign, ["enc_*"])) == ["dec_w"]


def test_the_first_rate_that_matches_counts():
    rates = [LayerRate(("conv",), 0.1), LayerRate(("*o*",), 0.5)]
    assert rate_factors(small_model(HELD), rates) == {
        "conv.weight": 0.1,
        "conv.bias": 0.1,
        "norm.weight": 0.5,
        "norm.bias": 0.5,
        "norm.running_mean": 0.5,
        "norm.running_var": 0.5,
        "head.weight": 1.0,
    }


def test_patterns_that_match_nothing_are_refused():
    fix = "\n  Give names of layers as onnxgrid inspect shows them, or patterns as 'enc_*'."
    with pytest.raises(ConfigError) as caught:
        frozen(small_model(HELD), ["conv", "flat"])
    assert str(caught.value) == f"freeze: names 'flat', which no layer of the network with parameters matches{fix}"
    with pytest.raises(ConfigError) as caught:
        rate_factors(small_model(HELD), [LayerRate(("enc_*",), 0.1)])
    assert str(caught.value) == (
        f"optimizer.layer_rates: names 'enc_*', which no layer of the network with parameters matches{fix}"
    )


FACTORS = {"a": 0.1, "b": 0.1, "c": 1.0, "d": 0.0, "e": 2.5}

OPTIMIZERS = {
    "SGD": SGDConfig(learning_rate=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "Adam": AdamConfig(learning_rate=0.1, weight_decay=0.01),
}


@pytest.mark.parametrize("config", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_factor_is_that_of_the_learning_rate(config):
    random = np.random.default_rng(0)
    values = {name: random.normal(size=(3, 7)).astype(np.float32) for name in FACTORS}  # 21 values: not a whole line
    parameters = FlatTensors.holding(values, torch.device("cpu"))
    gradients = parameters.empty_like()
    optimizer = create_optimizer(config, parameters, gradients)
    set_rate_factors(optimizer, parameters, FACTORS)
    kind, options = definition(config)
    separate = {name: torch.nn.Parameter(torch.from_numpy(value.copy())) for name, value in values.items()}
    groups = [{"params": [tensor], "lr": config.learning_rate * FACTORS[name]} for name, tensor in separate.items()]
    oracle = kind(groups, **options)  # torch's groups, each with a rate of its own
    for _ in range(4):
        for name, tensor in separate.items():
            tensor.grad = torch.from_numpy(random.normal(size=(3, 7)).astype(np.float32))
            gradients.views[name].copy_(tensor.grad)
        optimizer.step()
        oracle.step()
    for name, tensor in separate.items():
        np.testing.assert_allclose(parameters.views[name].numpy(), tensor.detach().numpy(), rtol=0, atol=2e-6)
    np.testing.assert_array_equal(parameters.views["d"].numpy(), values["d"])
