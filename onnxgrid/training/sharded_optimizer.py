"""An optimizer whose state is divided among the processes: each keeps and updates its part of the flat tensor, and
sends what it has updated to the others. Checkpoints hold the whole state, laid out as one process has it.
"""

import warnings
from typing import Any

import torch

from onnxgrid.config.optimizer import OptimizerConfig
from onnxgrid.engines.engine import FlatTensors
from onnxgrid.optimizers import definition
from onnxgrid.processes import Processes, connection_watched

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # torch's own, about its own torch.jit
    from torch.distributed.optim import ZeroRedundancyOptimizer

__all__ = ["ShardedOptimizer"]

State = dict[str, Any]


class ShardedOptimizer(ZeroRedundancyOptimizer):
    """torch's ZeroRedundancyOptimizer on as many parts of the flat tensor as there are processes."""

    def __init__(
        self, config: OptimizerConfig, parameters: FlatTensors, gradients: FlatTensors, processes: Processes
    ) -> None:
        kind, options = definition(config)
        parts = []
        pairs = (torch.tensor_split(tensors.flat, processes.size) for tensors in (parameters, gradients))
        for part, gradient in zip(*pairs, strict=True):
            parts.append(torch.nn.Parameter(part))
            parts[-1].grad = gradient
        super().__init__(parts, kind, **options)

    def step(self, closure: Any = None, **options: Any) -> Any:
        """Update this process's part, and exchange the parts."""
        with connection_watched():
            return super().step(closure, **options)

    def gather(self) -> None:
        """Bring the whole state to process 0, for `state_dict`; to be called in all processes."""
        with connection_watched():
            self.consolidate_state_dict(to=0)

    def state_dict(self) -> State:
        """The state, as last gathered, in the layout of an optimizer of one tensor."""
        sharded = super().state_dict()
        (group,), parts = sharded["param_groups"], [part for _, part in sorted(sharded["state"].items())]
        state = {name: _joined([part[name] for part in parts]) for name in (parts[0] if parts else ())}
        return {"state": {0: state} if state else {}, "param_groups": [{**group, "params": [0]}]}

    def load_state_dict(self, state_dict: State) -> None:
        """Take this process's part out of the state of an optimizer of one tensor."""
        (group,), tensors = state_dict["param_groups"], self.param_groups[0]["params"]
        sizes, count = [tensor.numel() for tensor in tensors], len(tensors)
        divided = {name: _divided(value, sizes) for name, value in state_dict["state"].get(0, {}).items()}
        state = {i: {name: parts[i] for name, parts in divided.items()} for i in range(count)} if divided else {}
        super().load_state_dict({"state": state, "param_groups": [{**group, "params": list(range(count))}]})


def _joined(parts: list[Any]) -> Any:
    """One value of the state, from those of the parts; a count of steps is the same in all."""
    return torch.cat(parts) if isinstance(parts[0], torch.Tensor) and parts[0].dim() else parts[0]


def _divided(value: Any, sizes: list[int]) -> list[Any]:
    if isinstance(value, torch.Tensor) and value.dim():
        return [part.clone() for part in torch.split(value, sizes)]
    return [value.clone() if isinstance(value, torch.Tensor) else value for _ in sizes]
