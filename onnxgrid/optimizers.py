"""The optimizers of the run configuration, as torch.optim on the engine's one flat tensor."""

from typing import Any

import torch

from onnxgrid.config.optimizer import AdamConfig, OptimizerConfig, SGDConfig
from onnxgrid.engines.engine import FlatTensors

__all__ = ["create_optimizer", "definition"]


def create_optimizer(config: OptimizerConfig, parameters: FlatTensors, gradients: FlatTensors) -> torch.optim.Optimizer:
    """An optimizer that updates `parameters` in place from `gradients`; the step is one fused kernel."""
    kind, options = definition(config)
    parameter = torch.nn.Parameter(parameters.flat)
    parameter.grad = gradients.flat
    return kind([parameter], **options)


def definition(config: OptimizerConfig) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
    """torch's class and its options: torch.optim.SGD or torch.optim.Adam, with this dialect's defaults."""
    match config:
        case SGDConfig():
            return torch.optim.SGD, {
                "lr": config.learning_rate,
                "momentum": config.momentum,
                "dampening": config.dampening,
                "weight_decay": config.weight_decay,
                "nesterov": config.nesterov,
                "fused": True,
            }
        case AdamConfig():
            return torch.optim.Adam, {
                "lr": config.learning_rate,
                "betas": (config.beta1, config.beta2),
                "eps": config.eps,
                "weight_decay": config.weight_decay,
                "amsgrad": config.amsgrad,
                "fused": True,
            }
