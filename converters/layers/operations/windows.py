"""Pooling, convolution and normalization that are called as functions; their kernels and statistics are constants."""

from functools import partial

import numpy as np
import onnx_ir as ir

from converters.axes import convolution_kernel, depthwise_kernel
from converters.json_arrays import Array
from converters.layers.convolution import convolve
from converters.layers.data_format import DataFormat
from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments
from converters.layers.operations.images import data_format
from converters.layers.operations.operands import stored
from converters.layers.operations.reductions import reduced
from converters.layers.operations.registry import operation
from converters.layers.pooling import PoolingConfig, even_windows, pooled
from converters.layers.tensor import Tensor, shown
from converters.layers.window import Padding, Window, transposed_pads

__all__ = ["batch_norm", "bias_add", "conv", "conv_transpose", "layer_norm", "rms_norm", "separable_conv"]

PADDINGS = {member.value: member for member in Padding}


def _spatial_rank(x: Tensor, layer: LayerBuilder) -> int:
    if not 3 <= x.rank <= 5:
        raise layer.error(f"moves a window over its input {shown(x.shape)}", "Give it one to three spatial axes.")
    return x.rank - 2


def _along_space(name: str, rank: int, arguments: Arguments, default: int | None = None) -> tuple[int, ...]:
    """A number for each spatial axis: one for all, one for each, or as TensorFlow has it one for each of all axes."""
    values = arguments.integers(name, None if default is None else (default,), minimum=1)
    if len(values) == rank + 2:
        format_ = data_format(arguments)
        inside = values[1:-1] if format_ is DataFormat.CHANNELS_LAST else values[2:]
        if int(np.prod(values, dtype=np.float64)) == int(np.prod(inside, dtype=np.float64)):
            return inside
    if len(values) not in (1, rank):
        raise arguments.refusal(name, f"{rank} numbers from 1 on, one for each spatial axis")
    return values * rank if len(values) == 1 else values


