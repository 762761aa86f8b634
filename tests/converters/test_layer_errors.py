"""What a layer says when its config or its input is wrong. Whole messages are compared, one case per message."""

import json
import logging
from typing import Any

import pytest

from converters.build import build_model
from converters.errors import ConversionError
from converters.json_text import parse_json
from converters.keras_json import network_from_json
from converters.layers.activation import ACTIVATIONS

USE_OTHERS = "Use layers and operations that can be converted; docs/layers.md lists them."


def layer(class_name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": {"name": "a", **config}}


def image(*shape: int | None) -> dict[str, Any]:
    return {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, *shape]}}


def build(layers: list[Any], **options: Any) -> Any:
    return build_model(network_from_json(parse_json(json.dumps(layers), "net.json"), "net.json"), **options)


def refusal(layers: list[Any]) -> str:
    with pytest.raises(ConversionError) as error:
        build(layers)
    return str(error.value)


def at(layers: list[Any], text: str) -> str:
    """Where the last of some characters stand in the one-line file."""
    return f"net.json:1:{json.dumps(layers).rindex(text) + 1}"


CONV = {"filters": 4, "kernel_size": 3}
ONE_OF_THE_ACTIVATIONS = "Use one of: " + ", ".join(f'"{name}"' for name in ACTIVATIONS) + "."
INITIALIZERS = (
    'Use one of: "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "LecunNormal", '
    '"LecunUniform", "Ones", "Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", '
    '"Zeros".'
)

