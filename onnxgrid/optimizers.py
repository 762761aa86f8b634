"""The optimizers of the run configuration, as torch.optim on the engine's one flat tensor."""

import torch

from onnxgrid.config.optimizer import AdamConfig, OptimizerConfig, SGDConfig
from onnxgrid.engines.engine import FlatTensors

__all__ = ["create_optimizer"]


def create_optimizer(config: OptimizerConfig, parameters: FlatTensors, gradients: FlatTensors) -> torch.optim.Optimizer:
    """An optimizer that updates `parameters` in place from `gradients`; the step is one fused kernel.

    Definitions: torch.optim.SGD and torch.optim.Adam, with this dialect's defaults.
    """
    parameter = torch.nn.Parameter(parameters.flat)
    parameter.grad = gradients.flat
    match config:
        case SGDConfig():
            return torch.optim.SGD(
                [parameter],
                lr=config.learning_rate,
                momentum=config.momentum,
                dampening=config.dampening,
                weight_decay=config.weight_decay,
                nesterov=config.nesterov,
                fused=True,
            )
        case AdamConfig():
            return torch.optim.Adam(
                [parameter],
                lr=config.learning_rate,
                betas=(config.beta1, config.beta2),
                eps=config.eps,
                weight_decay=config.weight_decay,
                amsgrad=config.amsgrad,
                fused=True,
            )
