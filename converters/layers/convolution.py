"""Convolutions over one, two or three spatial axes: plain, depthwise, separable and transposed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import onnx_ir as ir

from converters.axes import VECTOR, convolution_kernel, depthwise_kernel
from converters.initializers import GLOROT_UNIFORM, ZEROS, Initializer, read_initializer
from converters.keys import Keys
from converters.layers.activation import Activation, read_activation
from converters.layers.data_format import DataFormat, read_data_format
from converters.layers.layer_builder import LayerBuilder
from converters.layers.registry import converts
from converters.layers.tensor import Tensor
from converters.layers.window import Padding, Window, read_padding, transposed_pads

__all__ = [
    "ConvConfig",
    "ConvTransposeConfig",
    "DepthwiseConvConfig",
    "SeparableConvConfig",
    "conv",
    "conv_transpose",
    "convolve",
    "depthwise_conv",
    "separable_conv",
]


@dataclass(frozen=True, kw_only=True)
class ConvConfig:
    """Keras `Conv1D`, `Conv2D`, `Conv3D`, checked."""

    filters: int
    window: Window
    data_format: DataFormat
    groups: int
    activation: Activation
    use_bias: bool
    kernel_initializer: Initializer
    bias_initializer: Initializer

    @classmethod
    def read(cls, keys: Keys, rank: int) -> "ConvConfig":
        window = read_window(keys, rank, may_be_causal=rank == 1)
        filters, groups = keys.integer("filters"), keys.integer("groups", default=1)
        if filters % groups:
            raise keys.error("groups", f"is {groups}, which does not divide the {filters} filters", "Choose a divisor.")
        return cls(
            filters=filters,
            window=window,
            data_format=read_data_format(keys),
            groups=groups,
            activation=read_activation(keys),
            use_bias=keys.flag("use_bias", default=True),
            kernel_initializer=read_initializer(keys, "kernel_initializer", GLOROT_UNIFORM),
            bias_initializer=read_initializer(keys, "bias_initializer", ZEROS),
        )


def read_window(keys: Keys, rank: int, *, may_be_causal: bool = False) -> Window:
    """The window of a convolution.

    Raises:
        ConversionError: if it has both strides and a dilation, which Keras does not allow.
    """
    window = Window(
        size=keys.integers("kernel_size", rank),
        strides=keys.integers("strides", rank, default=1),
        dilation=keys.integers("dilation_rate", rank, default=1),
        padding=Padding.VALID,
    )
    if max(window.strides) > 1 and max(window.dilation) > 1:
        raise keys.error(
            "dilation_rate",
            "is more than 1 together with strides of more than 1",
            "Set one of the two to 1, as Keras asks.",
        )
    return replace(window, padding=read_padding(keys, window.extent, may_be_causal=may_be_causal))


@converts("Conv1D", "Convolution1D", config=partial(ConvConfig.read, rank=1))
@converts("Conv2D", "Convolution2D", config=partial(ConvConfig.read, rank=2))
@converts("Conv3D", "Convolution3D", config=partial(ConvConfig.read, rank=3))
def conv(config: ConvConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """Convolve x (N, C, s1...sn) into y (N, filters, t1...tn), then apply the activation.

    Declares weight (filters, C / groups, k1...kn) and, with use_bias, bias (filters,).
    Raises ConversionError if C is unknown or no multiple of groups, or if nothing of x would be left.
    Source: keras.io/api/layers/convolution_layers/convolution2d; ONNX Conv, opset 11.
    """
    x = layer.image(inputs[0], config.data_format, config.window.rank)
    channels = layer.known_size(x, 1)
    if channels % config.groups:
        raise layer.error(
            f"its {channels} input channels are no multiple of its {config.groups} groups",
            'Choose "groups" so that it divides the channels.',
        )
    kernel_shape = (*config.window.size, channels // config.groups, config.filters)
    axes = convolution_kernel(config.window.rank)
    weight = layer.parameter("weight", kernel_shape, axes, config.kernel_initializer)
    bias = [layer.parameter("bias", (config.filters,), VECTOR, config.bias_initializer)] if config.use_bias else []
    y = convolve(x, [weight, *bias], config.window, config.groups, layer)
    return config.activation(y, layer)


def convolve(x: Tensor, weights: Sequence[ir.Value], window: Window, groups: int, layer: LayerBuilder) -> Tensor:
    """x (N, C, s1...sn) convolved with a weight, and a bias if there is a second, both in ONNX order."""
    y = layer.op(
        "Conv",
        [x.value, *weights],
        kernel_shape=window.size,
        strides=window.strides,
        dilations=window.dilation,
        group=groups,
        **window.pad_attributes(x, layer),
    )
    return Tensor(y, x.layout)


@dataclass(frozen=True, kw_only=True)
class DepthwiseConvConfig:
    """Keras `DepthwiseConv1D`, `DepthwiseConv2D`, and the reference program's `DepthwiseConv3D`, checked."""

    depth_multiplier: int
    window: Window
    data_format: DataFormat
    activation: Activation
    use_bias: bool
    kernel_initializer: Initializer
    bias_initializer: Initializer

    @classmethod
    def read(cls, keys: Keys, rank: int) -> "DepthwiseConvConfig":
        # Keras writes what it inherits from Conv: null or without a meaning here.
        for inherited in ("filters", "groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint"):
            keys.raw(inherited)
        return cls(
            depth_multiplier=keys.integer("depth_multiplier", default=1),
            window=read_window(keys, rank),
            data_format=read_data_format(keys),
            activation=read_activation(keys),
            use_bias=keys.flag("use_bias", default=True),
            kernel_initializer=read_initializer(keys, "depthwise_initializer", GLOROT_UNIFORM),
            bias_initializer=read_initializer(keys, "bias_initializer", ZEROS),
        )