CONFIGS: dict[str, tuple[dict[str, Any], str, str]] = {
    "missing": (
        layer("Conv2D", kernel_size=3),
        '{"name": "a"',
        '(Conv2D): "filters" is missing\n  Add "filters" to the layer\'s "config".',
    ),
    "missing, as Keras 1 has another name for it": (
        layer("Dense", output_dim=4, init="glorot_uniform"),
        '{"name": "a"',
        '(Dense): "units" is missing; "output_dim" is what Keras 1 wrote for it\n'
        "  Load the network with Keras 2.0 to 2.2, which reads files of Keras 1, and save it anew.",
    ),
    "an interpolation that we lack": (
        layer("Resizing", height=3, width=4, interpolation="lanczos3"),
        '"lanczos3"',
        '(Resizing): "interpolation" is "lanczos3", which is not allowed here\n'
        '  Write one of: "nearest", "bilinear", "bicubic".',
    ),
    "text for an integer": (
        layer("Conv2D", filters="4", kernel_size=3),
        '"4"',
        '(Conv2D): "filters" is "4", which is not allowed here\n  Write an integer from 1 on.',
    ),
    "a boolean for an integer": (
        layer("Dense", units=True),
        "true}",
        '(Dense): "units" is true, which is not allowed here\n  Write an integer from 1 on.',
    ),
    "a fraction for an integer": (
        layer("Dense", units=4.5),
        "4.5",
        '(Dense): "units" is 4.5, which is not allowed here\n  Write an integer from 1 on.',
    ),
    "a size of zero": (
        layer("Conv2D", filters=4, kernel_size=[3, 0]),
        "[3, 0]",
        '(Conv2D): "kernel_size" is [3, 0], which is not allowed here\n'
        "  Write an integer from 1 on, or a list of 2 of them.",
    ),
    "a pair of three": (
        layer("Conv2D", filters=4, kernel_size=[3, 3, 3]),
        "[3, 3, 3]",
        '(Conv2D): "kernel_size" is [3, 3, 3], which is not allowed here\n'
        "  Write an integer from 1 on, or a list of 2 of them.",
    ),
    "null for an integer": (
        layer("Conv2D", **CONV, strides=None),
        "null}",
        '(Conv2D): "strides" is null, which is not allowed here\n  Write an integer from 1 on, or a list of 2 of them.',
    ),
    "a number that overflows": (
        layer("Dense", units=2**31),
        "2147483648",
        '(Dense): "units" is 2147483648, which is more than 2147483647\n  Write a smaller integer.',
    ),
    "a rate above 1": (
        layer("Dropout", rate=1.5),
        "1.5",
        '(Dropout): "rate" is 1.5, which is not allowed here\n  Write a number from 0 to 1.',
    ),
    "a negative slope below zero": (
        layer("ReLU", negative_slope=-0.1),
        "-0.1",
        '(ReLU): "negative_slope" is -0.1, which is not allowed here\n  Write a number from 0 on.',
    ),
    "an infinite number": (
        layer("BatchNormalization", gamma_initializer={"class_name": "Constant", "config": {"value": "much"}}),
        '"much"',
        '(BatchNormalization): "value" is "much", which is not allowed here\n  Write a number.',
    ),
    "a number for a flag": (
        layer("Dense", units=3, use_bias=1),
        "1}",
        '(Dense): "use_bias" is 1, which is not allowed here\n  Write true or false.',
    ),
    "an unknown padding": (
        layer("Conv2D", **CONV, padding="cuasal"),
        '"cuasal"',
        '(Conv2D): "padding" is "cuasal", which is not allowed here\n  Write one of: "valid", "same".',
    ),
    "an unknown activation": (
        layer("Conv2D", **CONV, activation="rleu"),
        '"rleu"',
        '(Conv2D): "activation" is "rleu", which we do not know; the nearest known: "relu", "relu6"\n'
        f"  {ONE_OF_THE_ACTIVATIONS}",
    ),
    "an activation that is a layer with weights": (
        layer("Activation", activation={"class_name": "PReLU", "config": {"shared_axes": [1]}}),
        '{"class_name": "PReLU"',
        '(Activation): "activation" is a layer of class "PReLU"\n'
        "  Write the activation's name, or make it a layer of its own.",
    ),
    "an activation whose config is a list": (
        layer("Activation", activation={"class_name": "ReLU", "config": []}),
        '{"class_name": "ReLU"',
        '(Activation): "activation" has a "config" that is no object\n  Write "config": {}.',
    ),
    "a wrong option of an activation that is a layer": (
        layer("Conv2D", **CONV, activation={"class_name": "LeakyReLU", "config": {"alpha": -1}}),
        "-1",
        '(Conv2D): "alpha" is -1, which is not allowed here\n  Write a number from 0 on.',
    ),
    "an unknown initializer": (
        layer("Dense", units=3, kernel_initializer="glorot"),
        '"glorot"',
        f'(Dense): "kernel_initializer" is "glorot", which we do not know\n  {INITIALIZERS}',
    ),
    "an initializer whose config is a list": (
        layer("Dense", units=3, kernel_initializer={"class_name": "Zeros", "config": []}),
        '{"class_name": "Zeros"',
        '(Dense): "kernel_initializer" has a "config" that is no object\n  Write "config": {}.',
    ),
    "an unknown data format": (
        layer("Conv2D", **CONV, data_format="NCHW"),
        '"NCHW"',
        '(Conv2D): "data_format" is "NCHW", which is not allowed here\n'
        '  Write one of: "channels_last", "channels_first".',
    ),
    "a padding of too many numbers": (
        layer("Conv2D", **CONV, padding=[1, 2, 3]),
        "[1, 2, 3]",
        '(Conv2D): "padding" is [1, 2, 3], which is not allowed here\n'
        "  Write an integer from 0 on, a list of 2 of them, or of 2 pairs: before and after.",
    ),
    "a padding of a pair of three": (
        layer("ZeroPadding2D", padding=[[1, 2, 3], 1]),
        "[[1, 2, 3], 1]",
        '(ZeroPadding2D): "padding" is [[1, 2, 3], 1], which is not allowed here\n'
        "  Write an integer from 0 on, a list of 2 of them, or of 2 pairs: before and after.",
    ),
    "a negative padding": (
        layer("ZeroPadding1D", padding=[1, -2]),
        "[1, -2]",
        '(ZeroPadding1D): "padding" is [1, -2], which is not allowed here\n'
        "  Write an integer from 0 on, or a pair of integers from 0 on: before and after.",
    ),
    "a causal convolution of images": (
        layer("Conv2D", **CONV, padding="causal"),
        '"causal"',
        '(Conv2D): "padding" is "causal", which is not allowed here\n  Write one of: "valid", "same".',
    ),
    "a transposed convolution with padding in numbers": (
        layer("Conv2DTranspose", **CONV, padding=1),
        "1}",
        '(Conv2DTranspose): "padding" is no name, which a transposed convolution needs\n  Write "valid" or "same".',
    ),
    "a separable convolution in groups": (
        layer("SeparableConv2D", **CONV, groups=3),
        "3}",
        '(SeparableConv2D): "groups" is 3: a separable convolution has one group per channel\n'
        "  Write 1, or leave it out.",
    ),
    "two unknown sizes to reshape to": (
        layer("Reshape", target_shape=[-1, 3, None]),
        "[-1, 3",
        '(Reshape): "target_shape" is [-1, 3, null], which is not allowed here\n'
        "  Write a list of sizes: integers from 1 on, and -1 for at most one that follows from the others.",
    ),
    "an axis twice": (
        layer("Permute", dims=[1, 1, 3]),
        "[1, 1, 3]",
        '(Permute): "dims" is [1, 1, 3], which does not name each axis once\n'
        "  Write the integers from 1 to 3 in another order.",
    ),
    "no axes to permute": (
        layer("Permute", dims=[]),
        "[]",
        '(Permute): "dims" is [], which is not allowed here\n  Write a list of integers from 1 on.',
    ),
    "an axis that is no number": (
        layer("LayerNormalization", axis=[1, "last"]),
        '[1, "last"]',
        '(LayerNormalization): "axis" is [1, "last"], which is not allowed here\n  Write an axis, or a list of axes.',
    ),
    "running statistics of instances": (
        layer("InstanceNormalization", track_running_stats=True),
        "true}",
        '(InstanceNormalization): "track_running_stats" is true: an instance is normalised by its own mean and '
        "variance\n  Write false, or leave it out.",
    ),
    "more than float32 holds": (
        layer("Conv2D", **CONV, activation={"class_name": "ELU", "config": {"alpha": 1e39}}),
        "1e+39",
        '(Conv2D): "alpha" is 1e+39, which is more than float32 holds\n  Write a smaller number.',
    ),
    "an integer that no float holds": (
        layer("ReLU", max_value=10**400),
        "1" + "0" * 400,
        f'(ReLU): "max_value" is 1{"0" * 59}..., which is more than float32 holds\n  Write a smaller number.',
    ),
    "a list of numbers that float32 does not hold": (
        layer("Rescaling", scale=[1, -1e300, 1]),
        "[1, -1e+300",
        '(Rescaling): "scale" is [1, -1e+300, 1], which is not allowed here\n'
        "  Write a number, or lists of numbers that have one shape.",
    ),
    "a variance below zero": (
        layer("Normalization", mean=0, variance=[1, -1, 1]),
        "[1, -1",
        '(Normalization): "variance" is [1, -1, 1], which is not allowed here\n'
        "  Write a number from 0 on, or lists of numbers that have one shape.",
    ),
    "an array that is none": (
        layer("Rescaling", scale={"class_name": "__numpy__"}),
        '{"class_name": "__numpy__"',
        '(Rescaling): "scale" is {"class_name": "__numpy__"}, which is not allowed here\n'
        "  Write a number, or lists of numbers that have one shape.",
    ),
    "a mean without a variance": (
        layer("Normalization", mean=[1.0]),
        "[1.0]",
        '(Normalization): "mean" is given without the other of mean and variance\n  Write both or none.',
    ),
    "ragged numbers": (
        layer("Rescaling", scale=[[1, 2], 3]),
        "[[1, 2], 3]",
        '(Rescaling): "scale" is [[1, 2], 3], which is not allowed here\n'
        "  Write a number, or lists of numbers that have one shape.",
    ),
    "a spatial dropout with a noise shape": (
        layer("SpatialDropout2D", rate=0.5, noise_shape=[None, 1]),
        "[null, 1]",
        '(SpatialDropout2D): "noise_shape" is [null, 1]: whole channels are dropped\n  Write null, or leave it out.',
    ),
    "groups that do not divide the filters": (
        layer("Conv2D", **CONV, groups=3),
        "3}",
        '(Conv2D): "groups" is 3, which does not divide the 4 filters\n  Choose a divisor.',
    ),
    "strides and dilation": (
        layer("Conv2D", **CONV, strides=2, dilation_rate=3),
        "3}",
        '(Conv2D): "dilation_rate" is more than 1 together with strides of more than 1\n'
        "  Set one of the two to 1, as Keras asks.",
    ),
    "a transposed convolution in groups": (
        layer("Conv2DTranspose", **CONV, groups=2),
        "2}",
        '(Conv2DTranspose): "groups" is 2: Keras has no transposed convolution in groups\n  Write 1, or leave it out.',
    ),
    "an output padding as large as the strides": (
        layer("Conv2DTranspose", **CONV, strides=2, output_padding=2),
        "2}",
        '(Conv2DTranspose): "output_padding" is not below the strides on every axis\n'
        "  Write less than the strides, or leave it out.",
    ),
    "a bilinear interpolation of volumes": (
        layer("UpSampling3D", interpolation="bilinear"),
        '"bilinear"',
        '(UpSampling3D): "interpolation" is "bilinear", which needs two spatial axes\n  Write "nearest".',
    ),
    "an interpolation of another rank": (
        layer("UpSampling2D", interpolation="trilinear"),
        '"trilinear"',
        '(UpSampling2D): "interpolation" is "trilinear", which needs three spatial axes\n  Write "nearest".',
    ),
    "several axes": (
        layer("BatchNormalization", axis=[1, 2]),
        "[1, 2]",
        '(BatchNormalization): "axis" is [1, 2], which is not allowed here\n'
        "  Write one axis: an integer, or a list of one.",
    ),
    "an axis other than the channels'": (
        layer("Log_Softmax", axis=2),
        "2}",
        '(Log_Softmax): "axis" is 2: only the channels, 1 or -1, can be normalised over\n  Write 1.',
    ),
    "a class that we do not know": (
        layer("Conv2d"),
        '{"class_name": "Conv2d"',
        f"(Conv2d): this class cannot be converted; the nearest that can: Conv2D, Conv3D, Conv1D\n  {USE_OTHERS}",
    ),
    "a class like no other": (
        layer("Unheard"),
        '{"class_name": "Unheard"',
        f"(Unheard): this class cannot be converted\n  {USE_OTHERS}",
    ),
}


