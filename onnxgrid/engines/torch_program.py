"""An ONNX graph turned into a list of torch calls: names are resolved, attributes bound and constants loaded once, not
in every step.

On an accelerator, what becomes the shape of something stays on the CPU: the sizes of a tensor, and what is computed
from sizes and constants alone. So no step waits for the device to learn a shape.
"""

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import numpy as np
import onnx_ir as ir
import torch

from onnxgrid.engines.kernels import KERNELS
from onnxgrid.engines.torch_ops import HOST_INPUTS, SEVERAL_OUTPUTS, TORCH_OPS, bind_attributes
from onnxgrid.engines.training_mode import ATEN_DOMAIN
from onnxgrid.errors import ConfigError

__all__ = ["CALL_MARK", "TorchProgram", "require_known_ops"]

HOST_SOURCES = {"ConstantOfShape", "Range", "Shape", "Size"}
"""Ops whose outputs come to be on the CPU."""

CALL_MARK = "onnxgrid/call "
"""What a marked call is named in torch's profiler, in front of its node's name: that quoted as in a URL, since torch
writes it into JSON as it is.
"""

IN_PLACE: Mapping[tuple[str, str], Callable[..., Any]] = {("", "Relu"): torch.relu_}
"""Op -> what writes its output over its input: a pass over fresh memory less, and in training one activation."""

NEED_NO_OUTPUT = {"Add", "BatchNormalization", "Conv", "ConvTranspose"}
"""Ops whose gradients do not read what they gave, and which give fresh memory: it may be written over."""

NO_HOST_INPUTS: frozenset[int] = frozenset()