@converts("DepthwiseConv1D", config=partial(DepthwiseConvConfig.read, rank=1))
@converts("DepthwiseConv2D", config=partial(DepthwiseConvConfig.read, rank=2))
@converts("DepthwiseConv3D", config=partial(DepthwiseConvConfig.read, rank=3))
def depthwise_conv(config: DepthwiseConvConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """Convolve each channel of x (N, C, s1...sn) with multiplier kernels of its own, then apply the activation.

    Channel c gives channels c * multiplier to (c + 1) * multiplier - 1 of y (N, C * multiplier, t1...tn).
    Declares weight (C * multiplier, 1, k1...kn) and, with use_bias, bias (C * multiplier,).
    Raises ConversionError if C is unknown, or if nothing of x would be left.
    Source: keras.io/api/layers/convolution_layers/depthwise_convolution2d; ONNX Conv in C groups.
    """
    x = layer.image(inputs[0], config.data_format, config.window.rank)
    channels = layer.known_size(x, 1)
    kernel_shape = (*config.window.size, channels, config.depth_multiplier)
    axes = depthwise_kernel(config.window.rank)
    weights = [layer.parameter("weight", kernel_shape, axes, config.kernel_initializer)]
    if config.use_bias:
        filters = channels * config.depth_multiplier
        weights.append(layer.parameter("bias", (filters,), VECTOR, config.bias_initializer))
    return config.activation(convolve(x, weights, config.window, channels, layer), layer)


@dataclass(frozen=True, kw_only=True)
class SeparableConvConfig:
    """Keras `SeparableConv1D`, `SeparableConv2D`, checked."""

    filters: int
    depth_multiplier: int
    window: Window
    data_format: DataFormat
    activation: Activation
    use_bias: bool
    depthwise_initializer: Initializer
    pointwise_initializer: Initializer
    bias_initializer: Initializer

    @classmethod
    def read(cls, keys: Keys, rank: int) -> "SeparableConvConfig":
        for inherited in ("kernel_initializer", "kernel_regularizer", "kernel_constraint"):
            keys.raw(inherited)
        keys.refuse_unless("groups", 1, "a separable convolution has one group per channel")
        return cls(
            filters=keys.integer("filters"),
            depth_multiplier=keys.integer("depth_multiplier", default=1),
            window=read_window(keys, rank, may_be_causal=rank == 1),
            data_format=read_data_format(keys),
            activation=read_activation(keys),
            use_bias=keys.flag("use_bias", default=True),
            depthwise_initializer=read_initializer(keys, "depthwise_initializer", GLOROT_UNIFORM),
            pointwise_initializer=read_initializer(keys, "pointwise_initializer", GLOROT_UNIFORM),
            bias_initializer=read_initializer(keys, "bias_initializer", ZEROS),
        )


@converts("SeparableConv1D", "SeparableConvolution1D", config=partial(SeparableConvConfig.read, rank=1))
@converts("SeparableConv2D", "SeparableConvolution2D", config=partial(SeparableConvConfig.read, rank=2))
def separable_conv(config: SeparableConvConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """Convolve each channel of x (N, C, s1...sn) by itself, mix the results cell by cell, then apply the activation.

    Declares depthwise.weight (C * multiplier, 1, k1...kn), pointwise.weight (filters, C * multiplier, 1...1) and, with
    use_bias, bias (filters,), which belongs to the second step.
    Raises ConversionError if C is unknown, or if nothing of x would be left.
    Source: keras.io/api/layers/convolution_layers/separable_convolution2d; ONNX Conv twice.
    """
    rank = config.window.rank
    x = layer.image(inputs[0], config.data_format, rank)
    channels = layer.known_size(x, 1)
    depthwise_shape = (*config.window.size, channels, config.depth_multiplier)
    depthwise = layer.parameter(
        "depthwise.weight", depthwise_shape, depthwise_kernel(rank), config.depthwise_initializer
    )
    spread = convolve(x, [depthwise], config.window, channels, layer)
    pointwise_shape = (*[1] * rank, channels * config.depth_multiplier, config.filters)
    pointwise = layer.parameter(
        "pointwise.weight", pointwise_shape, convolution_kernel(rank), config.pointwise_initializer
    )
    bias = [layer.parameter("bias", (config.filters,), VECTOR, config.bias_initializer)] if config.use_bias else []
    y = layer.op("Conv", [spread.value, pointwise, *bias], kernel_shape=[1] * rank)
    return config.activation(Tensor(y, x.layout), layer)


@dataclass(frozen=True, kw_only=True)
class ConvTransposeConfig:
    """Keras `Conv1DTranspose`, `Conv2DTranspose`, `Conv3DTranspose`, checked."""

    filters: int
    window: Window
    output_padding: tuple[int, ...] | None
    data_format: DataFormat
    activation: Activation
    use_bias: bool
    kernel_initializer: Initializer
    bias_initializer: Initializer

    @classmethod
    def read(cls, keys: Keys, rank: int) -> "ConvTransposeConfig":
        keys.refuse_unless("groups", 1, "Keras has no transposed convolution in groups")
        window = read_window(keys, rank)
        if not isinstance(window.padding, Padding):
            raise keys.error("padding", "is no name, which a transposed convolution needs", 'Write "valid" or "same".')
        output_padding = keys.optional_integers("output_padding", rank, minimum=0)
        if output_padding and any(p >= s for p, s in zip(output_padding, window.strides, strict=True)):
            raise keys.error(
                "output_padding",
                "is not below the strides on every axis",
                "Write less than the strides, or leave it out.",
            )
        return cls(
            filters=keys.integer("filters"),
            window=window,
            output_padding=output_padding,
            data_format=read_data_format(keys),
            activation=read_activation(keys),
            use_bias=keys.flag("use_bias", default=True),
            kernel_initializer=read_initializer(keys, "kernel_initializer", GLOROT_UNIFORM),
            bias_initializer=read_initializer(keys, "bias_initializer", ZEROS),
        )


@converts(
    "Conv1DTranspose", "Convolution1DTranspose", "Deconvolution1D", config=partial(ConvTransposeConfig.read, rank=1)
)
@converts(
    "Conv2DTranspose", "Convolution2DTranspose", "Deconvolution2D", config=partial(ConvTransposeConfig.read, rank=2)
)
@converts(
    "Conv3DTranspose", "Convolution3DTranspose", "Deconvolution3D", config=partial(ConvTransposeConfig.read, rank=3)
)
def conv_transpose(config: ConvTransposeConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """Spread x (N, C, s1...sn) over y (N, filters, t1...tn): the gradient of a convolution; then apply the activation.

    Declares weight (C, filters, k1...kn) and, with use_bias, bias (filters,).
    Raises ConversionError if C is unknown.
    Source: keras.io/api/layers/convolution_layers/convolution2d_transpose; ONNX ConvTranspose, opset 11.
    """
    x = layer.image(inputs[0], config.data_format, config.window.rank)
    kernel_shape = (*config.window.size, config.filters, layer.known_size(x, 1))
    axes = convolution_kernel(config.window.rank)
    operands = [x.value, layer.parameter("weight", kernel_shape, axes, config.kernel_initializer)]
    if config.use_bias:
        operands.append(layer.parameter("bias", (config.filters,), VECTOR, config.bias_initializer))
    pads, output_padding = transposed_pads(config.window, config.output_padding)
    y = layer.op(
        "ConvTranspose",
        operands,
        kernel_shape=config.window.size,
        strides=config.window.strides,
        dilations=config.window.dilation,
        pads=pads,
        output_padding=output_padding,
    )
    return config.activation(Tensor(y, x.layout), layer)
