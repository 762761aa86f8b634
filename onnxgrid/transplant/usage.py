"""How a graph uses its parameters: by which operator, at which place, and in which order of axes.

A name and a shape do not say whether (64, 4096) is (out, in), or that 4096 was (8, 8, 64) before a Flatten. A graph
does. Nothing here reads values of parameters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import onnx_ir as ir

from converters.roles import Role, initializer_roles
from onnxgrid.shape_inference import infer_shapes
from onnxgrid.transplant.channel_parts import Channels, channels_of

__all__ = ["Flattened", "ParameterUse", "Uses", "parameter_uses", "shape_is_known"]

DENSE = ("Gemm", "MatMul")
KERNELS = ("Conv", "ConvTranspose")

CHANNELS_SECOND = ("BatchNormalization", "InstanceNormalization")
CHANNELS_LAST = ("Add", "LayerNormalization")
"""Operators that have vectors go along this axis of their input."""

RESHAPING = ("Cast", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""What may stand between a parameter and the operator that uses it."""

PASSING = ("Cast", "Dropout", "Identity")
"""What may stand between a Flatten and a Dense, and leaves the order of elements as it is."""

MAX_CHAIN = 16


@dataclass(frozen=True)
class Flattened:
    """What the input axis of a Dense was before a Flatten: the spatial sizes, and the channels.

    Args:
        channels_last: the order of elements: (H, W, C) as in Keras, else (C, H, W) as in torch.
    """

    spatial: tuple[int, ...]
    channels: int
    channels_last: bool

    @property
    def size(self) -> int:
        return prod(self.spatial) * self.channels

    @property
    def shape(self) -> tuple[int, ...]:
        """In the order of elements."""
        return (*self.spatial, self.channels) if self.channels_last else (self.channels, *self.spatial)


@dataclass(frozen=True)
class ParameterUse:
    """How one parameter is used.

    Args:
        op_type: the operator.
        position: which of its inputs, from 0.
        transposed: a weight of a Dense that stands as (in, out).
        groups: of a convolution.
        dense_grid: whether a convolution works on every point of its grid: no stride, no dilation.
        flattened: of the weight of a Dense behind a Flatten, where the shape before it is known.
        parts: how many channels each part has that a Concat put together (`channel_parts`), along the parameter's axis
            of what goes into the operator: the inputs of a weight, the channels of a normalization, a bias that is
            added, or a convolution of each channel by itself. None where they are not known.
    """

    op_type: str
    position: int
    transposed: bool = False
    groups: int = 1
    dense_grid: bool = True
    flattened: Flattened | None = None
    parts: tuple[int, ...] | None = None

    @property
    def is_kernel(self) -> bool:
        return self.op_type in KERNELS and self.position == 1

    @property
    def multiplies(self) -> bool:
        """Whether it is the weight of a convolution or a Dense."""
        return self.op_type in (*DENSE, *KERNELS) and self.position == 1


Uses = Mapping[str, ParameterUse]
"""By name, how a graph uses a parameter; none of those that no graph tells of."""


def parameter_uses(model: ir.Model, *, parts: bool = False) -> dict[str, ParameterUse]:
    """How each parameter and statistic of the main graph is used first, by name; none for those that no node reads.

    Args:
        parts: whether to follow the parts that channels consist of.
    """
    uses: dict[str, ParameterUse] = {}
    model = _with_shapes(model, parts=parts)
    channels = channels_of(model) if parts else {}
    for name, role in initializer_roles(model).items():
        if role.kind is not Role.CONSTANT:
            use = _use(model.graph.initializers[name], channels)
            if use is not None:
                uses[name] = use
    return uses


def shape_is_known(value: ir.Value | None) -> bool:
    """Whether every size but the batch's is a number."""
    return value is not None and value.shape is not None and all(isinstance(size, int) for size in value.shape[1:])


def _with_shapes(model: ir.Model, *, parts: bool) -> ir.Model:
    """The model, or a copy with shapes inferred, if it does not tell what goes into the Flatten before a Dense; or into
    a Concat, where parts are asked for.
    """
    dense = [node for node in model.graph if node.op_type in DENSE and node.inputs]
    flattening = [_producer(node.inputs[0], PASSING) for node in dense]
    before = [node.inputs[0] for node in flattening if node is not None and node.op_type in ("Flatten", "Reshape")]
    joins = [node for node in model.graph if node.op_type == "Concat"] if parts else []
    before += [value for node in joins for value in (*node.inputs, *node.outputs)]
    if all(value is None or value.shape is not None for value in before):
        return model
    copy = model.clone()
    infer_shapes(copy)
    return copy