@pytest.mark.parametrize(("broken", "text", "message"), CONFIGS.values(), ids=CONFIGS)
def test_a_wrong_config_is_refused(broken: dict[str, Any], text: str, message: str) -> None:
    layers = [image(8, 11, 3), broken]
    assert refusal(layers) == f"{at(layers, text)}: layer 'a' {message}"


SHAPES: dict[str, tuple[list[Any], str]] = {
    "nothing is left by a convolution": (
        [image(2, 11, 3), layer("Conv2D", filters=4, kernel_size=[3, 5])],
        '(Conv2D): its input (N, 2, 11, 3) is smaller than its window (3, 5), with padding "valid"\n'
        '  Use a larger input, fewer layers that shrink it, or padding "same".',
    ),
    "nothing is left by a pooling": (
        [image(1, 11, 3), layer("MaxPooling2D")],
        '(MaxPooling2D): its input (N, 1, 11, 3) is smaller than its window (2, 2), with padding "valid"\n'
        '  Use a larger input, fewer layers that shrink it, or padding "same".',
    ),
    "too few axes": (
        [image(8, 3), layer("Conv2D", **CONV)],
        "(Conv2D): takes an input (N, H, W, C), and is given (N, 8, 3)\n"
        "  Use the class for that many axes, or change the layers before it.",
    ),
    "channels that are no multiple of the groups": (
        [image(8, 11, 3), layer("Conv2D", **CONV, groups=2)],
        "(Conv2D): its 3 input channels are no multiple of its 2 groups\n"
        '  Choose "groups" so that it divides the channels.',
    ),
    "an axis that is named twice": (
        [image(8, 11, 3), layer("Softmax", axis=[1, -3])],
        '(Softmax): "axis" names an axis twice\n  Name each once.',
    ),
    "unknown channels": (
        [image(8, 11, None), layer("Conv2D", **CONV)],
        "(Conv2D): the size of the last axis of its input (N, 8, 11, C) is unknown, and its parameters depend on it\n"
        "  Write all sizes that matter in the shape of the input layer.",
    ),
    "Dense after Flatten of unknown size": (
        [image(None, 11, 3), {"class_name": "Flatten", "config": {}}, layer("Dense", units=3)],
        "(Dense): the size of the last axis of its input (N, ?) is unknown, and its parameters depend on it\n"
        "  Write all sizes that matter in the shape of the input layer.",
    ),
    "normalisation over the batch": (
        [image(8, 11, 3), layer("BatchNormalization", axis=0)],
        '(BatchNormalization): "axis" is 0, which is the batch of its input (N, 8, 11, 3)\n'
        "  Write -1 for the channels, or another axis than the batch's.",
    ),
    "normalisation over rows of unknown number": (
        [image(None, 11, 3), layer("BatchNormalization", axis=1)],
        "(BatchNormalization): the size of axis 1 of its input (N, H, 11, 3) is unknown, and its parameters depend on "
        "it\n  Write all sizes that matter in the shape of the input layer.",
    ),
    "nothing is left by a convolution with padding in numbers": (
        [image(2, 11, 3), layer("Conv2D", filters=4, kernel_size=7, padding=[1, 2])],
        "(Conv2D): its input (N, 2, 11, 3) is smaller than its window (7, 7), with padding [[1, 1], [2, 2]]\n"
        '  Use a larger input, fewer layers that shrink it, or padding "same".',
    ),
    "windows that differ in size": (
        [image(8, 11, 3), layer("AdaptiveMaxPooling2D", output_size=[4, 5])],
        "(AdaptiveMaxPooling2D): makes (4, 5) cells of its input (N, 8, 11, 3), for which its windows differ in size\n"
        "  Write divisors of the input's sizes.",
    ),
    "the middle of an image of unknown size": (
        [image(8, None, 3), layer("CenterCrop", height=4, width=5)],
        "(CenterCrop): the size of axis 2 of its input (N, 8, W, 3) is unknown, and its parameters depend on it\n"
        "  Write all sizes that matter in the shape of the input layer.",
    ),
    "nothing is left by a cropping": (
        [image(2, 11, 3), layer("Cropping2D", cropping=[1, 0])],
        "(Cropping2D): nothing is left of its input (N, 2, 11, 3): it cuts off [[1, 1], [0, 0]]\n"
        '  Use a larger input, or cut less in "cropping".',
    ),
    "too few axes, channels first": (
        [image(8, 3), layer("Conv2D", **CONV, data_format="channels_first")],
        "(Conv2D): takes an input (N, C, H, W), and is given (N, 8, 3)\n"
        "  Use the class for that many axes, or change the layers before it.",
    ),
    "groups of channels that do not divide them": (
        [image(8, 11, 3), layer("GroupNormalization", groups=2)],
        "(GroupNormalization): its 3 channels are no multiple of its 2 groups\n"
        '  Choose "groups" so that it divides the channels.',
    ),
    "instances in groups": (
        [image(8, 11, 6), layer("InstanceNormalization", groups=2)],
        '(InstanceNormalization): "groups" is 2, and its input (N, 8, 11, 6) has 6 channels: '
        "an instance is normalised channel by channel\n  Write -1, or use GroupNormalization.",
    ),
    "an axis that comes twice": (
        [image(8, 11, 3), layer("LayerNormalization", axis=[-1, 3])],
        "(LayerNormalization): [-1, 3] names an axis of its input (N, 8, 11, 3) twice\n  Write each axis once.",
    ),
    "an axis of a norm that comes twice": (
        [image(8, 11, 3), layer("UnitNormalization", axis=[1, -3])],
        "(UnitNormalization): [1, -3] names an axis of its input (N, 8, 11, 3) twice\n  Write each axis once.",
    ),
    "instances without space": (
        [image(3), layer("InstanceNormalization")],
        "(InstanceNormalization): its input (N, 3) has no spatial axis\n  Use LayerNormalization.",
    ),
    "a shape that does not fit": (
        [image(8, 11, 3), layer("Reshape", target_shape=[-1, 5])],
        "(Reshape): its input (N, 8, 11, 3) has 264 elements, which do not fit the shape (-1, 5)\n"
        "  Write sizes whose product is the same; one of them may be -1.",
    ),
    "axes in an order for fewer": (
        [image(8, 11, 3), layer("Permute", dims=[2, 1])],
        "(Permute): orders 2 axes besides the batch, and its input (N, 8, 11, 3) has 3\n"
        '  Write all axes in "dims", from 1 on.',
    ),
    "an image to repeat": (
        [image(8, 11, 3), layer("RepeatVector", n=2)],
        "(RepeatVector): takes an input (N, F), and is given (N, 8, 11, 3)\n"
        "  Put a Flatten or a global pooling before it.",
    ),
    "channels that cannot be halved": (
        [image(8, 11, 3), layer("Activation", activation="glu")],
        '(Activation): "glu" halves the channels, and there are 3\n  Make them even.',
    ),
    "a noise shape of another rank": (
        [image(8, 11, 3), layer("Dropout", rate=0.5, noise_shape=[None, 1])],
        '(Dropout): "noise_shape" is (?, 1), and its input is (N, 8, 11, 3)\n'
        "  Write a size for each axis with the batch: null, 1, or the input's own.",
    ),
    "a scale for other channels": (
        [image(8, 11, 3), layer("Rescaling", scale=[1, 2])],
        '(Rescaling): its "scale" has the shape (2), which does not fit its input (N, 8, 11, 3)\n'
        "  Write one number, or as many as the last axis has.",
    ),
    "means of other channels": (
        [image(8, 11, 3), layer("Normalization", mean=[1, 2], variance=[1, 2])],
        '(Normalization): its "mean" has the shape (2), which does not fit the sizes (3) of its axes\n'
        "  Write one number, or one for each entry of the axes.",
    ),
    "an axis that is not there": (
        [image(8, 11, 3), layer("Softmax", axis=4)],
        '(Softmax): "axis" is 4, and its input (N, 8, 11, 3) has 4 axes\n  Write an axis from -4 to 3.',
    ),
    "an initializer that needs a matrix": (
        [image(8, 11, 3), layer("Conv2D", **CONV, kernel_initializer="identity")],
        "(Conv2D): the initializer of 'weight' needs two axes, and this parameter has the shape (3, 3, 3, 4)\n"
        "  Use another initializer.",
    ),
    "an initializer that needs an axis more": (
        [image(8, 11, 3), layer("Conv2D", **CONV, bias_initializer="orthogonal")],
        "(Conv2D): the initializer of 'bias' needs at least two axes, and this parameter has the shape (4,)\n"
        "  Use another initializer.",
    ),
}