def _pool(op_type: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The largest cell or the mean of each window; padding does not count."""
    x = arguments.tensor("inputs")
    rank = _spatial_rank(x, layer)
    size = _along_space("pool_size", rank, arguments)
    strides = _along_space("strides", rank, arguments) if arguments.has("strides") else size
    arguments.value("strides")
    padding = arguments.choice("padding", PADDINGS, "valid")
    config = PoolingConfig(Window(size, strides, (1,) * rank, padding), data_format(arguments))
    return pooled(op_type, config, x, layer)


POOLS = {
    "MaxPool": (
        "keras.ops.MaxPool",
        *(f"tf.nn.max_pool{rank}" for rank in ("", "1d", "2d", "3d")),
        "tf.compat.v1.nn.max_pool",
    ),
    "AveragePool": (
        "keras.ops.AveragePool",
        *(f"tf.nn.avg_pool{rank}" for rank in ("", "1d", "2d", "3d")),
        "tf.compat.v1.nn.avg_pool",
    ),
}
"""ONNX operator -> operations."""

for _op_type, _names in POOLS.items():
    operation(*_names, parameters="inputs|input|value pool_size|ksize strides padding data_format")(
        partial(_pool, _op_type)
    )


def _adaptive_pool(op_type: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x pooled to a number of cells that divides its own along each spatial axis.

    Raises ConversionError if it does not, since the windows would be of different sizes then.
    """
    x = arguments.tensor("inputs")
    rank = _spatial_rank(x, layer)
    format_ = data_format(arguments)
    image = layer.image(x, format_, rank)
    counts = arguments.integers_for("output_size", rank)
    window = even_windows(image, counts, layer)
    if window is None:
        sizes = list(image.stored_shape[2:])
        raise arguments.refusal("output_size", f"divisors of the sizes {sizes}: windows of one size are all we know")
    return pooled(op_type, PoolingConfig(window, format_), x, layer)


for _op_type, _name in (("MaxPool", "keras.ops.AdaptiveMaxPool"), ("AveragePool", "keras.ops.AdaptiveAveragePool")):
    operation(_name, parameters="inputs output_size data_format")(partial(_adaptive_pool, _op_type))


def _window(size: tuple[int, ...], arguments: Arguments, layer: LayerBuilder) -> Window:
    rank = len(size)
    window = Window(
        size,
        _along_space("strides", rank, arguments, 1),
        _along_space("dilation_rate", rank, arguments, 1),
        arguments.choice("padding", PADDINGS, "valid"),
    )
    if max(window.strides) > 1 and max(window.dilation) > 1:
        raise arguments.refusal("dilation_rate", "1 together with strides of more than 1, as Keras asks")
    return window


def _kernel(name: str, x: Tensor, arguments: Arguments, layer: LayerBuilder) -> tuple[Array, Tensor]:
    """A kernel (k1...kn, in, out) in Keras' order, and x stored (N, C, s1...sn)."""
    rank = _spatial_rank(x, layer)
    return arguments.array(name, rank + 2), layer.image(x, data_format(arguments), rank)


CONVOLUTION = "inputs|input|value|x kernel|filter|filters strides|stride padding data_format dilation_rate|dilations"


@operation(
    "keras.ops.Conv",
    *(f"tf.nn.conv{rank}" for rank in ("1d", "2d", "3d")),
    *(f"tf.compat.v1.nn.conv{rank}" for rank in ("1d", "2d")),
    "tf.nn.convolution",
    "tf.compat.v1.nn.convolution",
    parameters=CONVOLUTION,
)
def conv(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Convolve x (N, C, s1...sn) with a kernel (k1...kn, C / groups, filters) that is never trained.

    Source: keras.io/api/ops/nn; ONNX Conv, opset 11.
    """
    arguments.value("use_cudnn_on_gpu")  # how it is computed, not what
    arguments.refuse_unless("explicit_paddings", None, 'padding is "valid" or "same" here')
    kernel, x = _kernel("kernel", arguments.tensor("inputs"), arguments, layer)
    *size, into, filters = kernel.shape
    channels = layer.known_size(x, 1)
    if channels % into or filters % (channels // into):
        raise layer.error(
            f"its kernel {shown(kernel.shape)} does not fit the {channels} channels of its input",
            "Give one whose last axis but one divides them, and whose last axis has a share for each group.",
        )
    weight = layer.constant("kernel", convolution_kernel(len(size)).to_onnx(kernel))
    return convolve(x, [weight], _window(tuple(size), arguments, layer), channels // into, layer)


@operation(
    "keras.ops.DepthwiseConv",
    "tf.nn.depthwise_conv2d",
    "tf.compat.v1.nn.depthwise_conv2d",
    parameters="inputs|input kernel|filter strides padding data_format dilation_rate|dilations|rate",
)
def depthwise_conv(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Convolve each channel with kernels of its own, (k1...kn, C, multiplier), that are never trained."""
    return _depthwise("kernel", arguments.tensor("inputs"), arguments, layer)


def _depthwise(name: str, x: Tensor, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    kernel, image = _kernel(name, x, arguments, layer)
    *size, into, _multiplier = kernel.shape
    channels = layer.known_size(image, 1)
    if channels != into:
        raise layer.error(
            f"its kernel {shown(kernel.shape)} does not fit the {channels} channels of its input",
            "Give one whose last axis but one has as many.",
        )
    weight = layer.constant(name, depthwise_kernel(len(size)).to_onnx(kernel))
    return convolve(image, [weight], _window(tuple(size), arguments, layer), channels, layer)


@operation(
    "keras.ops.SeparableConv",
    parameters="inputs depthwise_kernel pointwise_kernel strides padding data_format dilation_rate",
)
def separable_conv(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Convolve each channel by itself, then mix the results cell by cell."""
    spread = _depthwise("depthwise_kernel", arguments.tensor("inputs"), arguments, layer)
    rank = spread.rank - 2
    kernel = arguments.array("pointwise_kernel", rank + 2)
    *size, into, _filters = kernel.shape
    if set(size) != {1} or into != spread.stored_shape[1]:
        raise arguments.refusal("pointwise_kernel", f"one of {spread.stored_shape[1]} channels and windows of one cell")
    weight = layer.constant("pointwise_kernel", convolution_kernel(rank).to_onnx(kernel))
    ones = (1,) * rank
    return convolve(spread, [weight], Window(ones, ones, ones, Padding.VALID), 1, layer)


@operation(
    "keras.ops.ConvTranspose",
    parameters="inputs kernel strides padding output_padding data_format dilation_rate",
)
def conv_transpose(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Spread x over a larger result: the gradient of a convolution with a kernel (k1...kn, filters, C)."""
    kernel, x = _kernel("kernel", arguments.tensor("inputs"), arguments, layer)
    *size, _filters, into = kernel.shape
    if into != layer.known_size(x, 1):
        raise layer.error(
            f"its kernel {shown(kernel.shape)} does not fit the {x.stored_shape[1]} channels of its input",
            "Give one whose last axis has as many.",
        )
    window = _window(tuple(size), arguments, layer)
    extra = None
    if arguments.has("output_padding"):
        extra = arguments.integers_for("output_padding", len(size), minimum=0)
        if any(more >= stride for more, stride in zip(extra, window.strides, strict=True)):
            raise arguments.refusal("output_padding", "less than the strides")
    arguments.value("output_padding")
    pads, output_padding = transposed_pads(window, extra)
    y = layer.op(
        "ConvTranspose",
        [x.value, layer.constant("kernel", convolution_kernel(len(size)).to_onnx(kernel))],
        kernel_shape=window.size,
        strides=window.strides,
        dilations=window.dilation,
        pads=pads,
        output_padding=output_padding,
    )
    return Tensor(y, x.layout)


@operation("tf.nn.bias_add", parameters="x|value bias data_format")
def bias_add(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x and a number for each channel."""
    x = arguments.tensor("x")
    bias = arguments.array("bias", 1)
    first = data_format(arguments) is DataFormat.CHANNELS_FIRST
    return Tensor(layer.op("Add", [x.value, _along_axis("bias", bias, x, 1 if first else x.rank - 1, layer)]), x.layout)


def _along_axis(name: str, array: Array, x: Tensor, axis: int, layer: LayerBuilder) -> ir.Value:
    """A number for each entry of a Keras axis, as a constant that broadcasts against x."""
    if x.shape[axis] not in (len(array), None):
        raise layer.error(
            f'its argument "{name}" has {len(array)} numbers for axis {axis} of {shown(x.shape)}',
            "Give one for each entry of the axis.",
        )
    return stored(array.reshape([-1 if place == axis else 1 for place in range(x.rank)]), x, layer, name)


@operation("keras.ops.BatchNorm", parameters="x mean variance offset scale axis epsilon")
def batch_norm(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """scale * (x - mean) / sqrt(variance + epsilon) + offset, with a number of each for the entries of one axis."""
    x = arguments.tensor("x")
    axis, epsilon = arguments.axis("axis", x), arguments.number("epsilon", 1e-3)
    mean, variance = arguments.array("mean", 1), arguments.array("variance", 1)
    factor = np.ones_like(mean) if not arguments.has("scale") else arguments.array("scale", 1)
    shift = np.zeros_like(mean) if not arguments.has("offset") else arguments.array("offset", 1)
    if len({array.shape for array in (mean, variance, factor, shift)}) > 1 or (variance + epsilon <= 0).any():
        raise arguments.refusal("variance", "as many positive numbers as there are means")
    factor = (factor / np.sqrt(variance + epsilon)).astype(np.float32)
    y = layer.op("Mul", [x.value, _along_axis("scale", factor, x, axis, layer)])
    return Tensor(layer.op("Add", [y, _along_axis("offset", shift - mean * factor, x, axis, layer)]), x.layout)


SMALLEST = 1e-7
"""Keras' `backend.epsilon()`."""


@operation("keras.ops.LayerNorm", parameters="x gamma beta axis epsilon rms_scaling")
def layer_norm(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta, with mean and variance over some axes."""
    x = arguments.tensor("x")
    axes = arguments.axes("axis", x, (-1,))
    arguments.refuse_unless("rms_scaling", False, "Keras itself has withdrawn it")
    mean = reduced("ReduceMean", x, axes, layer, keepdims=True)
    distance = Tensor(layer.op("Sub", [x.value, mean.value]), x.layout)
    return _scaled(distance, distance, axes, ("gamma", "beta"), arguments, layer)


@operation("keras.ops.RMSNorm", parameters="x scale axis epsilon")
def rms_norm(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """scale * x / sqrt(mean of x * x + epsilon), with the mean over some axes."""
    x = arguments.tensor("x")
    return _scaled(x, x, arguments.axes("axis", x, (-1,)), ("scale",), arguments, layer)


def _scaled(
    x: Tensor,
    distance: Tensor,
    axes: tuple[int, ...],
    names: tuple[str, ...],
    arguments: Arguments,
    layer: LayerBuilder,
) -> Tensor:
    """x divided by the root of the mean of the squared distances, then times and plus the arrays of these names."""
    square = Tensor(layer.op("Mul", [distance.value, distance.value]), x.layout)
    mean = reduced("ReduceMean", square, axes, layer, keepdims=True)
    epsilon = layer.scalar("epsilon", arguments.number("epsilon", SMALLEST))
    y = layer.op("Div", [x.value, layer.op("Sqrt", [layer.op("Add", [mean.value, epsilon])])])
    for op_type, name in zip(("Mul", "Add"), names, strict=False):
        if arguments.has(name):
            y = layer.op(op_type, [y, _over_axes(name, arguments.array(name), x, axes, layer)])
        arguments.value(name)
    return Tensor(y, x.layout)


def _over_axes(name: str, array: Array, x: Tensor, axes: tuple[int, ...], layer: LayerBuilder) -> ir.Value:
    """An array with the sizes of some Keras axes, as a constant that broadcasts against x."""
    sizes = [x.shape[axis] for axis in sorted(axes)]
    if list(array.shape) != sizes:
        raise layer.error(
            f'its argument "{name}" has the shape {shown(array.shape)} for axes of sizes {shown(sizes)}',
            "Give as many.",
        )
    own_sizes = iter(array.shape)
    return stored(array.reshape([next(own_sizes) if axis in axes else 1 for axis in range(x.rank)]), x, layer, name)
