"""An ONNX graph turned into a list of torch calls: names are resolved, attributes bound and constants loaded once, not
in every step.
"""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import torch

from onnxgrid.engines.kernels import KERNELS
from onnxgrid.engines.torch_ops import TORCH_OPS, bind_attributes
from onnxgrid.engines.training_mode import ATEN_DOMAIN
from onnxgrid.errors import ConfigError

__all__ = ["TorchProgram", "require_known_ops"]


@dataclass(frozen=True)
class _Call:
    function: Callable[..., Any]
    inputs: tuple[int | None, ...]
    outputs: tuple[int, ...]
    """Slots; one for a function that gives a tensor, several for one that gives a tuple."""
    last_uses: tuple[int, ...]
    """Slots that no later call reads: their tensors are let go."""


class TorchProgram:
    """A graph as torch calls.

    `program(values)` takes {graph input or weight: tensor} and gives the wanted values in order.
    """

    def __init__(
        self, model: ir.Model, wanted: Sequence[ir.Value], weights: Sequence[str], device: torch.device, place: str
    ) -> None:
        """Translate a graph.

        Args:
            wanted: values of the graph to compute.
            weights: initializers that the caller passes in every call, as it passes the graph inputs; the others are
                constants.

        Raises:
            ConfigError: naming every node whose op or attribute has no torch counterpart.
        """
        graph = model.graph
        require_known_ops(graph, place)
        self._slots: dict[str, int] = {}
        self._constants: dict[int, torch.Tensor] = {}
        for value in graph.inputs:
            self._slot(value)
        for name, value in graph.initializers.items():
            slot = self._slot(value)
            if name not in weights and value.const_value is not None:
                tensor = torch.from_numpy(value.const_value.numpy().copy())
                self._constants[slot] = tensor.to(device) if tensor.is_floating_point() and tensor.dim() else tensor
        nodes = list(graph)
        last = {value: i for i, node in enumerate(nodes) for value in node.inputs if value is not None}
        kept = {*wanted, *graph.inputs, *graph.initializers.values()}
        self._calls = [
            _Call(
                _function(node),
                tuple(None if value is None else self._slot(value) for value in node.inputs),
                tuple(self._slot(value) for value in node.outputs),
                tuple(
                    self._slot(v)
                    for v in dict.fromkeys(node.inputs)
                    if v is not None and last[v] == i and v not in kept
                ),
            )
            for i, node in enumerate(nodes)
        ]
        self._wanted = [self._slot(value) for value in wanted]

    def __call__(self, values: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        memory: list[Any] = [None] * len(self._slots)
        for slot, constant in self._constants.items():
            memory[slot] = constant
        for name, tensor in values.items():
            if name in self._slots:
                memory[self._slots[name]] = tensor
        for call in self._calls:
            result = call.function(*[None if slot is None else memory[slot] for slot in call.inputs])
            if isinstance(result, tuple):
                for slot, tensor in zip(call.outputs, result, strict=True):
                    memory[slot] = tensor
            else:
                memory[call.outputs[0]] = result
            for slot in call.last_uses:
                memory[slot] = None
        return [memory[slot] for slot in self._wanted]

    def _slot(self, value: ir.Value) -> int:
        assert value.name is not None
        return self._slots.setdefault(value.name, len(self._slots))


def _function(node: ir.Node) -> Callable[..., Any]:
    attributes = _attributes(node)
    if node.domain == ATEN_DOMAIN:
        return functools.partial(KERNELS[attributes["operator"]], **json.loads(attributes["overload_name"]))
    return bind_attributes(node.domain, node.op_type, attributes)


def _attributes(node: ir.Node) -> dict[str, Any]:
    """The attributes' values; numbers as they are once the model is saved, in single precision."""
    return {
        name: float(np.float32(attribute.value)) if attribute.type is ir.AttributeType.FLOAT else attribute.value
        for name, attribute in node.attributes.items()
    }


def require_known_ops(graph: ir.Graph, place: str) -> None:
    """Nothing, if every node of the graph has a torch counterpart; else ConfigError, naming each that has none and
    what it lacks.
    """
    problems: list[str] = []
    for node in graph:
        if node.domain == ATEN_DOMAIN:
            continue
        if (node.domain, node.op_type) not in TORCH_OPS:
            problems.append(f"node '{node.name}': op {node.domain or 'ai.onnx'}::{node.op_type} is not known")
            continue
        try:
            _function(node)
        except TypeError as error:
            problems.append(f"node '{node.name}': {error}")
    if problems:
        known = ", ".join(sorted(op_type for _, op_type in TORCH_OPS))
        raise ConfigError(
            "\n  ".join(["the network has ops that cannot be trained", *problems]),
            place=place,
            fix=f"Known ops: {known}.",
        )
