"""Which parts the channels of a value consist of: what a Concat put together, followed through the graph.

A layer behind a Concat has its inputs in blocks, one for each input of the Concat. In a network with other numbers of
channels each block begins elsewhere, so that channels keep their meaning only part by part. Nothing here reads values
of parameters.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import onnx_ir as ir

__all__ = ["Channels", "channels_of"]

MAX_PARTS = 2**12
"""Of more parts, as a Concat of a value with itself soon makes them, none are told."""

PASSING = frozenset(
    {
        "Abs",
        "AveragePool",
        "BatchNormalization",
        "Cast",
        "Celu",
        "Clip",
        "Dropout",
        "Elu",
        "Erf",
        "Exp",
        "Gelu",
        "GlobalAveragePool",
        "GlobalLpPool",
        "GlobalMaxPool",
        "GroupNormalization",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "InstanceNormalization",
        "LRN",
        "LayerNormalization",
        "LeakyRelu",
        "Log",
        "LpPool",
        "MaxPool",
        "Mish",
        "Neg",
        "PRelu",
        "Relu",
        "Resize",
        "Selu",
        "Sigmoid",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Swish",
        "Tanh",
        "ThresholdedRelu",
        "Upsample",
    }
)
"""What leaves each channel of its first input where it is."""

GUARDED = frozenset({"Pad", "Slice"})
"""The same, if they leave the number of channels as it is."""

MEETING = frozenset({"Add", "Div", "Max", "Mean", "Min", "Mul", "Pow", "Sub", "Sum", "Where"})
"""What computes each channel of those of all inputs."""

FLATTENING = frozenset({"Flatten", "Reshape", "Squeeze"})
"""What passes channels on where there is one number of each."""


@dataclass(frozen=True)
class Channels:
    """The channels of a value.

    Args:
        axis: which axis they are.
        parts: how many each part has, in their order; one part where no Concat is known.
    """

    axis: int
    parts: tuple[int, ...]

    @property
    def count(self) -> int:
        return sum(self.parts)


def channels_of(model: ir.Model) -> Mapping[ir.Value, Channels]:
    """The channels of those values of the main graph of which they are known; none of a graph without a Concat."""
    found: dict[ir.Value, Channels] = {}
    if not any(node.op_type == "Concat" for node in model.graph):
        return found
    for node in model.graph:
        channels = _channels(node, found) if node.domain in ("", "ai.onnx") and node.inputs else None
        if channels is not None and len(channels.parts) <= MAX_PARTS:
            found[node.outputs[0]] = channels
    return found


def _channels(node: ir.Node, found: Mapping[ir.Value, Channels]) -> Channels | None:
    """The channels of a node's first output."""
    value = node.inputs[0]
    given = None if value is None else found.get(value)
    if node.op_type == "Concat":
        return _joined(node, found)
    if node.op_type in MEETING:
        return _met(node, found)
    if node.op_type in ("Conv", "ConvTranspose"):
        return _convolved(node, given)
    if node.op_type in ("Gemm", "MatMul"):
        return _alone(node.outputs[0], -1)
    if given is None:
        return None
    if node.op_type in PASSING:
        return given
    if node.op_type in GUARDED:
        return given if _size(node.outputs[0], given.axis) == given.count else None
    if node.op_type == "Transpose":
        return _turned(node, given)
    return _flattened(node, given) if node.op_type in FLATTENING else None


def _joined(node: ir.Node, found: Mapping[ir.Value, Channels]) -> Channels | None:
    inputs = [value for value in node.inputs if value is not None]
    given = [found.get(value) for value in inputs]
    known = [channels for channels in given if channels is not None]
    axis = _from_front(node.attributes.get_int("axis", 1), [*inputs, *node.outputs])
    if axis is None:
        return None
    if any(channels.axis != axis for channels in known):  # along another axis: each part goes on as it is
        return known[0] if len(known) == len(inputs) and len(set(known)) == 1 else None
    parts = [_parts(value, channels, axis) for value, channels in zip(inputs, given, strict=True)]
    if any(part is None for part in parts) or sum(len(part) for part in parts if part) > MAX_PARTS:
        return None
    return Channels(axis, tuple(chain.from_iterable(part for part in parts if part is not None)))


def _parts(value: ir.Value, channels: Channels | None, axis: int) -> tuple[int, ...] | None:
    if channels is not None:
        return channels.parts
    size = _size(value, axis)
    return None if size is None else (size,)


def _met(node: ir.Node, found: Mapping[ir.Value, Channels]) -> Channels | None:
    """Those that all inputs have, but for constants, and what is one number for all channels."""
    computed = [value for value in node.inputs if value is not None and not _is_constant(value)]
    given = [found.get(value) for value in computed]
    wide = {channels for channels in given if channels is not None and channels.count > 1}
    if None in given or len(wide) != 1:
        return None
    return wide.pop()


def _is_constant(value: ir.Value) -> bool:
    producer = value.producer()
    if producer is None:
        return value.const_value is not None
    return producer.op_type == "Constant" or (
        producer.op_type in ("Cast", "Identity", "Reshape", "Transpose", "Unsqueeze")
        and all(
            before is None or (before.producer() is None and before.const_value is not None)
            for before in producer.inputs
        )
    )


def _convolved(node: ir.Node, given: Channels | None) -> Channels | None:
    alone = _alone(node.outputs[0], 1) or _by_weight(node)
    groups = node.attributes.get_int("group", 1)
    if groups == 1 or alone is None or given is None or given.axis != 1 or given.count != groups:
        return alone
    # Each input channel has as many of the output to itself.
    return replace(given, parts=tuple(part * (alone.count // groups) for part in given.parts))


def _by_weight(node: ir.Node) -> Channels | None:
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    axis = 1 if node.op_type == "ConvTranspose" else 0
    size = None if weight is None else _size(weight, axis)
    return None if size is None else Channels(1, (size * (node.attributes.get_int("group", 1) if axis else 1),))


def _alone(value: ir.Value, axis: int) -> Channels | None:
    front, size = _from_front(axis, [value]), _size(value, axis)
    return None if front is None or size is None else Channels(front, (size,))


def _turned(node: ir.Node, given: Channels) -> Channels | None:
    order = list(node.attributes.get_ints("perm", []))
    return replace(given, axis=order.index(given.axis)) if given.axis in order else None


def _flattened(node: ir.Node, given: Channels) -> Channels | None:
    """Of (N, C, 1, 1) -> (N, C)."""
    before, after = _shape(node.inputs[0]), _shape(node.outputs[0])
    if before is None or after is None or given.axis != 1:
        return None
    ones = all(size == 1 for size in (*before[2:], *after[2:]))
    return given if ones and len(after) > 1 and before[1] == after[1] == given.count else None


def _shape(value: ir.Value | None) -> tuple[int | None, ...] | None:
    """The sizes of a value, None for those that are open; None if not even their number is known."""
    if value is None:
        return None
    shape = value.shape if value.const_value is None else value.const_value.shape
    return None if shape is None else tuple(size if isinstance(size, int) else None for size in shape)


def _size(value: ir.Value | None, axis: int) -> int | None:
    shape = _shape(value)
    return shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else None


def _from_front(axis: int, values: Sequence[ir.Value]) -> int | None:
    """The axis counted from the front; None if no value tells how many there are."""
    ranks: Iterable[int] = (len(shape) for value in values if (shape := _shape(value)) is not None)
    return axis if axis >= 0 else next((axis + rank for rank in ranks if axis + rank >= 0), None)