@pytest.mark.parametrize(("layers", "message"), SHAPES.values(), ids=SHAPES)
def test_an_input_that_does_not_fit_is_refused(layers: list[Any], message: str) -> None:
    where = at(layers, '{"class_name"')
    if "initializer" in message:
        where = at(layers, '{"class_name": "Conv2D"')
    assert refusal(layers) == f"{where}: layer 'a' {message}"


def joined(class_name: str, *shapes: tuple[int | None, ...], **config: Any) -> list[Any]:
    inputs = [
        {"class_name": "InputLayer", "config": {"name": f"x{i}", "batch_shape": [None, *shape]}, "inbound_nodes": []}
        for i, shape in enumerate(shapes)
    ]
    return [*inputs, layer(class_name, **config) | {"inbound_nodes": [f"x{i}" for i in range(len(shapes))]}]


MERGES: dict[str, tuple[list[Any], str]] = {
    "Concatenate of different sizes": (
        joined("Concatenate", (8, 12, 3), (8, 11, 4)),
        "(Concatenate): its inputs differ in more than axis 3: (N, 8, 12, 3), (N, 8, 11, 4)\n"
        "  Make their other sizes equal; where one was halved and doubled again, sizes must be even at each halving.",
    ),
    "Concatenate of different ranks": (
        joined("Concatenate", (8, 12, 3), (3,)),
        "(Concatenate): its inputs differ in more than axis 3: (N, 8, 12, 3), (N, 3)\n"
        "  Make their other sizes equal; where one was halved and doubled again, sizes must be even at each halving.",
    ),
    "Concatenate of batches": (
        joined("Concatenate", (8, 12, 3), (8, 12, 3), axis=0),
        '(Concatenate): "axis" is that of the batch\n  Write the axis of the channels, -1, or of space.',
    ),
    "Add of different sizes": (
        joined("Add", (8, 12, 3), (8, 11, 3)),
        "(Add): its inputs cannot be added: (N, 8, 12, 3), (N, 8, 11, 3)\n  Make them equal, but for axes of size 1.",
    ),
    "Average of different sizes": (
        joined("Average", (8, 12, 3), (1, 1, 3), (8, 11, 3)),
        "(Average): its inputs cannot be averaged: (N, 8, 12, 3), (N, 1, 1, 3), (N, 8, 11, 3)\n"
        "  Make them equal, but for axes of size 1.",
    ),
    "Dot over different sizes": (
        joined("Dot", (4, 5), (6,), axes=[2, 1]),
        "(Dot): axes 2 and 1 of its inputs (N, 4, 5), (N, 6) cannot be summed\n"
        '  Write axes of the same size in "axes", not the batch\'s.',
    ),
    "three inputs for two": (
        joined("Subtract", (5,), (5,), (5,)),
        '(Subtract): takes two inputs, and is given 3\n  Change its "inbound_nodes".',
    ),
    "two inputs for one": (
        joined("ReLU", (8, 12, 3), (8, 12, 3)),
        '(ReLU): takes one input, and is given 2\n  Change its "inbound_nodes".',
    ),
    "no input for a merge": (
        [image(8, 11, 3) | {"inbound_nodes": []}, layer("Add") | {"inbound_nodes": []}],
        '(Add): takes one input or more, and is given 0\n  Change its "inbound_nodes".',
    ),
}


