"""TimeDistributed: a layer on each step of a sequence by itself. The steps of all samples become one batch for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from converters.layers.graph_builder import BATCH
from converters.layers.layer_builder import LayerBuilder
from converters.layers.tensor import Layout, Size, Tensor, shown

__all__ = ["Steps", "time_distributed"]

ON_LAST_AXIS = frozenset(
    {
        "Activation",
        "ActivityRegularization",
        "AlphaDropout",
        "Dense",
        "ELU",
        "Embedding",
        "GaussianDropout",
        "GaussianNoise",
        "Identity",
        "LeakyReLU",
        "ReLU",
        "Rescaling",
    }
)
"""Classes that do the same to every step anyway, however many axes stand before the last."""


@dataclass(frozen=True)
class Steps:
    """How a layer is repeated along time.

    Args:
        axes: how many axes behind the batch are of time.
        of_model: whether the layer is part of a model that is repeated, so that its masks are the model's own.
    """

    axes: int
    of_model: bool


def time_distributed(
    convert: Callable[[Sequence[Tensor]], tuple[Tensor, ...]],
    class_name: str,
    inputs: Sequence[Tensor],
    steps: Steps,
    layer: LayerBuilder,
) -> tuple[Tensor, ...]:
    """What a layer makes of each step of its inputs (N, T, ...), put together again.

    Args:
        convert: the layer, on a batch of steps.

    Raises:
        ConversionError: if an input has too few axes, or the layer gives several tensors.
    """
    for x in inputs:
        if x.rank < steps.axes + 2:
            raise layer.error(
                f"takes steps of a sequence, and is given {shown(x.shape)}",
                "Take TimeDistributed away, or give a sequence.",
            )
    if class_name in ON_LAST_AXIS and not any(map(_stands_apart, inputs)):
        outputs = convert(inputs)
        return tuple(replace(y, mask=_mask(y.mask, inputs[0], steps, layer)) for y in outputs)
    outputs = convert([_merged(x, steps.axes, layer) for x in inputs])
    if len(outputs) != 1:
        raise layer.error(
            "gives several tensors, and stands in TimeDistributed, which takes one", 'Write "return_state": false.'
        )
    x, (y,) = inputs[0], outputs
    mask = y.mask
    if mask is not None:
        mask = _put_together(mask, (*x.shape[: steps.axes + 1], *_sizes(mask)[1:]), x, steps.axes, layer)
    return (replace(_apart(y, x, steps.axes, layer), mask=_mask(mask, x, steps, layer)),)


def _stands_apart(x: Tensor) -> bool:
    """Whether the steps of x were one batch just before, and can be so again for nothing."""
    node = x.value.producer()
    if node is not None and node.op_type == "Transpose" and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    if node is None or node.op_type != "Reshape" or node.inputs[0] is None:
        return False
    return str(_sizes(node.inputs[0])[0]).startswith(f"{BATCH}*")


def _mask(own: ir.Value | None, x: Tensor, steps: Steps, layer: LayerBuilder) -> ir.Value | None:
    """The mask of what came of the steps of x.

    A mask of x that holds one number for each step passes always. For those within steps, a layer of a model has the
    say; around a single layer, Keras 3 gives x's own mask, and Keras 2 the layer's or else whether anything in the
    step counts.

    Args:
        own: what the layer itself makes or passes on.
    """
    within_steps = x.mask is not None and len(_sizes(x.mask)) > steps.axes + 1
    if steps.of_model:
        return x.mask if own is None and not within_steps else own
    if not layer.written_by_keras_2 or not within_steps:
        return own if layer.written_by_keras_2 and own is not None else x.mask
    if own is not None or x.mask is None:
        return own
    counted = layer.op("Cast", [x.mask], to=ir.DataType.FLOAT)
    inner_axes = list(range(steps.axes + 1, len(_sizes(x.mask))))
    some = layer.op("ReduceMax", [counted], axes=inner_axes, keepdims=0)
    return layer.op("Cast", [some], to=ir.DataType.BOOL)


def _merged(x: Tensor, axes: int, layer: LayerBuilder) -> Tensor:
    """The steps of x (N, T, ...) as a batch (N * T, ...)."""
    value, layout = x.value, Layout.KERAS
    if x.layout is Layout.CHANNELS_FIRST:  # (N, C, T, s1...sn)
        value = layer.transposed(value, (0, *range(2, 2 + axes), 1, *range(2 + axes, x.rank)))
        layout = Layout.CHANNELS_FIRST if x.rank > axes + 2 else Layout.KERAS
    mask = None
    if x.mask is not None and x.mask.shape is not None and x.mask.shape.rank() > axes + 1:
        mask = _with_one_batch(x.mask, axes, layer)
    return Tensor(_with_one_batch(value, axes, layer), layout, mask)


def _with_one_batch(value: ir.Value, axes: int, layer: LayerBuilder) -> ir.Value:
    """A value (N, T, ...) as (N * T, ...)."""
    sizes = _sizes(value)
    steps, rest = sizes[1 : axes + 1], sizes[axes + 1 :]
    batch = "*".join([BATCH, *map(str, steps)] if None not in steps else [BATCH, layer.call_name])
    node = value.producer()
    if node is not None and node.op_type == "Reshape" and node.inputs[0] is not None:
        before = node.inputs[0]  # two layers in a row: the first has just taken the steps apart
        if _sizes(before) == (batch, *rest):
            return before
    any_number = layer.constant("batch", np.array([-1], np.int64))
    return _reshaped(value, (batch, *rest), [any_number, *_end(value, axes + 1, layer)], layer)


def _apart(y: Tensor, x: Tensor, axes: int, layer: LayerBuilder) -> Tensor:
    """The batch of steps (N * T, ...) as (N, T, ...) again, as many as x has."""
    sizes = (*x.shape[: axes + 1], *_sizes(y.value)[1:])
    value = _put_together(y.value, sizes, x, axes, layer)
    if y.layout is Layout.CHANNELS_FIRST:  # (N, T, C, s1...sn)
        channels = axes + 1
        value = layer.transposed(value, (0, channels, *range(1, channels), *range(channels + 1, len(sizes))))
    return Tensor(value, y.layout if len(sizes) > 2 else Layout.KERAS)


def _put_together(value: ir.Value, sizes: Sequence[Size], x: Tensor, axes: int, layer: LayerBuilder) -> ir.Value:
    """A value (N * T, ...) as (N, T, ...), of these sizes, as many steps as x has."""
    if all(isinstance(size, int) for size in sizes[1:]):
        parts = [layer.constant("shape", np.array([-1, *sizes[1:]], np.int64))]
    else:
        places = layer.constant("batch_and_steps", np.array([x.stored_axis(axis) for axis in range(axes + 1)]))
        parts = [layer.op("Gather", [layer.op("Shape", [x.value]), places]), *_end(value, 1, layer)]
    return _reshaped(value, sizes, parts, layer)


def _end(value: ir.Value, first: int, layer: LayerBuilder) -> list[ir.Value]:
    """The sizes of a value from an axis on, as the end of the shape that a Reshape takes."""
    sizes = _sizes(value)[first:]
    if not sizes:
        return []
    if all(isinstance(size, int) for size in sizes):
        return [layer.constant("sizes", np.array(sizes, np.int64))]
    places = layer.constant("axes", np.arange(first, first + len(sizes)))
    return [layer.op("Gather", [layer.op("Shape", [value]), places])]


def _reshaped(value: ir.Value, sizes: Sequence[Size], parts: Sequence[ir.Value], layer: LayerBuilder) -> ir.Value:
    """The value in a shape that consists of parts; `sizes` are known even where inference cannot tell."""
    result = layer.op("Reshape", [value, parts[0] if len(parts) == 1 else _joined(parts, layer)])
    result.shape = ir.Shape(sizes)
    return result


def _joined(parts: Sequence[ir.Value], layer: LayerBuilder) -> ir.Value:
    constants = [part.const_value for part in parts]
    if all(constant is not None for constant in constants):
        return layer.constant("shape", np.concatenate([constant.numpy() for constant in constants if constant]))
    return layer.op("Concat", parts, axis=0)


def _sizes(value: ir.Value) -> tuple[Size, ...]:
    return Tensor(value, Layout.KERAS).stored_shape