def _use(value: ir.Value, channels: Mapping[ir.Value, Channels]) -> ParameterUse | None:
    transposed = False
    for _ in range(MAX_CHAIN):
        uses = list(value.uses())
        if not uses:
            return None
        node, position = uses[0].node, uses[0].idx
        if node.op_type not in RESHAPING or position != 0:
            return replace(_use_by(node, position, transposed), parts=_parts(node, position, channels))
        if node.op_type == "Transpose" and list(node.attributes.get_ints("perm", [1, 0])) == [1, 0]:
            transposed = not transposed
        value = node.outputs[0]
    return None


def _use_by(node: ir.Node, position: int, transposed: bool) -> ParameterUse:
    attributes = node.attributes
    if node.op_type in KERNELS:
        spread = [*attributes.get_ints("strides", []), *attributes.get_ints("dilations", [])]
        groups = attributes.get_int("group", 1)
        return ParameterUse(node.op_type, position, groups=groups, dense_grid=all(size == 1 for size in spread))
    if node.op_type in DENSE and position == 1:
        # MatMul and a Gemm without transB multiply by (in, out).
        in_out = (attributes.get_int("transB", 0) == 0) != transposed
        return ParameterUse(node.op_type, position, transposed=in_out, flattened=_flattened(node.inputs[0]))
    return ParameterUse(node.op_type, position)


def _parts(node: ir.Node, position: int, channels: Mapping[ir.Value, Channels]) -> tuple[int, ...] | None:
    """The parts of what goes into an operator, along the axis that this parameter of it goes by."""
    value = next((value for i, value in enumerate(node.inputs) if value is not None and i != position), None)
    if node.op_type in DENSE and _flattened(value) is not None:
        flatten = _producer(value, PASSING)
        assert flatten is not None, "it was flattened by a node"
        given = channels.get(flatten.inputs[0]) if position == 1 and flatten.inputs[0] is not None else None
        return None if given is None else given.parts
    given = None if value is None else channels.get(value)
    if given is None or given.axis != _axis_of(node, position, given.count, value):
        return None
    return given.parts


def _axis_of(node: ir.Node, position: int, count: int, value: ir.Value | None) -> int | None:
    """The axis of an operator's input that its parameter at this place goes by; None if by none.

    Args:
        count: of the input's channels.
        value: the input.
    """
    groups = node.attributes.get_int("group", 1)
    weighs_inputs = node.op_type in KERNELS and position == 1 and groups == 1
    by_itself = node.op_type == "Conv" and groups == count > 1
    if weighs_inputs or by_itself or node.op_type in CHANNELS_SECOND:
        return 1
    if node.op_type in CHANNELS_LAST or (node.op_type in DENSE and position == 1):
        shapes = [tensor.shape for tensor in (value, *node.outputs) if tensor is not None and tensor.shape is not None]
        return len(shapes[0]) - 1 if shapes else None
    return None


def _flattened(value: ir.Value | None) -> Flattened | None:
    """What a value (N, F) was before it was flattened."""
    node = _producer(value, PASSING)
    if node is None or node.op_type not in ("Flatten", "Reshape"):
        return None
    if node.op_type == "Flatten" and node.attributes.get_int("axis", 1) != 1:
        return None
    before = node.inputs[0]
    if before is None or not shape_is_known(before) or before.shape is None or len(before.shape) < 3:
        return None
    sizes = tuple(int(size) for size in before.shape[1:] if isinstance(size, int))
    moved = _producer(before, ("Cast", "Identity"))
    last = len(sizes)
    if moved is not None and moved.op_type == "Transpose":
        order = list(moved.attributes.get_ints("perm", []))
        if order == [0, *range(2, last + 1), 1]:
            return Flattened(sizes[:-1], sizes[-1], channels_last=True)
        return None
    return Flattened(sizes[1:], sizes[0], channels_last=False)


def _producer(value: ir.Value | None, passing: Sequence[str]) -> ir.Node | None:
    for _ in range(MAX_CHAIN):
        node = None if value is None else value.producer()
        if node is None or node.op_type not in passing:
            return node
        value = node.inputs[0]
    return None