@pytest.mark.parametrize(("layers", "message"), MERGES.values(), ids=MERGES)
def test_inputs_that_do_not_fit_each_other_are_refused(layers: list[Any], message: str) -> None:
    where = at(layers, '{"class_name"')
    assert refusal(layers) == f"{where}: layer 'a' {message}"


INPUTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no shape": (
        {"name": "a"},
        '{"name"',
        '"batch_shape" is missing\n  Add "batch_shape": [null, height, width, channels].',
    ),
    "only a batch": (
        {"name": "a", "batch_shape": [None]},
        "[null]",
        '"batch_shape" has 1 axes with the batch, and 2 to 6 can be converted\n'
        "  Write the batch (null), up to four sizes of space and time, and the channels.",
    ),
    "seven axes": (
        {"name": "a", "shape": [2, 3, 4, 5, 6, 7]},
        "[2, 3",
        '"shape" has 7 axes with the batch, and 2 to 6 can be converted\n'
        "  Write the batch (null), up to four sizes of space and time, and the channels.",
    ),
    "a size that is negative": (
        {"name": "a", "batch_shape": [None, -1, 3]},
        "[null, -1",
        '"batch_shape" is [null, -1, 3], which is not allowed here\n'
        "  Write a list of sizes: integers from 1 on, null for an unknown one.",
    ),
    "a number": (
        {"name": "a", "batch_shape": 3},
        "3}",
        '"batch_shape" is 3, which is not allowed here\n'
        "  Write a list of sizes: integers from 1 on, null for an unknown one.",
    ),
}


