"""Loss functions, each defined twice: as ONNX ops for the training graph, and in torch. The tests hold the two
together.

Shapes: outputs y are (N, C, s...); targets are class indices (N, s...) for `NegativeLogLikelihood`, else like y.
"""

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
import torch.nn.functional as F

from onnxgrid.config.loss import BCELossConfig, LossConfig, MSELossConfig, NLLLossConfig, Source
from onnxgrid.data.dataset import TargetKind

__all__ = [
    "BinaryCrossEntropy",
    "BinaryCrossEntropyWithLogits",
    "Loss",
    "MeanSquaredError",
    "NegativeLogLikelihood",
    "OpWriter",
    "SoftmaxCrossEntropy",
    "loss_for",
]

SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)
"""Probabilities below this count as zero: their logarithm is clamped to `LOWEST_LOG`."""
NO_CLASS = -100
"""The index that torch's losses ignore by default: no target has it."""
LOWEST_LOG = -100.0
"""Where a logarithm of a probability is cut off, as in torch's binary_cross_entropy."""


class OpWriter:
    """Appends nodes to a graph, named after what they compute."""

    def __init__(self, graph: ir.Graph, prefix: str) -> None:
        self._graph, self._prefix, self._count = graph, prefix, 0

    def op(self, op_type: str, *inputs: ir.Value, **attributes: Any) -> ir.Value:
        """The output of a new node."""
        return self.ops(op_type, 1, *inputs, **attributes)[0]

    def ops(self, op_type: str, outputs: int, *inputs: ir.Value, **attributes: Any) -> tuple[ir.Value, ...]:
        """The outputs of a new node of several."""
        node = ir.node(op_type, inputs, attributes, name=self._name(op_type), num_outputs=outputs)
        for i, output in enumerate(node.outputs):
            output.name = f"{node.name}/{i}" if i else node.name
        self._graph.append(node)
        return tuple(node.outputs)

    def constant(self, value: Any, dtype: Any = np.float32) -> ir.Value:
        """A new initializer."""
        name = self._name("constant")
        initializer = ir.Value(name=name, const_value=ir.tensor(np.asarray(value, dtype=dtype), name=name))
        self._graph.register_initializer(initializer)
        return initializer

    def _name(self, what: str) -> str:
        self._count += 1
        return f"{self._prefix}/{what}_{self._count}"