@dataclass(frozen=True)
class _Call:
    name: str
    """Of the node, or of the value that is moved."""
    function: Callable[..., Any]
    inputs: tuple[int | None, ...]
    outputs: tuple[int, ...]
    """Slots; one for a function that gives a tensor, several for one that gives a tuple."""


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
        require_known_ops(model.graph, place)
        translation = _Translation(model.graph, set(weights), set(wanted), device)
        self._inputs = {name: translation.slot(value) for name, value in translation.given.items()}
        self._wanted = [translation.slot(value) for value in wanted]
        self._constants = translation.constants
        self._slot_count = translation.slot_count
        kept = {*self._wanted, *self._inputs.values(), *self._constants}
        self._calls = _with_last_uses(translation.calls, kept)

    def __call__(self, values: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        memory: list[Any] = [None] * self._slot_count
        for slot, constant in self._constants.items():
            memory[slot] = constant
        for name, slot in self._inputs.items():
            if name in values:
                memory[slot] = values[name]
        for call, last_uses in self._calls:
            result = call.function(*[None if slot is None else memory[slot] for slot in call.inputs])
            if isinstance(result, tuple):
                for slot, tensor in zip(call.outputs, result, strict=True):
                    memory[slot] = tensor
            else:
                memory[call.outputs[0]] = result
            for slot in last_uses:
                memory[slot] = None
        return [memory[slot] for slot in self._wanted]

    @contextmanager
    def calls_marked(self) -> Iterator[None]:
        """While it lasts, each call is an event of torch's profiler, named `CALL_MARK + <node>`."""
        plain = self._calls
        self._calls = [(replace(call, function=_marked(call)), last_uses) for call, last_uses in plain]
        try:
            yield
        finally:
            self._calls = plain


def _marked(call: _Call) -> Callable[..., Any]:
    mark = CALL_MARK + quote(call.name)

    def function(*inputs: Any) -> Any:
        with torch.profiler.record_function(mark):
            return call.function(*inputs)

    return function


class _Translation:
    """The calls of a graph, and where each of its values is kept: in one slot, or in several if it is wanted both on
    the CPU and on the device.
    """

    def __init__(self, graph: ir.Graph, weights: set[str], wanted: set[ir.Value], device: torch.device) -> None:
        self._device, self._wanted = device, wanted
        self.given = {str(value.name): value for value in graph.inputs}
        self.given |= {name: value for name, value in graph.initializers.items() if name in weights}
        self._constants = {
            value: torch.from_numpy(value.const_value.numpy().copy())
            for name, value in graph.initializers.items()
            if name not in weights and value.const_value is not None
        }
        self.constants: dict[int, Any] = {}
        self.calls: list[_Call] = []
        self._slots: dict[tuple[ir.Value, str], int] = {}
        self._on_host: set[ir.Value] = set()
        for node in graph:
            self._translate(node)

    @property
    def slot_count(self) -> int:
        return len(self._slots)

    def slot(self, value: ir.Value) -> int:
        """Where the value is for whoever uses it on the device."""
        if value in self._constants:
            return self._constant_slot(value, "device", self._constants[value].to(self._device))
        if value not in self._on_host:
            return self._slot(value, "device")
        if (value, "device") not in self._slots:
            moved = self._slot(value, "device")
            self.calls.append(_Call(str(value.name), self._to_device, (self._slot(value, "host"),), (moved,)))
        return self._slot(value, "device")

    def _translate(self, node: ir.Node) -> None:
        numbers = HOST_INPUTS.get((node.domain, node.op_type), NO_HOST_INPUTS)
        on_host = self._runs_on_host(node, numbers)
        inputs = tuple(
            None if value is None else self._input_slot(value, as_numbers=i in numbers, on_host=on_host)
            for i, value in enumerate(node.inputs)
        )
        if on_host:
            self._on_host.update(node.outputs)
        where = "host" if on_host else "device"
        outputs = tuple(self._slot(value, where) for value in node.outputs)
        function = IN_PLACE[node.domain, node.op_type] if self._may_overwrite(node) else _function(node)
        self.calls.append(_Call(str(node.name), function, inputs, outputs))

    def _may_overwrite(self, node: ir.Node) -> bool:
        """Whether nobody else reads what the node is given, now or for a gradient."""
        if (node.domain, node.op_type) not in IN_PLACE:
            return False
        (value,) = node.inputs
        producer = None if value is None else value.producer()
        if value is None or producer is None or producer.domain or producer.op_type not in NEED_NO_OUTPUT:
            return False
        return len(value.uses()) == 1 and value not in self._wanted and value not in self._on_host

    def _runs_on_host(self, node: ir.Node, numbers: frozenset[int]) -> bool:
        if node.domain == "" and node.op_type in HOST_SOURCES:
            return True
        computed = [
            value
            for i, value in enumerate(node.inputs)
            if value is not None and i not in numbers and value not in self._constants
        ]
        return bool(computed) and self._on_host.issuperset(computed)

    def _input_slot(self, value: ir.Value, *, as_numbers: bool, on_host: bool) -> int:
        if value in self._constants:
            constant = self._constants[value]
            if as_numbers:
                return self._constant_slot(value, "numbers", constant.tolist())
            return self._constant_slot(value, "host", constant) if on_host else self.slot(value)
        if value in self._on_host and (as_numbers or on_host):
            return self._slot(value, "host")
        return self.slot(value)

    def _constant_slot(self, value: ir.Value, where: str, content: Any) -> int:
        slot = self._slot(value, where)
        self.constants.setdefault(slot, content)
        return slot

    def _slot(self, value: ir.Value, where: str) -> int:
        return self._slots.setdefault((value, where), len(self._slots))

    def _to_device(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self._device, non_blocking=True)


def _with_last_uses(calls: Sequence[_Call], kept: set[int]) -> list[tuple[_Call, tuple[int, ...]]]:
    """Each call with the slots that no later one reads: their tensors are let go."""
    last = {slot: i for i, call in enumerate(calls) for slot in (*call.outputs, *call.inputs) if slot is not None}
    unused: list[list[int]] = [[] for _ in calls]
    for slot, i in last.items():
        if slot not in kept:
            unused[i].append(slot)
    return list(zip(calls, map(tuple, unused), strict=True))


def _function(node: ir.Node) -> Callable[..., Any]:
    attributes = _attributes(node)
    if node.domain == ATEN_DOMAIN:
        return functools.partial(KERNELS[attributes["operator"]], **json.loads(attributes["overload_name"]))
    return bind_attributes(node.domain, node.op_type, attributes)


def _attributes(node: ir.Node) -> dict[str, Any]:
    return {name: _plain(attribute) for name, attribute in node.attributes.items()}


def _plain(attribute: ir.Attr) -> Any:
    """An attribute's value; a number as it is once the model is saved, in single precision."""
    if attribute.type is ir.AttributeType.FLOAT:
        return float(np.float32(attribute.value))
    if attribute.type is ir.AttributeType.TENSOR:
        return torch.from_numpy(attribute.value.numpy().copy())
    return attribute.value


def require_known_ops(graph: ir.Graph, place: str) -> None:
    """Nothing, if every node of the graph has a torch counterpart; else ConfigError, naming each that has none and
    what it lacks.
    """
    problems = [f"node '{node.name}': {problem}" for node in graph if (problem := _problem(node)) is not None]
    if problems:
        known = ", ".join(sorted(op_type for _, op_type in TORCH_OPS))
        raise ConfigError(
            "\n  ".join(["the network has ops that cannot be trained", *problems]),
            place=place,
            fix=f"Known ops: {known}.",
        )


def _problem(node: ir.Node) -> str | None:
    """Why a node has no torch counterpart, or None."""
    if node.domain == ATEN_DOMAIN:
        return None
    key = (node.domain, node.op_type)
    if key not in TORCH_OPS:
        return f"op {node.domain or 'ai.onnx'}::{node.op_type} is not known"
    if key not in SEVERAL_OUTPUTS and any(value.uses() or value.is_graph_output() for value in node.outputs[1:]):
        return f"{node.op_type} has outputs besides the first that are used"
    try:
        _function(node)
    except TypeError as error:
        return str(error)
    return None
