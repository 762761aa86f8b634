"""Operations that move, join or cut axes."""

from collections.abc import Sequence

import numpy as np

from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments
from converters.layers.operations.registry import operation
from converters.layers.tensor import Layout, Tensor, shown

__all__ = ["concatenate", "expand_dims", "reshape", "split", "squeeze", "squeezed", "transpose"]


@operation("keras.ops.Reshape", "tf.reshape", parameters="x|tensor newshape|shape")
def reshape(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x in another shape, whose first size must be the batch's: -1, or the size that stands for it."""
    x = arguments.tensor("x")
    sizes = arguments.integers("newshape")
    unknown = [axis for axis, size in enumerate(sizes) if size == -1]
    if not sizes or len(unknown) > 1:
        raise layer.error(f'"newshape" is {list(sizes)}', "Write at most one -1.")
    x = x if x.has_keras_element_order() else layer.keras_order(x)
    target = layer.constant("shape", np.array(sizes, np.int64))
    return Tensor(layer.op("Reshape", [x.value, target]), Layout.KERAS)


@operation("keras.ops.Transpose", "tf.transpose", parameters="x|a axes|perm")
def transpose(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x with its axes in another order."""
    x = layer.keras_order(arguments.tensor("x"))
    order = arguments.integers("axes", tuple(reversed(range(x.rank))))
    if sorted(order) != list(range(x.rank)) or order[0] != 0:
        raise layer.error(
            f'"axes" is {list(order)} for a tensor {shown(x.shape)}', "Write each axis once, the batch, 0, first."
        )
    return Tensor(layer.transposed(x.value, order), Layout.KERAS)


@operation("keras.ops.ExpandDims", "tf.expand_dims", parameters="x|input axis")
def expand_dims(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x with an axis of size 1 put in."""
    x = layer.keras_order(arguments.tensor("x"))
    (axis, *others) = arguments.integers("axis")
    axis = axis + x.rank + 1 if axis < 0 else axis
    if others or not 0 < axis <= x.rank:
        raise layer.error(f'"axis" puts no axis into {shown(x.shape)}', f"Write one from 1 to {x.rank}.")
    axes = layer.constant("axes", np.array([axis], np.int64))
    return Tensor(layer.op("Unsqueeze", [x.value, axes]), Layout.KERAS)


@operation("keras.ops.Squeeze", "tf.squeeze", "tf.compat.v1.squeeze", parameters="x|input axis")
def squeeze(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x without axes of size 1."""
    x = arguments.tensor("x")
    ones = tuple(axis for axis, size in enumerate(x.shape) if axis and size == 1)
    axes = arguments.axes("axis", x, ones)
    if any(x.shape[axis] != 1 for axis in axes):
        raise layer.error(f'"axis" names an axis of {shown(x.shape)} whose size is not 1', "Name axes of size 1.")
    return squeezed(x, axes, layer)


def squeezed(x: Tensor, axes: Sequence[int], layer: LayerBuilder) -> Tensor:
    """x without these axes of size 1."""
    if not axes:
        return x
    stored = layer.constant("axes", np.array(sorted(x.stored_axis(axis) for axis in axes), np.int64))
    return Tensor(layer.op("Squeeze", [x.value, stored]), x.layout_without(axes))


@operation("keras.ops.Concatenate", "tf.concat", parameters="xs|values axis")
def concatenate(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The tensors one after the other along one axis."""
    parts = arguments.tensors("xs")
    if len({part.layout for part in parts}) > 1:
        parts = [layer.keras_order(part) for part in parts]
    (axis,) = arguments.axes("axis", parts[0], (-1,))[:1]
    y = layer.op("Concat", [part.value for part in parts], axis=parts[0].stored_axis(axis))
    return Tensor(y, parts[0].layout)


@operation("keras.ops.Split", parameters="x indices_or_sections axis")
def split(arguments: Arguments, layer: LayerBuilder) -> tuple[Tensor, ...]:
    """x cut along one axis: into a number of equal parts, or before each of a list of places.

    Source: keras.io/api/ops/numpy; ONNX Split, opset 13.
    """
    x = arguments.tensor("x")
    (axis,) = arguments.axes("axis", x, (0,))[:1]
    size = layer.known_size(x, x.stored_axis(axis))
    places = arguments.value("indices_or_sections")
    if isinstance(places, int):
        if places < 1 or size % places:
            raise layer.error(f"cuts an axis of size {size} into {places} equal parts", "Give a divisor of the size.")
        places = range(size // places, size, size // places)
    else:
        places = arguments.integers("indices_or_sections")
    sizes = np.diff([0, *places, size])
    if (sizes < 1).any():
        raise layer.error(f"cuts an axis of size {size} before {list(places)}", "Give rising places within the axis.")
    parts = layer.constant("sizes", sizes.astype(np.int64))
    outputs = layer.op_outputs("Split", [x.value, parts], len(sizes), axis=x.stored_axis(axis))
    return tuple(Tensor(output, x.layout) for output in outputs)
