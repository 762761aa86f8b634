"""Convolutions and transposed convolutions over one, two or three spatial axes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from converters.axes import VECTOR, convolution_kernel
from converters.initializers import GLOROT_UNIFORM, ZEROS, Initializer, read_initializer
from converters.keys import Keys
from converters.layers.activation import Activation, read_activation
from converters.layers.layer_builder import LayerBuilder
from converters.layers.registry import converts
from converters.layers.tensor import Tensor
from converters.layers.window import Padding, Window, require_channels_last, transposed_pads

__all__ = ["ConvConfig", "ConvTransposeConfig", "conv", "conv_transpose"]


@dataclass(frozen=True, kw_only=True)
class ConvConfig:
    """Keras `Conv1D`, `Conv2D`, `Conv3D`, checked."""

    filters: int
    window: Window
    groups: int
    activation: Activation
    use_bias: bool
    kernel_initializer: Initializer
    bias_initializer: Initializer

    @classmethod
    def read(cls, keys: Keys, rank: int) -> "ConvConfig":
        require_channels_last(keys)
        window = read_window(keys, rank)
        if max(window.strides) > 1 and max(window.dilation) > 1:
            raise keys.error(
                "dilation_rate",
                "is more than 1 together with strides of more than 1",
                "Set one of the two to 1, as Keras asks.",
            )
        filters, groups = keys.integer("filters"), keys.integer("groups", default=1)
        if filters % groups:
            raise keys.error("groups", f"is {groups}, which does not divide the {filters} filters", "Choose a divisor.")
        return cls(
            filters=filters,
            window=window,
            groups=groups,
            activation=read_activation(keys),
            use_bias=keys.flag("use_bias", default=True),
            kernel_initializer=read_initializer(keys, "kernel_initializer", GLOROT_UNIFORM),
            bias_initializer=read_initializer(keys, "bias_initializer", ZEROS),
        )


def read_window(keys: Keys, rank: int) -> Window:
    """The window of a convolution, plain or transposed."""
    return Window(
        size=keys.integers("kernel_size", rank),
        strides=keys.integers("strides", rank, default=1),
        dilation=keys.integers("dilation_rate", rank, default=1),
        padding=keys.choice("padding", Padding, default=Padding.VALID),
    )


@converts("Conv1D", "Convolution1D", config=partial(ConvConfig.read, rank=1))
@converts("Conv2D", "Convolution2D", config=partial(ConvConfig.read, rank=2))
@converts("Conv3D", "Convolution3D", config=partial(ConvConfig.read, rank=3))
def conv(config: ConvConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """Convolve x (N, C, s1...sn) into y (N, filters, t1...tn), then apply the activation.

    Declares weight (filters, C / groups, k1...kn) and, with use_bias, bias (filters,).
    Raises ConversionError if C is unknown or no multiple of groups, or if nothing of x would be left.
    Source: keras.io/api/layers/convolution_layers/convolution2d; ONNX Conv, opset 11.
    """
    x = layer.channels_first(inputs[0])
    layer.require_rank(x, config.window.rank)
    channels = layer.known_channels(x)
    if channels % config.groups:
        raise layer.error(
            f"its {channels} input channels are no multiple of its {config.groups} groups",
            'Choose "groups" so that it divides the channels.',
        )
    kernel_shape = (*config.window.size, channels // config.groups, config.filters)
    axes = convolution_kernel(config.window.rank)
    operands = [x.value, layer.parameter("weight", kernel_shape, axes, config.kernel_initializer)]
    if config.use_bias:
        operands.append(layer.parameter("bias", (config.filters,), VECTOR, config.bias_initializer))
    y = layer.op(
        "Conv",
        operands,
        kernel_shape=config.window.size,
        strides=config.window.strides,
        dilations=config.window.dilation,
        group=config.groups,
        **config.window.pad_attributes(x, layer),
    )
    return config.activation(Tensor(y, x.layout), layer)


@dataclass(frozen=True, kw_only=True)
class ConvTransposeConfig:
    """Keras `Conv1DTranspose`, `Conv2DTranspose`, `Conv3DTranspose`, checked."""

    filters: int
    window: Window
    output_padding: tuple[int, ...] | None
    activation: Activation
    use_bias: bool
    kernel_initializer: Initializer
    bias_initializer: Initializer

    @classmethod
    def read(cls, keys: Keys, rank: int) -> "ConvTransposeConfig":
        require_channels_last(keys)
        keys.refuse_unless("groups", 1, "Keras has no transposed convolution in groups")
        window = read_window(keys, rank)
        if max(window.strides) > 1 and max(window.dilation) > 1:
            raise keys.error(
                "dilation_rate",
                "is more than 1 together with strides of more than 1",
                "Set one of the two to 1, as Keras asks.",
            )
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
    x = layer.channels_first(inputs[0])
    layer.require_rank(x, config.window.rank)
    kernel_shape = (*config.window.size, config.filters, layer.known_channels(x))
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
