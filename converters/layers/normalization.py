"""Normalisations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import onnx_ir as ir

from converters.axes import VECTOR
from converters.initializers import ONES, ZEROS, Initializer, read_initializer
from converters.keys import Keys
from converters.layers.broadcasting import along, stored_order
from converters.layers.layer_builder import LayerBuilder
from converters.layers.registry import converts
from converters.layers.tensor import Tensor, shown

__all__ = [
    "AffineConfig",
    "BatchNormalizationConfig",
    "EpsilonAt",
    "GroupNormalizationConfig",
    "InstanceNormalizationConfig",
    "LayerNormalizationConfig",
    "RMSNormalizationConfig",
    "UnitNormalizationConfig",
    "batch_normalization",
    "group_normalization",
    "instance_normalization",
    "layer_normalization",
    "of_unit_length",
    "rms_normalization",
    "unit_normalization",
]

SUSPICIOUS_MOMENTUM = 0.5
"""A momentum below this looks like torch's convention, the complement of Keras', slipped into a Keras file."""

SMALLEST_LENGTH = 1e-12
"""What a vector's length counts at least when it is divided by it."""


@dataclass(frozen=True)
class AffineConfig:
    """What normalizations have in common: what is added to the variance, and the weight and bias that follow.

    With `scale` there is a weight, with `center` a bias.
    """

    epsilon: float
    center: bool
    scale: bool
    gamma_initializer: Initializer
    beta_initializer: Initializer

    @classmethod
    def read(cls, keys: Keys, *, epsilon: float = 1e-3, default: bool = True) -> "AffineConfig":
        """Args: `epsilon`, and `default` of center and scale, are what an absent key stands for."""
        return cls(
            keys.number("epsilon", default=epsilon, minimum=0.0),
            keys.flag("center", default=default),
            keys.flag("scale", default=default),
            read_initializer(keys, "gamma_initializer", ONES),
            read_initializer(keys, "beta_initializer", ZEROS),
        )


@dataclass(frozen=True, kw_only=True)
class BatchNormalizationConfig:
    """Keras `BatchNormalization`, checked: `momentum` is the share that running statistics keep at each step."""

    axis: int
    momentum: float
    affine: AffineConfig
    moving_mean_initializer: Initializer
    moving_variance_initializer: Initializer

    @classmethod
    def read(cls, keys: Keys) -> "BatchNormalizationConfig":
        momentum = keys.number("momentum", default=0.99, minimum=0.0, maximum=1.0)
        if momentum < SUSPICIOUS_MOMENTUM:
            keys.notice(
                "momentum",
                f"is {momentum:g}, and kept as Keras means it; torch would write {1 - momentum:g} for the same",
            )
        return cls(
            axis=keys.axis("axis", default=-1),
            momentum=momentum,
            affine=AffineConfig.read(keys),
            moving_mean_initializer=read_initializer(keys, "moving_mean_initializer", ZEROS),
            moving_variance_initializer=read_initializer(keys, "moving_variance_initializer", ONES),
        )


