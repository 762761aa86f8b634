"""Optimizers against the update rules of CONFIG.md, section 4, written out in float64, parameter by parameter."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from onnxgrid.config.optimizer import AdamConfig, OptimizerConfig, SGDConfig
from onnxgrid.engines.engine import ALIGNMENT, FlatTensors
from onnxgrid.optimizers import create_optimizer

STEPS = 5
SHAPES = {"conv.weight": (3, 2, 3, 1), "conv.bias": (3,), "scalar": ()}

Rule = Callable[[np.ndarray, list[np.ndarray]], np.ndarray]


def sgd(config: SGDConfig) -> Rule:
    def trained(w: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
        b = None
        for g in gradients:
            g = g + config.weight_decay * w
            direction = g
            if config.momentum:
                b = g if b is None else config.momentum * b + (1 - config.dampening) * g
                direction = g + config.momentum * b if config.nesterov else b
            w = w - config.learning_rate * direction
        return w

    return trained


def adam(config: AdamConfig) -> Rule:
    def trained(w: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
        m = v = largest = np.zeros_like(w)
        for t, g in enumerate(gradients, start=1):
            g = g + config.weight_decay * w
            m = config.beta1 * m + (1 - config.beta1) * g
            v = config.beta2 * v + (1 - config.beta2) * g**2
            largest = np.maximum(largest, v)
            second = largest if config.amsgrad else v
            denominator = np.sqrt(second) / np.sqrt(1 - config.beta2**t) + config.eps
            w = w - config.learning_rate / (1 - config.beta1**t) * m / denominator
        return w

    return trained


CASES: dict[str, OptimizerConfig] = {
    "SGD by default": SGDConfig(),
    "SGD with momentum": SGDConfig(learning_rate=0.1, momentum=0.9),
    "SGD with dampening": SGDConfig(learning_rate=0.1, momentum=0.9, dampening=0.3),
    "SGD with Nesterov's momentum": SGDConfig(learning_rate=0.1, momentum=0.9, nesterov=True),
    "SGD with weight decay": SGDConfig(learning_rate=0.1, weight_decay=0.2),
    "SGD with everything": SGDConfig(learning_rate=0.1, momentum=0.5, weight_decay=0.2, dampening=0.1),
    "Adam by default": AdamConfig(),
    "Adam with other betas and eps": AdamConfig(learning_rate=0.05, beta1=0.5, beta2=0.9, eps=0.1),
    "Adam with AMSGrad": AdamConfig(learning_rate=0.05, beta2=0.5, amsgrad=True),
    "Adam with weight decay": AdamConfig(learning_rate=0.05, weight_decay=0.3),
}


@pytest.mark.parametrize("config", CASES.values(), ids=CASES)
def test_steps_follow_the_published_rule_and_leave_the_gaps_zero(config: OptimizerConfig) -> None:
    random = np.random.default_rng(0)
    start = {name: random.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
    # From large to small, so that AMSGrad's maximum is not simply the newest value.
    steps = [{name: random.normal(size=shape) / t for name, shape in SHAPES.items()} for t in range(1, STEPS + 1)]
    parameters = FlatTensors.holding(start, torch.device("cpu"))
    gradients = parameters.empty_like()
    optimizer = create_optimizer(config, parameters, gradients)
    for step in steps:
        for name, gradient in step.items():
            gradients.views[name].copy_(torch.from_numpy(np.array(gradient)))
        optimizer.step()
    rule = sgd(config) if isinstance(config, SGDConfig) else adam(config)
    for name, value in start.items():
        expected = rule(value.astype(np.float64), [step[name] for step in steps])
        np.testing.assert_allclose(parameters.views[name].numpy(), expected, rtol=1e-5, atol=1e-6)
    assert_gaps_are_zero(parameters)


def assert_gaps_are_zero(tensors: FlatTensors) -> None:
    gaps = torch.ones(tensors.flat.shape, dtype=torch.bool)
    for view in tensors.views.values():
        gaps[view.storage_offset() : view.storage_offset() + view.numel()] = False
    assert int(gaps.sum()) == sum(-int(np.prod(shape)) % ALIGNMENT for shape in SHAPES.values()) > 0
    assert (tensors.flat[gaps] == 0).all()


def test_views_are_aligned_and_share_the_flat_tensor() -> None:
    tensors = FlatTensors(SHAPES, torch.device("cpu"))
    tensors.flat.copy_(torch.arange(len(tensors.flat)))
    assert {name: tuple(view.shape) for name, view in tensors.views.items()} == SHAPES
    assert [int(view.flatten()[0]) for view in tensors.views.values()] == [0, 32, 48]
    assert len(tensors.flat) == 64