@pytest.mark.parametrize(("config", "text", "message"), INPUTS.values(), ids=INPUTS)
def test_an_input_without_a_usable_shape_is_refused(config: dict[str, Any], text: str, message: str) -> None:
    layers = [{"class_name": "InputLayer", "config": config}]
    assert refusal(layers) == f"{at(layers, text)}: layer 'a' (InputLayer): {message}"


def test_all_layers_that_cannot_be_converted_are_told_at_once() -> None:
    layers = [
        image(8, 11, 3),
        {"class_name": "Unheard", "config": {"name": "one"}},
        {"class_name": "TFOpLambda", "config": {"name": "two"}},
        {"class_name": "Dense", "config": {"name": "three", "units": -3}},
    ]
    one, two, three = (at(layers, text) for text in ('{"class_name": "Unheard"', '{"class_name": "TFOpLambda"', "-3"))
    assert refusal(layers) == (
        "net.json: 3 layers cannot be converted\n"
        f"  {one}: layer 'one' (Unheard): this class cannot be converted\n"
        f"  {two}: layer 'two' (TFOpLambda): this class cannot be converted\n"
        f"    {USE_OTHERS}\n"
        f"  {three}: layer 'three' (Dense): \"units\" is -3, which is not allowed here\n"
        "    Write an integer from 1 on.\n"
        "  Mend them all; nothing was converted."
    )