@converts(
    "BatchNormalization",
    "BatchNormalizationV1",
    "BatchNormalizationV2",
    "SyncBatchNormalization",
    config=BatchNormalizationConfig.read,
)
def batch_normalization(config: BatchNormalizationConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """weight * (x - running_mean) / sqrt(running_var + epsilon) + bias, for each entry of one axis of x, of size C.

    Declares weight, bias, running_mean and running_var, all (C,); where scale or center is false, weight or bias is
    there all the same, fixed at 1 or 0.
    Raises ConversionError if C is unknown, or the axis is the batch's.
    Source: keras.io/api/layers/normalization_layers/batch_normalization; ONNX BatchNormalization, opset 15.
    """
    x, channels, restored = _with_axis_second(inputs[0], config.axis, layer)
    affine = config.affine
    gamma, beta = (
        affine.gamma_initializer if affine.scale else ONES,
        affine.beta_initializer if affine.center else ZEROS,
    )
    operands = [
        x.value,
        layer.parameter("weight", (channels,), VECTOR, gamma, fixed=not affine.scale),
        layer.parameter("bias", (channels,), VECTOR, beta, fixed=not affine.center),
        layer.statistic("running_mean", channels, config.moving_mean_initializer),
        layer.statistic("running_var", channels, config.moving_variance_initializer),
    ]
    return restored(layer.op("BatchNormalization", operands, epsilon=affine.epsilon, momentum=config.momentum))


def _with_axis_second(x: Tensor, axis: int, layer: LayerBuilder) -> tuple[Tensor, int, Callable[[ir.Value], Tensor]]:
    """x stored with an axis behind the batch, that axis' size, and the way back from a result that is stored so.

    Raises:
        ConversionError: if x has no such axis, its size is unknown, or it is the batch's.
    """
    keras_axis = _not_the_batch(layer.keras_axis(x, axis), axis, x, layer)
    if keras_axis == x.rank - 1:
        x = layer.channels_first(x)
    stored = x.stored_axis(keras_axis)
    size = layer.known_size(x, stored)
    if stored == 1:
        return x, size, lambda y: Tensor(y, x.layout)
    order = [0, stored, *(other for other in range(1, x.rank) if other != stored)]
    back = [int(i) for i in np.argsort(order)]
    moved = Tensor(layer.transposed(x.value, order), x.layout)
    return moved, size, lambda y: Tensor(layer.transposed(y, back), x.layout)


def _not_the_batch(keras_axis: int, written: int, x: Tensor, layer: LayerBuilder) -> int:
    if keras_axis == 0:
        raise layer.error(
            f'"axis" is {written}, which is the batch of its input {shown(x.shape)}',
            "Write -1 for the channels, or another axis than the batch's.",
        )
    return keras_axis


def _axes(x: Tensor, written: Sequence[int], layer: LayerBuilder) -> list[int]:
    """The axes of x counted from 0, rising, none of them the batch."""
    counted = layer.keras_axes(x, written)
    return sorted(_not_the_batch(axis, given, x, layer) for axis, given in zip(counted, written, strict=True))


@dataclass(frozen=True, kw_only=True)
class LayerNormalizationConfig:
    """Keras `LayerNormalization`, checked: the axes in Keras' order, negative from the end.

    `rms_scaling` divides by the deviation without taking the mean away first.
    """

    axes: tuple[int, ...]
    affine: AffineConfig
    rms_scaling: bool

    @classmethod
    def read(cls, keys: Keys) -> "LayerNormalizationConfig":
        return cls(
            axes=keys.axes("axis", default=-1),
            affine=AffineConfig.read(keys),
            rms_scaling=keys.flag("rms_scaling", default=False),
        )


@converts("LayerNormalization", config=LayerNormalizationConfig.read)
def layer_normalization(config: LayerNormalizationConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """weight * (x - mean) / sqrt(variance + epsilon) + bias, with the mean and the variance over these axes.

    Declares weight with scale and bias with center, of these axes' sizes in the order in which they are stored.
    Raises ConversionError if one of the sizes is unknown, or one of the axes is the batch's.
    Source: keras.io/api/layers/normalization_layers/layer_normalization; ONNX LayerNormalization, opset 17.
    """
    (x,) = inputs
    affine = config.affine
    axes = _axes(x, config.axes, layer)
    stored, order = stored_order(x, axes)
    shape = tuple(layer.known_size(x, x.stored_axis(axis)) for axis in axes)
    if config.rms_scaling:
        distance = layer.op("Sub", [x.value, layer.op("ReduceMean", [x.value], axes=stored, keepdims=1)])
        y = _divided_by_root_mean_square(x, distance, stored, affine.epsilon, layer)
        # Keras has a weight here whether or not it scales, and no bias.
        weight = layer.parameter("weight", shape, order, affine.gamma_initializer)
        return Tensor(layer.op("Mul", [y, along(weight, stored, x, layer)]), x.layout)
    if affine.scale:
        scale = layer.parameter("weight", shape, order, affine.gamma_initializer)
    else:
        scale = layer.constant("scale", np.ones(order.onnx_shape(shape), np.float32))
    bias = [layer.parameter("bias", shape, order, affine.beta_initializer)] if affine.center else []
    others = [axis for axis in range(x.rank) if axis not in stored]
    moved = layer.transposed(x.value, [*others, *stored])
    y = layer.op("LayerNormalization", [moved, scale, *bias], axis=len(others) - x.rank, epsilon=affine.epsilon)
    return Tensor(layer.transposed(y, [int(i) for i in np.argsort([*others, *stored])]), x.layout)


@dataclass(frozen=True)
class RMSNormalizationConfig:
    """Keras `RMSNormalization`, checked: the axes in Keras' order, negative from the end."""

    axes: tuple[int, ...]
    epsilon: float

    @classmethod
    def read(cls, keys: Keys) -> "RMSNormalizationConfig":
        return cls(keys.axes("axis", default=-1), keys.number("epsilon", default=1e-6, minimum=0.0))


@converts("RMSNormalization", config=RMSNormalizationConfig.read)
def rms_normalization(config: RMSNormalizationConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """weight * x / sqrt(mean of x * x + epsilon), with the mean over these axes.

    Declares weight, of these axes' sizes in the order in which they are stored.
    Raises ConversionError if one of the sizes is unknown, or one of the axes is the batch's.
    Source: keras.io/api/layers/normalization_layers/rms_normalization; ONNX has the op from opset 23 on.
    """
    (x,) = inputs
    axes = _axes(x, config.axes, layer)
    stored, order = stored_order(x, axes)
    shape = tuple(layer.known_size(x, x.stored_axis(axis)) for axis in axes)
    y = _divided_by_root_mean_square(x, x.value, stored, config.epsilon, layer)
    weight = layer.parameter("weight", shape, order, ONES)
    return Tensor(layer.op("Mul", [y, along(weight, stored, x, layer)]), x.layout)


def _divided_by_root_mean_square(
    x: Tensor, distance: ir.Value, stored_axes: Sequence[int], epsilon: float, layer: LayerBuilder
) -> ir.Value:
    """x / sqrt(mean of distance * distance + epsilon)."""
    square = layer.op("Mul", [distance, distance])
    mean = layer.op("ReduceMean", [square], axes=stored_axes, keepdims=1)
    root = layer.op("Sqrt", [layer.op("Add", [mean, layer.scalar("epsilon", epsilon)])])
    return layer.op("Div", [x.value, root])


@dataclass(frozen=True, kw_only=True)
class GroupNormalizationConfig:
    """Keras `GroupNormalization`, checked: `groups` None stands for as many as there are channels."""

    groups: int | None
    axis: int
    affine: AffineConfig

    @classmethod
    def read(cls, keys: Keys) -> "GroupNormalizationConfig":
        return cls(
            groups=None if keys.raw("groups") == -1 else keys.integer("groups", default=32),
            axis=keys.axis("axis", default=-1),
            affine=AffineConfig.read(keys),
        )


@converts("GroupNormalization", config=GroupNormalizationConfig.read)
def group_normalization(config: GroupNormalizationConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """weight * (x - mean) / sqrt(variance + epsilon) + bias, with mean and variance over space and a group of channels.

    Declares weight with scale and bias with center, both (C,).
    Raises ConversionError if C is unknown or no multiple of groups.
    Source: keras.io/api/layers/normalization_layers/group_normalization. ONNX's GroupNormalization has a weight for
    each group before opset 21; here each group is an instance.
    """
    x, channels, restored = _with_axis_second(inputs[0], config.axis, layer)
    affine = config.affine
    groups = channels if config.groups is None else config.groups
    if channels % groups:
        raise layer.error(
            f"its {channels} channels are no multiple of its {groups} groups",
            'Choose "groups" so that it divides the channels.',
        )
    if groups == channels and x.rank > 2:
        return restored(_normalized_instances(x, channels, affine, layer))
    ones, zeros = (layer.constant(what, np.full(groups, n, np.float32)) for what, n in (("ones", 1), ("zeros", 0)))
    grouped = layer.op("Reshape", [x.value, layer.constant("groups", np.array([0, groups, -1], np.int64))])
    y = layer.op("InstanceNormalization", [grouped, ones, zeros], epsilon=affine.epsilon)
    y = _in_shape_of(x, y, layer)
    if affine.scale:
        weight = layer.parameter("weight", (channels,), VECTOR, affine.gamma_initializer)
        y = layer.op("Mul", [y, along(weight, [1], x, layer)])
    if affine.center:
        bias = layer.parameter("bias", (channels,), VECTOR, affine.beta_initializer)
        y = layer.op("Add", [y, along(bias, [1], x, layer)])
    return restored(y)


def _in_shape_of(x: Tensor, y: ir.Value, layer: LayerBuilder) -> ir.Value:
    """y, of as many elements as x, in the shape of x."""
    sizes = x.stored_shape[1:]
    if sum(not isinstance(size, int) for size in sizes) > 1:
        shape = layer.op("Shape", [x.value])
    else:
        known = [size if isinstance(size, int) else -1 for size in sizes]
        shape = layer.constant("shape", np.array([0, *known], np.int64))
    reshaped = layer.op("Reshape", [y, shape])
    reshaped.shape = x.value.shape
    return reshaped


class EpsilonAt(Enum):
    """What epsilon is added to."""

    VARIANCE = "variance"
    DEVIATION = "deviation"


@dataclass(frozen=True)
class InstanceNormalizationConfig:
    """`InstanceNormalization` of the reference program, keras-contrib or TensorFlow Addons, checked.

    Without an axis, which only keras-contrib knows, a sample is normalised as a whole. TensorFlow Addons writes how
    many groups of channels there are: as many as channels, or -1, which stands for that.
    """

    axis: int | None
    groups: int
    affine: AffineConfig
    epsilon_at: EpsilonAt

    @classmethod
    def read(cls, keys: Keys) -> "InstanceNormalizationConfig":
        keys.refuse_unless("track_running_stats", False, "an instance is normalised by its own mean and variance")
        keys.raw("momentum")  # of running statistics, which there are none of
        affine = keys.flag("affine", default=False)
        # TensorFlow Addons writes "groups", the reference program torch's "affine", keras-contrib neither.
        of_contrib = "center" in keys.names() and not {"affine", "groups"} & {*keys.names()}
        whole = of_contrib and "axis" in keys.names() and not keys.has("axis")
        axis = keys.raw("axis") if whole else keys.axis("axis", default=-1)
        return cls(
            axis,
            keys.integer("groups", default=-1, minimum=-1),
            # Each of the three programs writes epsilon; torch's default is what the reference program has.
            AffineConfig.read(keys, epsilon=1e-5, default=affine),
            EpsilonAt.DEVIATION if of_contrib else EpsilonAt.VARIANCE,
        )


@converts("InstanceNormalization", config=InstanceNormalizationConfig.read)
def instance_normalization(
    config: InstanceNormalizationConfig, inputs: Sequence[Tensor], layer: LayerBuilder
) -> Tensor:
    """weight * (x - mean) / sqrt(variance + epsilon) + bias, with the mean and the variance of each sample's channel.

    That of keras-contrib divides by sqrt(variance) + epsilon, and without an axis takes all channels together.
    Declares weight with scale and bias with center, both (C,); (1,) where all channels are taken together.
    Raises ConversionError if C is unknown or x has no spatial axis.
    Source: docs.pytorch.org InstanceNorm2d; ONNX InstanceNormalization; keras-contrib, instancenormalization.py.
    """
    if config.axis is None:
        (x,) = inputs
        return Tensor(_by_deviation(x, list(range(1, x.rank)), 1, config.affine, layer), x.layout)
    x, channels, restored = _with_axis_second(inputs[0], config.axis, layer)
    if x.rank < 3:
        raise layer.error(f"its input {shown(x.shape)} has no spatial axis", "Use LayerNormalization.")
    if config.groups not in (-1, channels):
        raise layer.error(
            f'"groups" is {config.groups}, and its input {shown(inputs[0].shape)} has {channels} channels: '
            "an instance is normalised channel by channel",
            "Write -1, or use GroupNormalization.",
        )
    if config.epsilon_at is EpsilonAt.DEVIATION:
        return restored(_by_deviation(x, list(range(2, x.rank)), channels, config.affine, layer))
    return restored(_normalized_instances(x, channels, config.affine, layer))


def _by_deviation(
    x: Tensor, stored_axes: Sequence[int], channels: int, affine: AffineConfig, layer: LayerBuilder
) -> ir.Value:
    """weight * (x - mean) / (sqrt(variance) + epsilon) + bias, with the mean and the variance over stored axes of x."""
    distance = layer.op("Sub", [x.value, layer.op("ReduceMean", [x.value], axes=stored_axes, keepdims=1)])
    variance = layer.op("ReduceMean", [layer.op("Mul", [distance, distance])], axes=stored_axes, keepdims=1)
    deviation = layer.op("Add", [layer.op("Sqrt", [variance]), layer.scalar("epsilon", affine.epsilon)])
    y = layer.op("Div", [distance, deviation])

    def placed(value: ir.Value) -> ir.Value:
        return along(value, [1], x, layer) if channels > 1 else value

    if affine.scale:
        weight = layer.parameter("weight", (channels,), VECTOR, affine.gamma_initializer)
        y = layer.op("Mul", [y, placed(weight)])
    if affine.center:
        bias = layer.parameter("bias", (channels,), VECTOR, affine.beta_initializer)
        y = layer.op("Add", [y, placed(bias)])
    return y


def _normalized_instances(x: Tensor, channels: int, affine: AffineConfig, layer: LayerBuilder) -> ir.Value:
    if affine.scale:
        scale = layer.parameter("weight", (channels,), VECTOR, affine.gamma_initializer)
    else:
        scale = layer.constant("scale", np.ones(channels, np.float32))
    if affine.center:
        bias = layer.parameter("bias", (channels,), VECTOR, affine.beta_initializer)
    else:
        bias = layer.constant("bias", np.zeros(channels, np.float32))
    return layer.op("InstanceNormalization", [x.value, scale, bias], epsilon=affine.epsilon)


@dataclass(frozen=True)
class UnitNormalizationConfig:
    """Keras `UnitNormalization`, checked: the axes in Keras' order, negative from the end."""

    axes: tuple[int, ...]

    @classmethod
    def read(cls, keys: Keys) -> "UnitNormalizationConfig":
        return cls(keys.axes("axis", default=-1))


@converts("UnitNormalization", config=UnitNormalizationConfig.read)
def unit_normalization(config: UnitNormalizationConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x divided by its length along these axes.

    Source: keras.io/api/layers/normalization_layers/unit_normalization; ONNX ReduceL2.
    """
    (x,) = inputs
    return of_unit_length(x, layer.keras_axes(x, config.axes), layer)


def of_unit_length(x: Tensor, keras_axes: Sequence[int], layer: LayerBuilder) -> Tensor:
    """x divided by its Euclidean length along these axes; what is 0 stays 0."""
    stored = sorted(x.stored_axis(axis) for axis in keras_axes)
    length = layer.op("ReduceL2", [x.value], axes=stored, keepdims=1)
    least = layer.op("Max", [length, layer.scalar("smallest", SMALLEST_LENGTH)])
    return Tensor(layer.op("Div", [x.value, least]), x.layout)