class Loss(ABC):
    """A scalar function of outputs and targets, averaged over the batch."""

    target_kind = TargetKind.VALUES
    threshold: float | None = None
    """From which output on a single channel counts as positive; None for a loss without right and wrong."""

    @abstractmethod
    def in_onnx(self, write: OpWriter, y: ir.Value, target: ir.Value) -> ir.Value:
        """The loss (0-d) as nodes that ONNX Runtime can differentiate with respect to y."""

    @abstractmethod
    def in_torch(self, y: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The loss (0-d), differentiable with respect to y."""

    def attached_to(self, output: ir.Value) -> "tuple[Loss, ir.Value]":
        """The loss to train with and the value of the graph it reads, given the network's output: a loss may prefer an
        earlier value.
        """
        return self, output

    @property
    def weighs_targets(self) -> bool:
        """Whether `total_weight` depends on the targets' values, and not on their number alone."""
        return False

    def total_weight(self, targets: torch.Tensor) -> float:
        """The sum of the weights in the mean that the loss is. The loss of several batches together is the mean of
        theirs, weighted by this.
        """
        return float(targets.numel())

    def defined_targets(self, targets: torch.Tensor) -> torch.Tensor:
        """Targets of the same shape for which the loss is defined: in the place of those whose weight is 0."""
        return targets


@dataclass(frozen=True)
class NegativeLogLikelihood(Loss):
    """-sum(w[t] y[t]) / sum(w[t]) over all positions but the ignored; y are log-probabilities, t class indices
    (torch's NLLLoss).

    Behind a LogSoftmax of the channels the training graph reads the logits instead: the same value, and one kernel for
    the gradient in the place of two.
    """

    weight: tuple[float, ...] | None = None
    ignore_index: int | None = None
    target_kind = TargetKind.CLASS_INDICES
    threshold = 0.5

    @property
    def weighs_targets(self) -> bool:
        return self.weight is not None or self.ignore_index is not None

    def total_weight(self, targets: torch.Tensor) -> float:
        counted = targets if self.ignore_index is None else targets[targets != self.ignore_index]
        if self.weight is None:
            return float(counted.numel())
        return float(torch.tensor(self.weight, dtype=torch.float64, device=targets.device)[counted].sum())

    def defined_targets(self, targets: torch.Tensor) -> torch.Tensor:
        classes = range(2 if self.weight is None else len(self.weight))
        heaviest = max(
            (index for index in classes if index != self.ignore_index),
            key=lambda index: 0.0 if self.weight is None else self.weight[index],
        )
        return torch.full_like(targets, heaviest)

    def in_onnx(self, write: OpWriter, y: ir.Value, target: ir.Value) -> ir.Value:
        ignored = None
        if self.ignore_index is not None:
            ignored = write.op("Equal", target, write.constant(self.ignore_index, np.int64))
            target = write.op("Where", ignored, write.constant(0, np.int64), target)
        index = write.op("Unsqueeze", target, write.constant([1], np.int64))
        picked = write.op("GatherElements", y, index, axis=1)
        if self.weight is None and ignored is None:
            return write.op("Neg", write.op("ReduceMean", picked, keepdims=0))
        assert y.shape is not None
        weights = write.constant(self.weight or np.ones(int(y.shape[1])))  # type: ignore[arg-type]
        weight = write.op("Gather", weights, index)
        if ignored is not None:
            ignored = write.op("Unsqueeze", ignored, write.constant([1], np.int64))
            weight = write.op("Where", ignored, write.constant(0), weight)
        total = write.op("ReduceSum", write.op("Mul", weight, picked), keepdims=0)
        return write.op("Neg", write.op("Div", total, write.op("ReduceSum", weight, keepdims=0)))

    def in_torch(self, y: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        weight = None if self.weight is None else _class_weights(self.weight, y.device)
        return F.nll_loss(y, target, weight, ignore_index=self._ignored)

    def attached_to(self, output: ir.Value) -> tuple[Loss, ir.Value]:
        producer = output.producer()
        if producer is None or producer.op_type != "LogSoftmax" or producer.inputs[0] is None or output.shape is None:
            return self, output
        if producer.attributes.get_int("axis", -1) not in (1, 1 - len(output.shape)):
            return self, output
        return SoftmaxCrossEntropy(self.weight, self.ignore_index), producer.inputs[0]

    @property
    def _ignored(self) -> int:
        return NO_CLASS if self.ignore_index is None else self.ignore_index


@dataclass(frozen=True)
class SoftmaxCrossEntropy(NegativeLogLikelihood):
    """The same of y = log-softmax(x), given x (torch's CrossEntropyLoss)."""

    def in_onnx(self, write: OpWriter, y: ir.Value, target: ir.Value) -> ir.Value:
        weights = [] if self.weight is None else [write.constant(self.weight)]
        ignored = {} if self.ignore_index is None else {"ignore_index": self.ignore_index}
        # The log-probabilities, its second output, are what ONNX Runtime's gradient reads.
        loss, log_probabilities = write.ops("SoftmaxCrossEntropyLoss", 2, y, target, *weights, **ignored)
        log_probabilities.type, log_probabilities.shape = y.type, y.shape
        return loss

    def in_torch(self, y: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        weight = None if self.weight is None else _class_weights(self.weight, y.device)
        return F.cross_entropy(y, target, weight, ignore_index=self._ignored)

    def attached_to(self, output: ir.Value) -> tuple[Loss, ir.Value]:
        return self, output


@functools.cache
def _class_weights(weight: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Kept, since copying it to a device would make every step wait."""
    return torch.tensor(weight, device=device)


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """The mean of (y - t)^2 over all elements."""

    def in_onnx(self, write: OpWriter, y: ir.Value, target: ir.Value) -> ir.Value:
        difference = write.op("Sub", y, target)
        return write.op(
            "ReduceMean", write.op("Mul", difference, difference), keepdims=0
        )  # Pow's gradient is several passes slower

    def in_torch(self, y: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return F.mse_loss(y, target)


@dataclass(frozen=True)
class BinaryCrossEntropyWithLogits(Loss):
    """The mean of softplus(x) - x t, in a form that neither overflows nor loses its gradient; y = sigmoid(x) is never
    computed.
    """

    threshold = 0.0

    def in_onnx(self, write: OpWriter, y: ir.Value, target: ir.Value) -> ir.Value:
        magnitude = write.op("Abs", y)
        # max(x, 0) as (x + |x|) / 2, whose gradient at 0 is 1/2 as softplus needs it.
        positive = write.op("Mul", write.op("Add", y, magnitude), write.constant(0.5))
        tail = write.op("Log", write.op("Add", write.op("Exp", write.op("Neg", magnitude)), write.constant(1)))
        each = write.op("Add", write.op("Sub", positive, write.op("Mul", y, target)), tail)
        return write.op("ReduceMean", each, keepdims=0)

    def in_torch(self, y: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(y, target)


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """The mean of -(t log y + (1 - t) log(1 - y)) for probabilities y, each logarithm at least -100.

    Behind a Sigmoid the training graph reads the logits instead: the same value, and a gradient where float32's y is
    exactly 0 or 1.
    """

    threshold = 0.5

    def in_onnx(self, write: OpWriter, y: ir.Value, target: ir.Value) -> ir.Value:
        one = write.constant(1)
        hit = write.op("Mul", target, self._log_in_onnx(write, y))
        miss = write.op("Mul", write.op("Sub", one, target), self._log_in_onnx(write, write.op("Sub", one, y)))
        return write.op("Neg", write.op("ReduceMean", write.op("Add", hit, miss), keepdims=0))

    def in_torch(self, y: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return -(target * self._log_in_torch(y) + (1 - target) * self._log_in_torch(1 - y)).mean()

    def attached_to(self, output: ir.Value) -> tuple[Loss, ir.Value]:
        producer = output.producer()
        if producer is not None and producer.op_type == "Sigmoid" and producer.inputs[0] is not None:
            return BinaryCrossEntropyWithLogits(), producer.inputs[0]
        return self, output

    # The inner selection keeps 0 out of the logarithm: a masked infinity would still turn the gradient into NaN.
    @staticmethod
    def _log_in_onnx(write: OpWriter, p: ir.Value) -> ir.Value:
        positive = write.op("Greater", p, write.constant(SMALLEST_NORMAL))
        logarithm = write.op("Log", write.op("Where", positive, p, write.constant(1)))
        return write.op("Where", positive, logarithm, write.constant(LOWEST_LOG))

    @staticmethod
    def _log_in_torch(p: torch.Tensor) -> torch.Tensor:
        positive = p > SMALLEST_NORMAL
        return torch.where(positive, torch.log(torch.where(positive, p, 1.0)), LOWEST_LOG)


def loss_for(config: LossConfig) -> Loss:
    """The loss that a run configuration asks for."""
    match config:
        case NLLLossConfig():
            return NegativeLogLikelihood(config.weight, config.ignore_index)
        case BCELossConfig():
            return BinaryCrossEntropyWithLogits() if config.source is Source.LOGITS else BinaryCrossEntropy()
        case MSELossConfig():
            return MeanSquaredError()