def test_a_parameter_with_the_name_of_a_layer_is_refused() -> None:
    layers = [
        image(5),
        {"class_name": "ReLU", "config": {"name": "a.weight"}},
        layer("Dense", units=3),
    ]
    where = at(layers, '{"class_name": "Dense"')
    assert refusal(layers) == (
        f"{where}: layer 'a' (Dense): its parameter 'a.weight' has the name of another "
        "layer or parameter\n  Rename one of them."
    )


def test_a_call_with_the_name_of_a_layer_is_refused() -> None:
    layers = [
        image(5) | {"inbound_nodes": []},
        layer("ReLU") | {"inbound_nodes": [[["x", 0, 0]], [["a", 0, 0]]]},
        {"class_name": "ReLU", "config": {"name": "a/1"}, "inbound_nodes": [[["a", 1, 0]]]},
    ]
    where = at(layers, '{"class_name": "ReLU", "config": {"name": "a/1"')
    assert refusal(layers) == (
        f"{where}: layer 'a/1' (ReLU): the name 'a/1' is also "
        "that of another call of a shared layer\n  Rename the layer."
    )


def test_a_shared_layer_on_two_sizes_is_refused() -> None:
    layers = [
        image(5) | {"inbound_nodes": []},
        layer("Dense", units=3) | {"inbound_nodes": [[["x", 0, 0]], [["a", 0, 0]]]},
        {"class_name": "ReLU", "config": {"name": "end"}, "inbound_nodes": [[["a", 1, 0]]]},
    ]
    where = at(layers, '{"class_name": "Dense"')
    assert refusal(layers) == (
        f"{where}: layer 'a' (Dense): is called on inputs of different sizes: its "
        "parameter 'a.weight' would be (3, 5) and (3, 3)\n  Use a layer of its own for each size."
    )


