"""Functions of one element, or of one axis."""

import torch
import torch.nn.functional as F

from onnxgrid.engines.torch_ops.table import torch_op, without_attributes


@torch_op("LeakyRelu")
def leaky_relu(x: torch.Tensor, *, alpha: float = 0.01) -> torch.Tensor:
    """x, times alpha where negative."""
    return F.leaky_relu(x, alpha)


@torch_op("PRelu")
def prelu(x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """x, times slope where negative."""
    return torch.where(x < 0, x * slope, x)


@torch_op("Elu")
def elu(x: torch.Tensor, *, alpha: float = 1.0) -> torch.Tensor:
    """x, or alpha * (exp(x) - 1) where negative."""
    return F.elu(x, alpha)


@torch_op("Celu")
def celu(x: torch.Tensor, *, alpha: float = 1.0) -> torch.Tensor:
    """x, or alpha * (exp(x / alpha) - 1) where negative."""
    return F.celu(x, alpha)


@torch_op("Selu")
def selu(x: torch.Tensor, *, alpha: float = 1.6732632423543772, gamma: float = 1.0507009873554805) -> torch.Tensor:
    """gamma * x, or gamma * alpha * (exp(x) - 1) where negative."""
    return gamma * F.elu(x, alpha)


@torch_op("HardSigmoid")
def hard_sigmoid(x: torch.Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> torch.Tensor:
    """alpha * x + beta, limited to [0, 1]."""
    return (alpha * x + beta).clamp(0, 1)


@torch_op("ThresholdedRelu")
def thresholded_relu(x: torch.Tensor, *, alpha: float = 1.0) -> torch.Tensor:
    """x where above alpha, else 0."""
    return F.threshold(x, alpha, 0.0)


@torch_op("Shrink")
def shrink(x: torch.Tensor, *, bias: float = 0.0, lambd: float = 0.5) -> torch.Tensor:
    """x moved by bias towards 0 where it is beyond lambd or -lambd, else 0."""
    return torch.where(x > lambd, x - bias, torch.where(x < -lambd, x + bias, torch.zeros_like(x)))


@torch_op("Gelu")
def gelu(x: torch.Tensor, *, approximate: str = "none") -> torch.Tensor:
    """x times the share of the normal distribution below x, or its approximation by tanh."""
    return F.gelu(x, approximate=approximate)


@torch_op("Softmax")
def softmax(x: torch.Tensor, *, axis: int = -1) -> torch.Tensor:
    """exp(x) normalised to sum 1 along an axis."""
    return x.softmax(axis)


@torch_op("LogSoftmax")
def log_softmax(x: torch.Tensor, *, axis: int = -1) -> torch.Tensor:
    """Logarithm of the softmax along an axis."""
    return x.log_softmax(axis)


@torch_op("Clip")
def clip(x: torch.Tensor, low: torch.Tensor | None = None, high: torch.Tensor | None = None) -> torch.Tensor:
    """x limited to [low, high]; either may be left out."""
    return x if low is None and high is None else torch.clamp(x, low, high)


without_attributes(
    {
        "Erf": torch.erf,
        "Exp": torch.exp,
        "HardSwish": F.hardswish,
        "Mish": F.mish,
        "Relu": torch.relu,
        "Sigmoid": torch.sigmoid,
        "Softplus": F.softplus,
        "Softsign": F.softsign,
        "Tanh": torch.tanh,
    }
)