def test_an_input_shape_of_other_rank_is_refused() -> None:
    with pytest.raises(ConversionError) as error:
        build([image(8, 11, 3), layer("ReLU")], input_shape=(8, 11))
    assert str(error.value) == (
        "net.json:1:2: layer 'x' (InputLayer): has 3 axes besides the batch, and the given shape (8, 11) has 2\n"
        "  Give channels first, then the spatial sizes, without the batch."
    )


def test_an_input_shape_with_its_channels_last_is_refused() -> None:
    with pytest.raises(ConversionError) as error:
        build([image(8, 11, 3), layer("ReLU")], input_shape=(16, 22, 3))
    assert str(error.value) == (
        "net.json:1:2: layer 'x' (InputLayer): the given shape (16, 22, 3) has 16 channels, "
        "and the network's file says 3\n"
        "  Give channels first: 3,16,22."
    )


def test_an_input_shape_for_two_inputs_is_refused() -> None:
    with pytest.raises(ConversionError) as error:
        build(joined("Add", (5,), (5,)), input_shape=(6,))
    assert str(error.value) == (
        "net.json: the network has 2 inputs, and one input shape is given\n  Write the shapes in the network's file."
    )


MIXED = {"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}
NOTICES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing to say": (layer("Dense", units=3, dtype="float32", kernel_regularizer=None, quantization_config=None), []),
    "an unknown key": (layer("ReLU", slope=3), ["3}", '"slope" is not a key that we know; ignored']),
    "an unknown key of an initializer": (
        layer("Dense", units=3, kernel_initializer={"class_name": "Zeros", "config": {"scale": 2}}),
        ["2}", '"scale" is not a key that we know; ignored'],
    ),
    "a regularizer": (
        layer("Dense", units=3, kernel_regularizer={"class_name": "L2"}),
        [
            '{"class_name": "L2"',
            '"kernel_regularizer" is ignored, as are all regularizers and constraints; '
            "use the optimizer's weight_decay",
        ],
    ),
    "another precision": (
        layer("ReLU", dtype=MIXED),
        ['{"class_name": "DTypePolicy"', '"dtype" is "mixed_float16"; built as float32'],
    ),
    "an option that only matters when set": (
        layer("Dense", units=3, lora_rank=4),
        ["4}", '"lora_rank" is 4, and ignored: only null occurs: low-rank adapters are not layers'],
    ),
    "noise, which we do not make": (
        layer("GaussianNoise", stddev=0.5),
        ["0.5}", '"stddev" has no effect: the layer passes its input on unchanged, also in training'],
    ),
    "augmentation, which we do not make": (
        layer("RandomRotation", factor=0.5, fill_mode="reflect"),
        ["0.5, ", '"factor" has no effect: the layer passes its input on unchanged, also in training'],
    ),
    "torch's momentum": (
        layer("BatchNormalization", momentum=0.1),
        ["0.1}", '"momentum" is 0.1, and kept as Keras means it; torch would write 0.9 for the same'],
    ),
}


@pytest.mark.parametrize(("noted", "expected"), NOTICES.values(), ids=NOTICES)
def test_what_is_ignored_is_said(noted: dict[str, Any], expected: list[str], caplog: pytest.LogCaptureFixture) -> None:
    layers = [image(8, 11, 3), noted]
    with caplog.at_level(logging.WARNING):
        build(layers)
    messages = [f"{at(layers, expected[0])}: layer 'a' ({noted['class_name']}): {expected[1]}"] if expected else []
    assert caplog.messages == messages


def test_what_many_layers_ignore_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    layers = [image(5), *({"class_name": "ReLU", "config": {"name": f"r{i}", "slope": i}} for i in range(4))]
    with caplog.at_level(logging.WARNING):
        build(layers)
    where = at(layers, "0}}")
    assert caplog.messages == [
        f"{where}: layer 'r0' (ReLU): \"slope\" is not a key that we know; ignored (and so in 3 more layers)"
    ]
